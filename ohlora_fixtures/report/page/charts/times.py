"""Time by rank: the whole run, a step and a prompt, with spread; a panel a quantity, so that candidates compare."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from ....base.words import Say
from ....results.comparison import FINE_TUNING, Comparison, Row
from ....results.record import Record
from ... import digits
from .. import svg
from ..cases import full_size, keys, name_of, verdict
from ..figure import Column, Figure, Mark, Panel, Table
from . import prompts
from .spread import Spread, spread

_LINE, _NAME = 15.0, 18.0
"""Heights of a case's line and of a candidate's name."""
_LEFT, _RIGHT = 34.0, 52.0
"""Room for the case's name before its line and for its figure behind it."""


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None where nothing was timed at full size."""
    strips = prompts.panel(found, say)
    panels = [_panel(found, "run", _whole, say), _panel(found, "step", spread, say), strips]
    shown = tuple(panel for panel in panels if panel is not None)
    if not shown:
        return None
    marks = [Mark(_sample(), say("time.legend")), *(prompts.legend(say) if strips else ())]
    return Figure(say("time.lead"), shown, tuple(marks), (_table(found, say),))


def _whole(record: Record) -> Spread | None:
    return None if record.seconds is None else Spread(record.seconds, record.seconds, record.seconds)


def _panel(found: Comparison, quantity: str, read: Callable[[Record], Spread | None], say: Say) -> Panel | None:
    rows = [(row.candidate.name, _trained(found, row)) for row in found.rows]
    rows = [(name, records) for name, records in rows if records]
    spreads = [each for _, records in rows for _, record in records if (each := read(record)) is not None]
    if not spreads:
        return None
    along = svg.scale(0, max(each.high for each in spreads), _LEFT, svg.WIDTH - _RIGHT, most_ticks=4)
    parts: list[Markup] = []
    y = 4.0
    for name, records in rows:
        parts.append(svg.text(0, y + 12, svg.fitted(name, svg.WIDTH), "candidate"))
        y += _NAME
        for place, record in records:
            parts += _line(record, read(record), place, (along, y + _LINE / 2), say)
            y += _LINE
        y += 5
    axis = svg.x_axis(along, 4, y, digits.tick, say("axis.seconds"))
    drawn = svg.drawing(y + 34, say(f"time.{quantity}_description"), [*axis, *parts])
    return Panel(say(f"time.{quantity}"), drawn, _TERMS[quantity])


_TERMS = {"run": "seconds", "step": "steady"}


def _trained(found: Comparison, row: Row) -> list[tuple[int, Record]]:
    """A candidate's fine-tuning cases at full size, with the place of their rank."""
    records = [(place, full_size(row, (FINE_TUNING, rank))) for place, rank in enumerate(found.lora_ranks)]
    return [(place, record) for place, record in records if record is not None]


def _line(record: Record, read: Spread | None, place: int, at: tuple[svg.Scale, float], say: Say) -> list[Markup]:
    """A case's line, at a height along a scale."""
    along, y = at
    named = svg.text(0, y + 4, f"r{record.lora_rank}", "ticks")
    if read is None:
        return [named, svg.text(_LEFT, y + 4, f"▲ {verdict([record], say) or digits.NONE}", "wrong")]
    series = svg.series(place)
    hint = f"{record.candidate} r{record.lora_rank}: {digits.seconds(read.median)} s"
    return [
        named,
        svg.line([(along(0), y), (along(read.median), y)], f"stem {series}"),
        svg.line([(along(read.low), y), (along(read.high), y)], f"spread {series}"),
        svg.marker(svg.shape(place), along(read.median), y, series, hint),
        svg.text(svg.WIDTH, y + 4, digits.seconds(read.median), anchor="end"),
    ]


def _sample() -> Markup:
    return svg.sample(
        svg.line([(0, 6), (9, 6)], "stem series-0"),
        svg.line([(3, 6), (15, 6)], "spread series-0"),
        svg.marker("circle", 9, 6, "series-0"),
    )


def _table(found: Comparison, say: Say) -> Table:
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        Column(say("head.seconds"), "seconds"),
        Column(say("head.steady_median"), "steady"),
        Column(say("head.quartile_low"), "steady"),
        Column(say("head.quartile_high"), "steady"),
        Column(say("head.outcome"), is_text=True),
    )
    cells = []
    for row in found.rows:
        for key in keys(found):
            if (record := full_size(row, key)) is not None:
                read = spread(record)
                times = (read.median, read.low, read.high) if read else (None, None, None)
                figures = map(digits.seconds, (record.seconds, *times))
                cells.append((row.candidate.name, name_of(key, say), *figures, say.name("outcome", record.outcome)))
    return Table(say("time.caption"), columns, cells)
