"""Tables beside the comparison, for Markdown and the page: what plans are made of, plan and measurement, quality."""

from collections.abc import Iterable, Iterator, Sequence

from ..base.messages import Message, message
from ..planner.plan import Plan
from ..results.comparison import Cell, Comparison
from ..results.record import Record
from . import changes, digits
from .layout import Column, figures, in_mib, words
from .notes import plan_is_off_by
from .quantities import MEASURED, MEMORY, PLANNED, QUALITY, known
from .tables import Shown, Table, cases_of, catalogued, figures_of, known_of, subjects, verdict
from .words import Say

_OF_A_PEAK = (*(each.name for each in MEMORY[1:]), "needs_device_mib", "optimizer_states_mib", "paged_mib")
_LIMITS = [each for each in MEASURED if each.term in ("utilization", "condition")]


def sections(found: Comparison, say: Say) -> Iterator[tuple[str, str, Table]]:
    """Of each table that has a row: its title, what must be known to read it, and the table."""
    cases = cases_of(found, say)
    tables = {
        "plans": memory([case for case in cases if case.full_size and _is_compared(case.full_size)], say),
        "limits": _limits(cases, say),
        "advice": advice(cases, say),
        "changes": changes.added(found, say),
        "ways": changes.ways(found, say),
        "breakdown": breakdown(cases, say),
        "quality": quality(cases, say),
    }
    for name, table in tables.items():
        if table.rows:
            lead = advice_lead(found) if name == "advice" else message(f"file.{name}_lead")
            yield message(f"file.{name}").text(say.language), lead.text(say.language) if lead else "", table


def advice_lead(found: Comparison) -> Message | None:
    """What the advice is about; None if there is none."""
    advised = ((record.limit_mib, record.plan.advice) for record in found.plans if record.plan)
    told = next(((limit_mib, advice) for limit_mib, advice in advised if advice), None)
    if told is None:
        return None
    limit_mib, first = told
    return message("file.advice_lead", mib=limit_mib, variant=first.variant, batch=first.batch_size)


def advice(cases: Iterable[Shown], say: Say) -> Table:
    """What else would fit: a row for each candidate that has been advised."""
    cases, advised = known_of(cases, lambda case: case.plan.advice if case.plan else None)
    columns = (
        words(say("head.candidate"), (case.candidate for case in cases)),
        words(say("head.variant"), (each.variant for each in advised), "plan"),
        *(
            figures(say(f"advice.{name}"), (digits.count(getattr(each, name) or None) for each in advised), "plan")
            for name in ("batch_size", "row_tokens", "largest_batch", "largest_rank")
        ),
        in_mib(say("advice.checkpointing_saves"), (each.checkpointing_saves_mib for each in advised), "plan"),
    )
    return Table(say("advice.caption"), columns)


def breakdown(cases: Iterable[Shown], say: Say) -> Table:
    """What each planned peak is made of."""
    cases, plans = known_of(cases, lambda case: case.plan)
    parts = [each.breakdown_mib or {} for each in plans]
    columns = (
        *subjects(cases, say),
        *(
            in_mib(say.name("breakdown", name), (each.get(name) for each in parts), "breakdown")
            for name in dict.fromkeys(name for each in parts for name in each)
        ),
        in_mib(say("breakdown.unsplit"), map(_unsplit_mib, plans), "breakdown"),
        *catalogued([each for each in PLANNED if each.name in _OF_A_PEAK], cases, say),
        words(say("head.verdict"), (verdict(Cell(plan=case.cell.plan), say) for case in cases)),
    )
    return Table(say("memory.planned_caption"), columns)


def _unsplit_mib(plan: Plan) -> float | None:
    """What is reserved and not allocated."""
    if plan.peak_reserved_mib is None or plan.peak_allocated_mib is None:
        return None
    return plan.peak_reserved_mib - plan.peak_allocated_mib


def memory(cases: Iterable[Shown], say: Say) -> Table:
    """What each case at full size was measured to need, beside the plan for the very lengths of its run."""
    cases, records = known_of(cases, lambda case: case.full_size)
    columns = [*subjects(cases, say), *catalogued(MEMORY, cases, say)]
    for name in ("peak_reserved", "peak_allocated"):
        planned = (getattr(record.plan, f"{name}_mib", None) for record in records)
        off_by = (plan_is_off_by(record, f"{name}_mib") for record in records)
        columns += [
            in_mib(say(f"head.planned_{name}"), planned, name),
            figures(say(f"head.{name}_off_by"), map(digits.difference, off_by), "plan"),
        ]
    columns.append(words(say("head.verdict"), (verdict(Cell(record), say) for record in records)))
    return Table(say("memory.measured_caption"), tuple(columns))


def _is_compared(record: Record) -> bool:
    return None not in (plan_is_off_by(record, name) for name in ("peak_reserved_mib", "peak_allocated_mib"))


def _limits(cases: Iterable[Shown], say: Say) -> Table:
    """How near the card's limits each case came of which that is known."""
    near = known_of(cases, lambda case: case.cell.measured if known(_LIMITS, case.cell.records[:1]) else None)
    return figures_of("", *near, _LIMITS, say)


def quality(cases: Iterable[Shown], say: Say) -> Table:
    """How good each model at full size is, and what its computed score is made of; the untuned model first."""
    untuned_first = sorted(cases, key=lambda case: (case.number, case.variant is not None))
    judged = (case for case in untuned_first if case.full_size and known(QUALITY, [case.full_size]))
    cases, records = known_of(judged, lambda case: case.full_size)
    columns = [
        words(say("head.candidate"), (case.candidate for case in cases)),
        words(say("head.case"), (case.variant or say("answers.untuned") for case in cases)),
    ]
    for each in known(QUALITY, records):
        if each.name == "quality_grade":
            grades = (say.name("grade", each.write(record)) for record in records)
            columns += [words(say("head.quality_grade"), grades, each.term), *_parts(records, say)]
        else:
            columns += catalogued([each], cases, say)
        if each.name == "quality_score":
            intervals = (digits.interval(record.quality.interval) for record in records)
            columns.append(figures(say("head.interval"), intervals, each.term))
    overfitted = (say("listing.yes") if record.quality.is_overfitted else "" for record in records)
    columns.append(words(say("head.overfitted"), overfitted, "overfitted"))
    return Table(say("listing.quality"), tuple(columns))


def _parts(records: Sequence[Record], say: Say) -> Iterator[Column]:
    for part in dict.fromkeys(part for record in records for part in record.quality.parts or ()):
        shares = (digits.share((record.quality.parts or {}).get(part)) for record in records)
        yield figures(say.name("part", part), shares, "quality_parts")
