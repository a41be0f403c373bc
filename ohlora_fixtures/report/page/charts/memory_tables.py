"""The numbers behind the memory chart."""

from __future__ import annotations

from ....base.words import Say
from ....results.comparison import Comparison, Row
from ....results.record import Record
from ... import digits
from ...plans import advised
from ..cases import full_size, keys, name_of, verdict
from ..figure import Column, Table


def planned(found: Comparison, rows: list[Row], say: Say) -> Table:
    """What each planned peak is made of."""
    plans = [(row, key, row.plans[key]) for row in rows for key in keys(found) if key in row.plans]
    names = list(dict.fromkeys(name for _, _, plan in plans for name in plan.breakdown_mib or ()))
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        *(Column(say.name("breakdown", name), "breakdown") for name in names),
        Column(say("breakdown.unsplit"), "breakdown"),
        Column(say("breakdown.context"), "context"),
        Column(say("head.peak_device"), "peak_device"),
        Column(say("head.verdict"), is_text=True),
    )
    cells = [
        (
            row.candidate.name,
            name_of(key, say),
            *(digits.mib((plan.breakdown_mib or {}).get(name)) for name in names),
            digits.mib(unsplit_mib(plan)),
            digits.mib(plan.context_mib),
            digits.mib(plan.peak_device_mib),
            verdict([plan], say) or say("memory.fits"),
        )
        for row, key, plan in plans
    ]
    return Table(say("memory.planned_caption"), columns, cells)


_SIZES = ("allocated_after", "peak_allocated", "peak_reserved", "context", "peak_device")


def measured(found: Comparison, rows: list[Row], say: Say) -> Table:
    """What each case was measured to need, beside the plan for the very lengths of its run."""
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        *(Column(say(f"head.{name}"), name) for name in _SIZES),
        Column(say("head.planned_reserved"), "peak_reserved"),
        Column(say("head.off_by"), "plan"),
        Column(say("head.verdict"), is_text=True),
    )
    cells = []
    for row in rows:
        for key in keys(found):
            if (record := full_size(row, key)) is not None:
                said = verdict([record], say)
                fits = say("memory.fits") if record.peak_device_mib is not None else say("memory.not_judged")
                sizes = [getattr(record, f"{name}_mib") for name in (*_SIZES, "planned_peak_reserved")]
                cells.append(
                    (row.candidate.name, name_of(key, say), *map(digits.mib, sizes), _off_by(record), said or fits)
                )
    return Table(say("memory.measured_caption"), columns, cells)


def advice(found: Comparison, say: Say) -> Table:
    """What else would fit, as far as plans say so."""
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.rank"), "plan", is_text=True),
        *(Column(say(f"advice.{name}"), "plan") for name in _ADVICE),
        Column(say("advice.checkpointing_saves"), "plan"),
    )
    cells = []
    for record in advised(found):
        advice = record.advice or {}
        figures = (digits.count(advice[name] or None) for name in _ADVICE)
        saved = digits.mib(advice["checkpointing_saves_mib"])
        cells.append((record.candidate, f"r{advice['lora_rank']}", *figures, saved))
    return Table(say("advice.caption"), columns, cells)


_ADVICE = ("batch_size", "row_tokens", "largest_batch", "largest_rank")


def _off_by(record: Record) -> str:
    """How far the plan of a run that ended is off, as a share of what was measured."""
    measured, planned = record.peak_reserved_mib, record.planned_peak_reserved_mib
    if not measured or planned is None or record.seconds is None:
        return digits.NONE
    return f"{planned / measured - 1:+.2%}"


def unsplit_mib(record: Record) -> float | None:
    """What was reserved and not allocated at the peaks."""
    if record.peak_reserved_mib is None or record.peak_allocated_mib is None:
        return None
    return record.peak_reserved_mib - record.peak_allocated_mib
