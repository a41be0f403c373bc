"""Memory of every candidate and variant on one axis: what is needed as planned, and what was measured."""

from collections.abc import Iterable
from dataclasses import replace

from ...base.messages import Message
from ...choice.selection import Selection
from ...meters.memory import MemoryReading
from ...planner.plan import Plan
from ...results.comparison import Cell, Comparison
from .. import changes, digits
from ..layout import Column, figures, in_mib, words
from ..notes import plan_is_off_by
from ..quantities import MEMORY
from ..words import Say, head_in, texts
from . import svg
from .bars import Bar, Bars, standings
from .contents import Figure, Mark, Shown, Table, cases_of, catalogued, known_of, limits_of, subjects, verdict


def figure(found: Comparison, selection: Selection, say: Say) -> Figure | None:
    """The figure; None without any plan or measurement at full size."""
    cases = [case for case in cases_of(found, say) if _lengths(case) or case.cell.fit.reason is not None]
    if not cases:
        return None
    limits = tuple(
        (mib, say("memory.budget_short" if mib == budget else "memory.card_short", mib=digits.mib(mib)))
        for budget, mib in limits_of(found.records)
    )
    bars = tuple(_bar(case, say) for case in cases)
    drawn = Bars(say("memory.title"), say("axis.mib"), "needs_device", bars, standings(selection, say), limits)
    changed = _changed(found, limits, say)
    kinds = dict.fromkeys(kind for bar in bars for _, kind in bar.lengths)
    legend = tuple(Mark(svg.bar_sample(kind), say(f"memory.legend_{kind}")) for kind in kinds)
    ways = _table("ways", changes.ways(found, say), say)
    tables = (_planned_table(cases, say), _measured_table(cases, say), _advice_table(cases, say), ways)
    return Figure(
        say("memory.lead"), (), legend, tuple(table for table in tables if table.rows), bars=(drawn, *changed)
    )


def _in_short(change: Message, say: Say) -> str:
    """A change's name for a chart; of one that this version does not know, its text."""
    key = change.key.replace("changed.", "changes.")
    return say(key, **change.values) if key != change.key and key in texts() else f"+ {change.text(say.language)}"


def _changed(found: Comparison, limits: tuple[tuple[float, str], ...], say: Say) -> tuple[Bars, ...]:
    """What would make candidates fit that fit in no variant: what they need with each change more."""
    bars, ends = list[Bar](), dict[str, str]()
    for row, known, limit_mib in changes.changed(found):
        name = row.candidate.name
        enough = known.enough and known.enough.told
        said = " + ".join(each.text(say.language) for each in enough or ())
        ends[name] = say("changes.fits_with", changes=said) if enough else say("changes.not_enough")
        for place, each in enumerate(changes.shown(known)):
            fits, mib = each.needs_device_mib <= limit_mib, digits.mib(each.needs_device_mib)
            is_added = place < len(known.added)
            added = _in_short(each.told[-1], say) if each.told else known.variant
            over = "" if fits else say("memory.over", mib=digits.mib(each.needs_device_mib - limit_mib))
            lengths = ((each.needs_device_mib, "needs"),)
            more = say("changes.fits") if fits else ""
            bars.append(Bar(name, added if is_added else say("changes.enough"), lengths, mib, more, over))
    if not bars:
        return ()
    table = _table("caption", changes.columns(found, say), say)
    return (Bars(say("changes.title"), say("axis.mib"), "needs_device", tuple(bars), ends, limits, table),)


def _table(name: str, columns: Iterable[Column], say: Say) -> Table:
    return Table(say(f"changes.{name}"), tuple(replace(each, head=head_in(each.head, say)) for each in columns))


_Sizes = Plan | MemoryReading


def _lengths(case: Shown) -> tuple[tuple[float, str], ...]:
    """How far a case's bars reach, MiB: what it takes and needs as planned, and what it reached when measured."""
    plan, record, found = case.plan, case.full_size, list[tuple[float, str]]()
    if plan is not None and plan.peak_device_mib is not None:
        found.append((plan.peak_device_mib, "takes"))
        found.append((plan.peak_device_mib if plan.needs_device_mib is None else plan.needs_device_mib, "needs"))
    if record is not None and (reached := _reached(record.measured.memory)) is not None:
        found.append((reached, "measured"))
    return tuple(found)


