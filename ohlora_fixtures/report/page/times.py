"""Time: the whole run of every candidate and variant on one axis, and the prompts' on another."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ...choice.selection import Selection
from ...inputs.cases import INFERENCE
from ...results.comparison import Comparison
from ...results.record import Record
from .. import digits
from ..layout import figures, words
from ..words import Say
from .bars import Bar, Bars, standings
from .contents import Figure, Shown, Table, cases_of, known_of, outcome, subjects


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


def figure(found: Comparison, selection: Selection, say: Say) -> Figure | None:
    """The figure; None where nothing was timed at full size."""
    cases, records = known_of(cases_of(found, say), lambda case: case.full_size)
    marks = standings(selection, say)
    charts = [each for each in (_runs(cases, records, marks, say), _prompts(records, marks, say)) if each is not None]
    if not charts:
        return None
    notes = (say("time.cpu"),) if any(record.environment.is_cpu for record in records) else ()
    return Figure(say("time.lead"), (), (), (_table(cases, records, say),), notes, bars=tuple(charts))


def _runs(cases: Sequence[Shown], records: Sequence[Record], marks: dict[str, str], say: Say) -> Bars | None:
    timed = [(case, record) for case, record in zip(cases, records, strict=True) if case.variant is not None]
    if not any(record.measured.seconds is not None for _, record in timed):
        return None
    bars = tuple(_bar(case.candidate, case.name, record.measured.seconds, record, say) for case, record in timed)
    return Bars(say("time.run"), say("axis.seconds"), "seconds", bars, marks)


def _prompts(records: Sequence[Record], marks: dict[str, str], say: Say) -> Bars | None:
    asked = [record for record in records if record.case.variant is None and record.seconds_a_prompt is not None]
    if not asked:
        return None
    bars = tuple(_bar("", record.case.candidate, record.seconds_a_prompt, record, say) for record in asked)
    table = _prompts_table(asked, say)
    return Bars(say("time.prompt"), say("axis.seconds"), "steady", bars, marks, table=table)


def _bar(group: str, name: str, seconds: float | None, record: Record, say: Say) -> Bar:
    kind = "cpu" if record.environment.is_cpu else "measured"
    wrong = "" if record.outcome.kind == "passed" else outcome(record, say)
    more = say("time.on_cpu") if record.environment.is_cpu else ""
    return Bar(group, name, () if seconds is None else ((seconds, kind),), digits.seconds(seconds), more, wrong)


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


def _prompts_table(records: Sequence[Record], say: Say) -> Table | None:
    most = max(len(record.measured.seconds_each or ()) for record in records)
    if not most:
        return None
    columns = [words(say("head.prompt_number"), (f"{number + 1}" for number in range(most)))]
    for record in records:
        times = enumerate(record.measured.seconds_each or ())
        told = [digits.seconds(time) + "*" * (number < _warm_up(record)) for number, time in times]
        unknown = [digits.NONE] * (most - len(told))
        columns.append(figures(record.case.candidate, told + unknown, "steady"))
    return Table(say("time.prompt_caption"), tuple(columns))
