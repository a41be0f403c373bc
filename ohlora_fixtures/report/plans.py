"""What plans say besides the comparison's figures: what else would fit, and what a peak is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..results.comparison import Comparison
from ..results.record import Record
from .columns import Column

BREAKDOWN_HEADING = (
    "MiB at the moment when most is allocated; reserved is the allocator's segments, card adds the context."
)

_ADVICE = ("lora_rank", "batch_size", "row_tokens", "largest_batch", "largest_rank", "checkpointing_saves_mib")
"""What is shown of a plan's advice."""


def advice_heading(comparison: Comparison) -> str:
    """What the advice is about."""
    record = advised(comparison)[0]
    assert record.advice is not None
    return (
        f"What else would fit into {record.budget_mib:.0f} MiB, at r{record.advice['lora_rank']}, batch "
        f"{record.advice['batch_size']} and rows as long as the longest; found by planning:"
    )


def advice(comparison: Comparison) -> list[Column]:
    """A row for each candidate that has been advised; no columns without one."""
    records = advised(comparison)
    if not records:
        return []

    def cells(text: Callable[[dict[str, Any]], str]) -> list[str]:
        return [text(record.advice or {}) for record in records]

    return [
        Column("candidate", [record.candidate for record in records]),
        Column("longest\nrow", cells(lambda each: f"{each['row_tokens']}"), is_text=False),
        Column("largest\nbatch", cells(lambda each: str(each["largest_batch"] or "none")), is_text=False),
        Column("largest\nrank", cells(lambda each: str(each["largest_rank"] or "none")), is_text=False),
        Column(
            "gradient checkpointing\nsaves MiB",
            cells(lambda each: f"{each['checkpointing_saves_mib']:.0f}"),
            is_text=False,
        ),
    ]


def breakdown(comparison: Comparison) -> list[Column]:
    """A row for each planned case; no columns without one."""
    records = [record for record in comparison.records if record.breakdown_mib]
    if not records:
        return []
    names = list(dict.fromkeys(name for record in records for name in record.breakdown_mib or ()))
    parts = [
        Column(
            name.replace("_", " "),
            [_whole((record.breakdown_mib or {}).get(name)) for record in records],
            is_text=False,
        )
        for name in names
    ]
    sums = ("peak_allocated_mib", "peak_reserved_mib", "peak_device_mib")
    totals = [
        Column(
            name.split("_")[1].replace("device", "card"),
            [_whole(getattr(record, name)) for record in records],
            is_text=False,
        )
        for name in sums
    ]
    return [Column("case", [_case(record) for record in records]), *parts, *totals]


def _whole(mib: float | None) -> str:
    return "-" if mib is None else f"{mib:.0f}"


def _case(record: Record) -> str:
    return f"{record.candidate}, {'inference' if record.lora_rank is None else f'r{record.lora_rank}'}"


def advised(comparison: Comparison) -> list[Record]:
    """The plans with advice that says all that is shown of it."""
    return [record for record in comparison.records if record.advice and _is_whole(record.advice)]


def _is_whole(advice: dict[str, Any]) -> bool:
    """Whether advice, which can be another version's, says all that is shown of it."""
    return all(type(advice.get(name)) in (int, float) for name in _ADVICE)