def _reached(sizes: MemoryReading) -> float | None:
    """The peak on the device; of a case that ran out of memory, what it had reached."""
    if sizes.peak_device_mib is not None or sizes.peak_reserved_mib is None:
        return sizes.peak_device_mib
    return sizes.peak_reserved_mib + (sizes.context_mib or 0.0)


def _bar(case: Shown, say: Say) -> Bar:
    lengths = _lengths(case)
    mib = {kind: digits.mib(length) for length, kind in lengths}
    said = mib.get("measured") or mib.get("needs") or digits.NONE
    more = ""
    if "measured" in mib and "needs" in mib:
        more = say("memory.planned_short", mib=mib["needs"])
    elif mib.get("takes") != mib.get("needs"):
        more = say("memory.takes_short", mib=mib["takes"])
    wrong = verdict(case.cell, say) if case.cell.fit.reason else ""
    return Bar(case.candidate, case.name, lengths, said, more, wrong)


def _unsplit_mib(sizes: _Sizes) -> float | None:
    if sizes.peak_reserved_mib is None or sizes.peak_allocated_mib is None:
        return None
    return sizes.peak_reserved_mib - sizes.peak_allocated_mib


def _planned_table(cases: Iterable[Shown], say: Say) -> Table:
    cases, plans = known_of(cases, lambda case: case.plan)
    columns = (
        *subjects(cases, say),
        *(
            in_mib(say.name("breakdown", name), ((plan.breakdown_mib or {}).get(name) for plan in plans), "breakdown")
            for name in dict.fromkeys(name for plan in plans for name in plan.breakdown_mib or ())
        ),
        in_mib(say("breakdown.unsplit"), map(_unsplit_mib, plans), "breakdown"),
        in_mib(say("head.context"), (plan.context_mib for plan in plans), "context"),
        in_mib(say("head.peak_device"), (plan.peak_device_mib for plan in plans), "peak_device"),
        in_mib(say("head.needs_device"), (plan.needs_device_mib for plan in plans), "needs_device"),
        in_mib(say("head.optimizer_states"), (plan.optimizer_states_mib for plan in plans), "optimizer_states"),
        in_mib(say("head.paged"), (plan.paged_mib for plan in plans), "paged"),
        words(say("head.verdict"), (verdict(Cell(plan=case.cell.plan), say) for case in cases)),
    )
    return Table(say("memory.planned_caption"), columns)


def _measured_table(cases: Iterable[Shown], say: Say) -> Table:
    """What each case was measured to need, beside the plan for the very lengths of its run."""
    cases, records = known_of(cases, lambda case: case.full_size)
    reserved = (record.plan.peak_reserved_mib if record.plan else None for record in records)
    off_by = (plan_is_off_by(record, "peak_reserved_mib") for record in records)
    columns = (
        *subjects(cases, say),
        *catalogued(MEMORY, cases, say),
        in_mib(say("head.planned_reserved"), reserved, "peak_reserved"),
        figures(say("head.off_by"), map(digits.difference, off_by), "plan"),
        words(say("head.verdict"), (verdict(Cell(record), say) for record in records)),
    )
    return Table(say("memory.measured_caption"), columns)


def _advice_table(cases: Iterable[Shown], say: Say) -> Table:
    cases, advice = known_of(cases, lambda case: case.plan.advice if case.plan else None)
    columns = (
        words(say("head.candidate"), (case.candidate for case in cases)),
        words(say("head.variant"), (each.variant for each in advice), "plan"),
        *(
            figures(say(f"advice.{name}"), (digits.count(getattr(each, name) or None) for each in advice), "plan")
            for name in ("batch_size", "row_tokens", "largest_batch", "largest_rank")
        ),
        in_mib(say("advice.checkpointing_saves"), (each.checkpointing_saves_mib for each in advice), "plan"),
    )
    return Table(say("advice.caption"), columns)
