"""One case's result in a line, for a log that nobody watches while it grows."""

from __future__ import annotations

from ..results.record import Record, seconds_a_prompt


def figures(record: Record) -> str:
    """What a case came to, such as `58.7 s, peak 9120 MiB of 12288`; empty if it came to nothing."""
    parts = []
    if record.outcome in ("over_budget", "out_of_memory"):
        parts.append(record.outcome.replace("_", " "))
    if record.scale == "mini":
        parts.append("rehearsed")
    if record.workload == "inference":
        seconds = seconds_a_prompt(record)
        parts += [] if seconds is None else [f"{seconds:.2f} s a prompt"]
    elif record.seconds is not None:
        parts.append(f"{record.seconds:.1f} s")
    if record.peak_device_mib is not None:
        what = "planned peak" if record.planned_workload else "peak"
        parts.append(f"{what} {record.peak_device_mib:.0f} MiB of {record.budget_mib:.0f}")
    if record.taints:
        parts.append("doubtful")
    return ", ".join(parts)
