"""Time: the whole run, a step and a prompt; a panel a quantity, so that candidates compare."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from ...inputs.cases import INFERENCE
from ...results.comparison import Comparison
from ...results.record import Record
from .. import digits
from ..layout import figures, words
from ..words import Say
from . import svg
from .contents import Figure, Mark, Panel, Shown, Table, cases_of, known_of, outcome, subjects

_LINE, _NAME, _STRIP = 15.0, 18.0, 40.0
"""Heights of a case's line, of a candidate's name, and of a strip of prompts."""
_LEFT, _MOST_LEFT, _LEFT_OF_STRIP, _RIGHT = 34.0, 110.0, 8.0, 52.0
"""Room for the case's name before its line, at least and at most; before a strip; for the figure behind both."""
_CROSS = "\N{MULTIPLICATION SIGN}"
_SCATTERED = (0, 5, -4, 3, -6, 1, 6, -2)
"""How far dots lie off their strip's middle, in turn, so that equal times do not hide each other."""
_TERMS = {"run": "seconds", "step": "steady"}


@dataclass(frozen=True)
class Spread:
    """Of a series of times, seconds."""

    low: float
    """Lower quartile."""
    median: float
    high: float
    """Upper quartile."""


def spread(record: Record) -> Spread | None:
    """Of a record's steps or prompts; around the median where it has no single times; None without any figure."""
    measured = record.measured
    rest = (measured.seconds_each or ())[_warm_up(record) :]
    if len(rest) > 1:
        return Spread(*statistics.quantiles(rest, n=4, method="inclusive"))  # as `steady_iqr_seconds`
    median, half = measured.steady_median_seconds, (measured.steady_iqr_seconds or 0.0) / 2
    return None if median is None else Spread(median - half, median, median + half)


