"""Memory beside a stored run's, as pytest-benchmark sets times beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..records import Record

_QUANTITIES = ("peak_device_mib", "peak_reserved_mib", "peak_rss_growth_mib")
"""The first that both runs have is compared."""


def memory_beside(records: Iterable[Record], stored_run: Mapping[str, Any]) -> list[str]:
    """A line for each case that also stands in a run stored by pytest-benchmark, with memory in its `extra_info`.

    A stored case of another scale, other weights or another protocol is told apart, not compared.
    """
    stored = {each["name"]: each.get("extra_info", {}) for each in stored_run.get("benchmarks", ())}
    return [_line(record, stored[record.case]) for record in records if record.case in stored]


def _line(record: Record, stored: Mapping[str, Any]) -> str:
    if (stored.get("scale"), stored.get("weights")) != (record.scale, record.weights):
        ran = f"{stored.get('scale')} size, {stored.get('weights')} weights"
        return f"{record.case}: not compared, the stored run had {ran}"
    if stored.get("protocol_hash", record.protocol_hash) != record.protocol_hash:
        return f"{record.case}: not compared, times neither: the stored run followed protocol {stored['protocol_hash']}"
    for quantity in _QUANTITIES:
        now_mib, then_mib = getattr(record, quantity), stored.get(quantity)
        if now_mib is not None and then_mib is not None:
            change = f"{(now_mib - then_mib) / then_mib:+.1%}" if then_mib else "no ratio to zero"
            return f"{record.case}: {quantity} {now_mib:.2f}, stored {then_mib:.2f} ({change})"
    return f"{record.case}: no memory figure in both runs"
