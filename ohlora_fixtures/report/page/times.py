"""Time: the whole run of every candidate and variant on one axis, and the prompts' on another; planned or measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ...choice.selection import Selection
from ...inputs.cases import INFERENCE
from ...planner.plan import Plan
from ...results.comparison import Comparison
from ...results.record import Record
from .. import digits
from ..layout import figures, words
from ..quantities import PLANNED_SECONDS
from ..tables import Shown, Table, cases_of, catalogued, known_of, outcome, subjects
from ..words import Say
from .bars import Bar, Bars, figure_of, standings
from .contents import Figure


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
    """The figure; None where nothing was timed at full size, and no time was planned."""
    cases = [case for case in cases_of(found, say) if case.full_size is not None or _planned(case) is not None]
    marks = standings(selection, say)
    charts = tuple(each for each in (_runs(cases, marks, say), _prompts(cases, marks, say)) if each is not None)
    if not charts:
        return None
    is_on_cpu = any(case.full_size.environment.is_cpu for case in cases if case.full_size is not None)
    notes = (say("time.cpu"),) if is_on_cpu else ()
    return figure_of("time", charts, (_planned_table(cases, say), _table(cases, say)), say, notes)


def _planned(case: Shown) -> Plan | None:
    """The plan that tells a case's time."""
    return case.plan if case.plan is not None and case.plan.seconds is not None else None


def _measured(case: Shown) -> float | None:
    return None if case.full_size is None else case.full_size.seconds


def _runs(cases: Sequence[Shown], marks: dict[str, str], say: Say) -> Bars | None:
    bars = tuple(_bar(case, case.candidate, case.name, say) for case in cases if case.variant is not None)
    if not any(bar.lengths for bar in bars):
        return None
    return Bars(say("time.run"), say("axis.seconds"), "seconds", bars, marks)


def _prompts(cases: Sequence[Shown], marks: dict[str, str], say: Say) -> Bars | None:
    asked = [case for case in cases if case.variant is None and (_measured(case) is not None or _planned(case))]
    if not asked:
        return None
    bars = tuple(_bar(case, "", case.candidate, say) for case in asked)
    table = _prompts_table([case.full_size for case in asked if case.full_size is not None], say)
    return Bars(say("time.prompt"), say("axis.seconds"), "steady", bars, marks, table=table)


def _bar(case: Shown, group: str, name: str, say: Say) -> Bar:
    record, plan, measured = case.full_size, _planned(case), _measured(case)
    lengths: list[tuple[float, str]] = []
    said, more, wrong = digits.seconds(measured), "", ""
    if plan is not None and plan.seconds is not None:
        lengths += [(plan.seconds_high or plan.seconds, "takes"), (plan.seconds, "needs")]
        more = say("time.planned_short", seconds=digits.roughly(plan.seconds))
        if measured is None:
            low, high = (
                digits.NONE if end is None else digits.roughly(end) for end in (plan.seconds_low, plan.seconds_high)
            )
            said, more = f"~{digits.roughly(plan.seconds)}", say("time.range_short", low=low, high=high)
    if record is not None:
        is_cpu = record.environment.is_cpu
        lengths += [] if measured is None else [(measured, "cpu" if is_cpu else "measured")]
        more = say("time.on_cpu") if is_cpu else more
        wrong = "" if record.outcome.kind == "passed" else outcome(record, say)
    return Bar(group, name, tuple(lengths), said, more, wrong)


def _planned_table(cases: Sequence[Shown], say: Say) -> Table:
    timed = [case for case in cases if _planned(case) is not None]
    columns = (*subjects(timed, say), *catalogued(PLANNED_SECONDS, timed, say))
    return Table(say("time.planned_caption"), columns)


def _table(cases: Sequence[Shown], say: Say) -> Table:
    cases, records = known_of(cases, lambda case: case.full_size)
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
    most = max((len(record.measured.seconds_each or ()) for record in records), default=0)
    if not most:
        return None
    columns = [words(say("head.prompt_number"), (f"{number + 1}" for number in range(most)))]
    for record in records:
        times = enumerate(record.measured.seconds_each or ())
        told = [digits.seconds(time) + "*" * (number < _warm_up(record)) for number, time in times]
        unknown = [digits.NONE] * (most - len(told))
        columns.append(figures(record.case.candidate, told + unknown, "steady"))
    return Table(say("time.prompt_caption"), tuple(columns))
