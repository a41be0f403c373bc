"""What a candidate's cases come to, in a word: whether it fits the budget, and if not at every rank, at which."""

from __future__ import annotations

from ..base.units import Verdict
from ..results.comparison import FINE_TUNING, INFERENCE, Key, Row
from ..results.record import Record

FITS, OVER, FAILED, NOT_JUDGED = "fits", "over", "failed", "not judged"

_COLOURS = {FITS: "green", "yes": "green", OVER: "red", FAILED: "red", "no": "red"}
_HAS_FAILED = ("error", "failed")
_TOO_LARGE = ("out_of_memory", "over_budget")


def verdict(row: Row) -> str:
    """`fits`, `over`, `failed`, `not judged`, or `only r16/r32` for the ranks at which it fits.

    A measured peak counts before a planned one. What cannot answer within the budget fits at no rank.
    """
    answering = _of_case(row, (INFERENCE, None))
    ranks = sorted({rank for _, rank in (*row.records, *row.plans) if rank is not None})
    words = {rank: _of_case(row, (FINE_TUNING, rank)) for rank in ranks}
    known = set(filter(None, words.values()))
    if answering in (OVER, FAILED) or not known:
        return answering or NOT_JUDGED
    if known == {FITS}:
        return FITS
    fitting = [f"r{rank}" for rank, word in words.items() if word == FITS]
    if fitting:
        return f"only {'/'.join(fitting)}"
    return OVER if OVER in known else FAILED


def colour_of(word: str) -> str:
    """The colour of a verdict, or of the words that the full table has for it."""
    return _COLOURS.get(word, "yellow")


def _of_case(row: Row, key: Key) -> str | None:
    """The verdict on one workload at one rank; None where nothing tells."""
    measured, plan = row.records.get(key), row.plans.get(key)
    if measured is not None and measured.outcome in _HAS_FAILED:
        return FAILED
    found = _by_peak(measured) or _by_peak(plan)
    return FAILED if found is None and plan is not None and plan.outcome in _HAS_FAILED else found


def _by_peak(record: Record | None) -> str | None:
    if record is None:
        return None
    if record.outcome in _TOO_LARGE:
        return OVER
    if record.peak_device_mib is None:
        return None
    return FITS if Verdict(record.peak_device_mib, record.budget_mib).within else OVER
