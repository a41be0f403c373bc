"""What cases measured on a GPU say besides the comparison's figures: plans, the hardware's limits, taints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..results.comparison import Comparison
from ..results.record import Record
from .columns import Column

PLAN_HEADING = "Both for the very lengths of the run; how far the plan is off, as a share of what was measured."
LIMIT_HEADING = (
    "After the warm-up. Operations and bytes are those of matrix products and attention alone, counted with PyTorch's "
    "FLOP counter: lower bounds."
)


def capped_notes(records: Iterable[Record]) -> list[str]:
    """What was done to the card to make it the one asked for."""
    capped = next((record for record in records if record.cap_mib is not None), None)
    if capped is None:
        return []
    held = (
        f"PyTorch's memory on this larger card was held to {capped.cap_mib:.0f} MiB, the budget less the CUDA context"
    )
    return [f"the cap: {held}. What does not fit runs out of memory for real; times are the larger card's"]


def workspace_notes(records: Iterable[Record]) -> list[str]:
    """What else was settled for it."""
    settled = next((record for record in records if record.cublas_workspace_config), None)
    if settled is None:
        return []
    backends = ", ".join(settled.attention_backends or ())
    return [f"cuBLAS workspace {settled.cublas_workspace_config}; attention backends on: {backends}"]


def settings_notes(records: Sequence[Record]) -> list[str]:
    """What else of the card and its settings the figures depend on."""
    notes = []
    told = next((record for record in records if record.allocator_settings), None)
    if told is not None:
        notes.append(
            f"allocator settings {told.allocator_settings}: reserved memory depends on them, plans know the defaults"
        )
    if any(record.native_bf16 is False for record in records):
        notes.append("this card has no bf16 of its own: PyTorch emulates it, which takes time and no memory")
    return notes


def taint_notes(records: Iterable[Record]) -> list[str]:
    """Each taint once, with the cases it is about."""
    cases: dict[str, list[str]] = {}
    for record in records:
        for taint in record.taints or ():
            cases.setdefault(taint, []).append(record.case)
    return [f"tainted (*): {taint}: {', '.join(names)}" for taint, names in cases.items()]


def plan_notes(records: Iterable[Record]) -> list[str]:
    """How far plans were off."""
    compared = [record for record in records if _differences(record)]
    if not compared:
        return []
    parts = []
    for place, name in enumerate(("reserved", "allocated")):
        sizes = [abs(_differences(record)[place]) for record in compared]
        parts.append(f"peak {name} off by at most {max(sizes):.2%}, {sum(sizes) / len(sizes):.2%} in the mean")
    count = f"{len(compared)} {'case' if len(compared) == 1 else 'cases'}"
    return [f"plan against measurement, {count}: {'; '.join(parts)}"]


def limit_notes(records: Sequence[Record]) -> list[str]:
    """Which part of the card's peaks was reached."""
    notes = []
    for name, peak, what in (
        (
            "flops_utilization",
            "matrix_peak_tflops",
            "fine-tuning reached {} of the card's {:g} TFLOP/s of matrix products",
        ),
        ("bandwidth_utilization", "bandwidth_peak_gb_per_second", "answering reached {} of its memory's {:g} GB/s"),
    ):
        reached = [record for record in records if None not in (getattr(record, name), getattr(record, peak))]
        if reached:
            shares = sorted(getattr(record, name) for record in reached)
            ends = dict.fromkeys(f"{share:.1%}" for share in (shares[0], shares[-1]))
            notes.append(what.format(" to ".join(ends), getattr(reached[0], peak)))
    return notes


def plan_columns(comparison: Comparison) -> list[Column]:
    """A row for each case that has been planned and measured; no columns without one."""
    records = [record for record in comparison.records if _differences(record)]
    if not records:
        return []
    columns = [Column("case", [record.case for record in records])]
    for name in ("peak_reserved_mib", "peak_allocated_mib"):
        head = name.removesuffix("_mib").replace("_", " ")
        columns += [
            _figures(f"{head}: measured", [getattr(record, name) for record in records], ".0f"),
            _figures("planned", [getattr(record, f"planned_{name}") for record in records], ".0f"),
            _figures("off by", [_difference(record, name) for record in records], "+.2%"),
        ]
    columns += [_figures("CUDA context: measured", [record.context_mib for record in records], ".0f")]
    return columns


def limit_columns(comparison: Comparison) -> list[Column]:
    """A row for each case whose work was counted; no columns without one."""
    records = [record for record in comparison.records if record.flops or record.moved_bytes]
    if not records:
        return []
    return [
        Column("case", [record.case for record in records]),
        _figures("TFLOP/s", [record.tflops_per_second for record in records], ".2f"),
        _figures("of the matrix peak", [record.flops_utilization for record in records], ".1%"),
        _figures("GB/s", [record.gb_per_second for record in records], ".1f"),
        _figures("of the bandwidth", [record.bandwidth_utilization for record in records], ".1%"),
    ]


def _figures(head: str, values: Iterable[float | None], form: str) -> Column:
    return Column(head, ["-" if value is None else format(value, form) for value in values], is_text=False)


def _differences(record: Record) -> list[float]:
    """Of peak reserved and peak allocated memory; empty where a case is not both planned and measured to its end."""
    found = [_difference(record, name) for name in ("peak_reserved_mib", "peak_allocated_mib")]
    return [each for each in found if each is not None] if record.seconds is not None and None not in found else []


def _difference(record: Record, name: str) -> float | None:
    measured, planned = getattr(record, name), getattr(record, f"planned_{name}")
    return (planned - measured) / measured if measured and planned is not None else None
