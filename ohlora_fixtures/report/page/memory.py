"""Memory of every candidate and variant on one axis: what is needed as planned, and what was measured."""

from ...base.messages import Message
from ...choice.selection import Selection
from ...meters.memory import MemoryReading
from ...results.comparison import Comparison
from ...results.record import Record
from .. import changes, details, digits
from ..notes import held_to_least
from ..tables import Shown, cases_of, verdict
from ..words import Say, texts
from .bars import Bar, Bars, figure_of, standings
from .contents import Figure


def figure(found: Comparison, selection: Selection, say: Say) -> Figure | None:
    """The figure; None without any plan or measurement at full size."""
    cases = [case for case in cases_of(found, say) if _lengths(case) or case.cell.fit.reason is not None]
    if not cases:
        return None
    limits = tuple(_limit(record, say) for record in held_to_least(found.records))
    bars = tuple(_bar(case, say) for case in cases)
    drawn = Bars(say("memory.title"), say("axis.mib"), "needs_device", bars, standings(selection, say), limits)
    tables = (
        details.breakdown(cases, say),
        details.memory(cases, say),
        details.advice(cases, say),
        changes.ways(found, say),
    )
    return figure_of("memory", (drawn, *_changed(found, limits, say)), tables, say)


def _limit(record: Record, say: Say) -> tuple[float, str]:
    """What a record is held to, and which limit that is: the budget's, or the card's."""
    mib = record.limit_mib
    is_budget = mib == record.experiment.budget_mib
    return mib, say("memory.budget_short" if is_budget else "memory.card_short", mib=digits.mib(mib))


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
    table, axis = changes.added(found, say), say("axis.mib")
    return (Bars(say("changes.title"), axis, "needs_device", tuple(bars), ends, limits, table),)


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
