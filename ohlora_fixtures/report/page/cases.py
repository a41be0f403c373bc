"""Which records a chart shows, and what their cases are called."""

from __future__ import annotations

from collections.abc import Iterable

from ...base.units import Verdict
from ...base.words import Say
from ...results import comparison
from ...results.comparison import INFERENCE, Comparison, Key, Row
from ...results.record import Record
from .. import digits


def keys(found: Comparison) -> list[Key]:
    """The cases that ran or were planned: ranks as they were given, then inference."""
    ranks: list[Key] = [(comparison.FINE_TUNING, rank) for rank in found.lora_ranks]
    has_inference = any(INFERENCE in (record.workload, record.planned_workload) for record in found.records)
    return [*ranks, *([(INFERENCE, None)] if has_inference else [])]


def full_size(row: Row, key: Key) -> Record | None:
    """A candidate's measured record, unless a mini replica stood in for it: its time and memory compare nothing."""
    record = row.records.get(key)
    return None if record is None or record.scale == "mini" else record


def name_of(key: Key, say: Say) -> str:
    """What a case is called beside its candidate."""
    return say("case.inference") if key[1] is None else f"r{key[1]}"


def verdict(records: Iterable[Record | None], say: Say) -> str:
    """In words, what keeps a case from counting as one that fits; empty if nothing does."""
    known = [record for record in records if record is not None]
    for outcome in ("out_of_memory", "error", "failed", "skipped"):
        if any(record.outcome == outcome for record in known):
            return say(f"outcome.{outcome}")
    judged = [
        Verdict(record.peak_device_mib, record.budget_mib) for record in known if record.peak_device_mib is not None
    ]
    over_mib = max((each.peak_device_mib - each.budget_mib for each in judged if not each.within), default=None)
    return "" if over_mib is None else say("memory.over", mib=digits.mib(over_mib))


def warm_up(record: Record) -> int:
    """How many of a record's steps or prompts were its warm-up."""
    name = "warm_up_prompts" if INFERENCE in (record.workload, record.planned_workload) else "warm_up_steps"
    told = record.protocol.get(name)
    return told if isinstance(told, int) and told > 0 else 0
