"""One case's figures as the overview's cells."""

from __future__ import annotations

from ..results.comparison import Key, Row
from ..results.record import Record
from .table import memory_of, seconds_of

NONE = "-"
MARKS = {"~": "planned", "*": "doubtful", "OOM": "out of memory"}
"""What must be told of, where it stands in a table."""

_WORDS = {"out_of_memory": "OOM", "error": "error", "failed": "failed", "skipped": "skipped"}
_DIGITS = 3


def mib(row: Row, key: Key, *, is_measured: bool, is_planned: bool) -> str:
    """What a case needs on the device; a word where it did not come to that.

    Where anything of a device was measured, a planned figure is marked. Where nothing was measured or planned of one,
    it is what there is in its place.
    """
    record, plan = row.records.get(key), row.plans.get(key)
    if record and record.peak_device_mib is not None and record.outcome != "out_of_memory":
        return in_form(record.peak_device_mib, ".0f") + _doubt(record)
    if record and record.outcome in _WORDS and (is_measured or not is_planned):
        return _WORDS[record.outcome]
    if is_planned:
        mark = "~" if is_measured and plan and plan.peak_device_mib is not None else ""
        return mark + planned_mib(row, key)
    return in_form(memory_of(record) if record else None, ".0f")


def planned_mib(row: Row, key: Key) -> str:
    """What its plan says."""
    plan = row.plans.get(key)
    if plan is None or plan.peak_device_mib is None:
        return NONE if plan is None else _WORDS.get(plan.outcome, NONE)
    return in_form(plan.peak_device_mib, ".0f")


def seconds(row: Row, key: Key) -> str:
    """How long it took."""
    record = row.records.get(key)
    return NONE if record is None else _short(seconds_of(record)) + _doubt(record)


def study_seconds(row: Row, key: Key) -> str:
    """How long it took in the study."""
    return _short(row.published[key].seconds) if key in row.published else NONE


def study_mib(row: Row, key: Key) -> str:
    """What was allocated after the run, in the study."""
    return in_form(row.published[key].allocated_after_mib, ".0f") if key in row.published else NONE


def in_form(figure: float | None, form: str) -> str:
    """A figure, or that there is none."""
    return NONE if figure is None else format(figure, form)


def _short(figure: float | None) -> str:
    """In three digits, or as many as stand before the point."""
    return in_form(figure, f".{max(0, _DIGITS - len(str(int(figure or 0))))}f")


def _doubt(record: Record) -> str:
    return "*" if record.taints else ""
