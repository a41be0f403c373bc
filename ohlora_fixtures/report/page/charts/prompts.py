"""Every prompt's time, a strip of dots a candidate, with median and interquartile range."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ....base.words import Say
from ....results.comparison import INFERENCE, Comparison
from ....results.record import Record
from ... import digits
from .. import svg
from ..cases import full_size, warm_up
from ..figure import Column, Mark, Panel, Table
from .spread import spread

_STRIP = 40.0
_CROSS = "\N{MULTIPLICATION SIGN}"
_LEFT, _RIGHT = 8.0, 52.0
_SCATTERED = (0, 5, -4, 3, -6, 1, 6, -2)
"""How far dots lie off their strip's middle, in turn, so that equal times do not hide each other."""


def panel(found: Comparison, say: Say) -> Panel | None:
    """The drawing; None where no prompts were timed at full size."""
    records = [record for row in found.rows if (record := full_size(row, (INFERENCE, None))) is not None]
    settled = [time for record in records for time in _settled(record)]
    settled += [read.high for record in records if (read := spread(record)) is not None]
    if not settled:
        return None
    along = svg.scale(0, max(settled), _LEFT, svg.WIDTH - _RIGHT, most_ticks=4)
    parts: list[Markup] = []
    top = 4.0
    for record in records:
        parts += _strip(record, along, top, say)
        top += _STRIP
    axis = svg.x_axis(along, 4, top, digits.tick, say("axis.seconds"))
    drawn = svg.drawing(top + 34, say("time.prompt_description"), [*axis, *parts])
    return Panel(say("time.prompt"), drawn, "steady", _table(records, say))


def legend(say: Say) -> tuple[Mark, ...]:
    """What the strips' own marks mean."""
    return (
        Mark(svg.sample(_dot(9, 6)), say("time.legend_prompt")),
        Mark(svg.sample(svg.marker("cross", 9, 6, "warm-up")), say("time.legend_warm_up")),
    )


def _settled(record: Record) -> Sequence[float]:
    """The times after the warm-up, or all if none is left."""
    times = record.seconds_each or []
    return times[warm_up(record) :] or times


def _strip(record: Record, along: svg.Scale, top: float, say: Say) -> list[Markup]:
    middle = top + 28
    parts = [svg.text(0, top + 12, svg.fitted(record.candidate, svg.WIDTH), "candidate")]
    if (read := spread(record)) is not None:
        parts += [
            svg.line([(along(read.low), middle), (along(read.high), middle)], "spread series-0"),
            svg.text(svg.WIDTH, middle + 4, digits.seconds(read.median), anchor="end"),
        ]
    for number, time in enumerate(record.seconds_each or ()):
        y = middle + _SCATTERED[number % len(_SCATTERED)]
        hint = say("time.hint", number=number + 1, seconds=digits.seconds(time))
        if number >= warm_up(record):
            parts.append(_dot(along(time), y, hint))
        elif time <= along.high:
            parts.append(svg.marker("cross", along(time), y, "warm-up", hint))
        else:
            parts.append(svg.text(svg.WIDTH, top + 12, f"{_CROSS} {digits.seconds(time)} →", "beyond", "end"))
    if read is not None:
        parts.append(svg.line([(along(read.median), middle - 9), (along(read.median), middle + 9)], "median"))
    return parts


def _dot(x: float, y: float, hint: str | None = None) -> Markup:
    return svg.element("circle", *([svg.element("title", hint)] if hint else []), cx=x, cy=y, r=3, class_="dot")


def _table(records: list[Record], say: Say) -> Table:
    columns = (
        Column(say("head.prompt_number"), is_text=True),
        *(Column(record.candidate, "steady") for record in records),
    )
    most = max(len(record.seconds_each or ()) for record in records)
    cells = [(f"{number + 1}", *(_time(record, number) for record in records)) for number in range(most)]
    return Table(say("time.prompt_caption"), columns, cells)


def _time(record: Record, number: int) -> str:
    times = record.seconds_each or []
    if number >= len(times):
        return digits.NONE
    return digits.seconds(times[number]) + ("*" if number < warm_up(record) else "")