def _warm_up(record: Record) -> int:
    """How many of a record's steps or prompts were its warm-up."""
    name = "warm_up_prompts" if record.case.workload == INFERENCE else "warm_up_steps"
    told = record.experiment.protocol.get(name)
    return told if isinstance(told, int) and told > 0 else 0


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None where nothing was timed at full size."""
    cases, records = known_of(cases_of(found, say), lambda case: case.full_size)
    timed = list(zip(cases, records, strict=True))
    trained = [(case, record) for case, record in timed if case.variant is not None]
    strips = _prompts_panel([record for record in records if record.case.variant is None], say)
    panels = [_panel(trained, "run", _whole, say), _panel(trained, "step", spread, say), strips]
    shown = tuple(panel for panel in panels if panel is not None)
    if not shown:
        return None
    line = (svg.line([(0, 6), (9, 6)], "stem series-0"), svg.line([(3, 6), (15, 6)], "spread series-0"))
    marks = [Mark(svg.sample(*line, svg.marker("circle", 9, 6, "series-0")), say("time.legend"))]
    if strips:
        marks.append(Mark(svg.sample(_dot(9, 6)), say("time.legend_prompt")))
        marks.append(Mark(svg.sample(svg.marker("cross", 9, 6, "warm-up")), say("time.legend_warm_up")))
    return Figure(say("time.lead"), shown, tuple(marks), (_table(cases, records, say),))


_Timed = Sequence[tuple[Shown, Record]]
"""Cases at full size, and their records."""


def _whole(record: Record) -> Spread | None:
    seconds = record.measured.seconds
    return None if seconds is None else Spread(seconds, seconds, seconds)


def _panel(timed: _Timed, quantity: str, read: Callable[[Record], Spread | None], say: Say) -> Panel | None:
    spreads = [each for _, record in timed if (each := read(record)) is not None]
    if not spreads:
        return None
    left = min(_MOST_LEFT, max(_LEFT, *(svg.width_of(case.name) + 4 for case, _ in timed)))
    along = svg.scale(0, max(each.high for each in spreads), left, svg.WIDTH - _RIGHT, most_ticks=4)
    parts: list[Markup] = []
    y = 4.0
    for name, own in groupby(timed, key=lambda each: each[0].candidate):
        parts.append(svg.text(0, y + 12, svg.fitted(name, svg.WIDTH), "candidate"))
        y += _NAME
        for case, record in own:
            parts += _line(case, record, read(record), (along, y + _LINE / 2), say)
            y += _LINE
        y += 5
    axis = svg.x_axis(along, 4, y, digits.tick, say("axis.seconds"))
    drawn = svg.drawing(y + 34, say(f"time.{quantity}_description"), [*axis, *parts])
    return Panel(say(f"time.{quantity}"), drawn, _TERMS[quantity])


def _line(case: Shown, record: Record, read: Spread | None, at: tuple[svg.Scale, float], say: Say) -> list[Markup]:
    along, y = at
    named = svg.text(0, y + 4, svg.fitted(case.name, along.start - 4), "ticks")
    if read is None:
        said = digits.NONE if record.outcome.kind == "passed" else outcome(record, say)
        return [named, svg.text(along.start, y + 4, f"▲ {said}", "wrong")]
    series, median = svg.series(case.place), digits.seconds(read.median)
    return [
        named,
        svg.line([(along(0), y), (along(read.median), y)], f"stem {series}"),
        svg.line([(along(read.low), y), (along(read.high), y)], f"spread {series}"),
        svg.marker(svg.shape(case.place), along(read.median), y, series, f"{case.full_name}: {median} s"),
        svg.text(svg.WIDTH, y + 4, median, anchor="end"),
    ]


def _table(cases: Sequence[Shown], records: Sequence[Record], say: Say) -> Table:
    reads = list(map(spread, records))
    columns = (
        *subjects(cases, say),
        figures(say("head.seconds"), (digits.seconds(record.measured.seconds) for record in records), "seconds"),
        figures(say("head.steady_median"), (digits.seconds(each.median if each else None) for each in reads), "steady"),
        figures(say("head.quartile_low"), (digits.seconds(each.low if each else None) for each in reads), "steady"),
        figures(say("head.quartile_high"), (digits.seconds(each.high if each else None) for each in reads), "steady"),
        words(say("head.outcome"), (outcome(record, say) for record in records)),
    )
    return Table(say("time.caption"), columns)


def _prompts_panel(records: Sequence[Record], say: Say) -> Panel | None:
    """Every prompt's time, a strip of dots a candidate; None where no prompts were timed."""
    settled: list[float] = []
    for record in records:
        times = record.measured.seconds_each or ()
        settled += times[_warm_up(record) :] or times
    settled += [read.high for record in records if (read := spread(record)) is not None]
    if not settled:
        return None
    along = svg.scale(0, max(settled), _LEFT_OF_STRIP, svg.WIDTH - _RIGHT, most_ticks=4)
    parts = [part for number, record in enumerate(records) for part in _strip(record, along, 4 + number * _STRIP, say)]
    bottom = 4 + len(records) * _STRIP
    axis = svg.x_axis(along, 4, bottom, digits.tick, say("axis.seconds"))
    drawn = svg.drawing(bottom + 34, say("time.prompt_description"), [*axis, *parts])
    return Panel(say("time.prompt"), drawn, "steady", _prompts_table(records, say))


def _strip(record: Record, along: svg.Scale, top: float, say: Say) -> list[Markup]:
    middle = top + 28
    parts = [svg.text(0, top + 12, svg.fitted(record.case.candidate, svg.WIDTH), "candidate")]
    if (read := spread(record)) is not None:
        parts += [
            svg.line([(along(read.low), middle), (along(read.high), middle)], "spread series-0"),
            svg.text(svg.WIDTH, middle + 4, digits.seconds(read.median), anchor="end"),
        ]
    for number, time in enumerate(record.measured.seconds_each or ()):
        y = middle + _SCATTERED[number % len(_SCATTERED)]
        hint = say("time.hint", number=number + 1, seconds=digits.seconds(time))
        if number >= _warm_up(record):
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


def _prompts_table(records: Sequence[Record], say: Say) -> Table:
    most = max(len(record.measured.seconds_each or ()) for record in records)
    numbers = words(say("head.prompt_number"), (f"{number + 1}" for number in range(most)))
    columns = [numbers]
    for record in records:
        times = enumerate(record.measured.seconds_each or ())
        told = [digits.seconds(time) + "*" * (number < _warm_up(record)) for number, time in times]
        unknown = [digits.NONE] * (most - len(told))
        columns.append(figures(record.case.candidate, told + unknown, "steady"))
    return Table(say("time.prompt_caption"), tuple(columns))
