"""Tables beside the comparison: what else would fit, what plans are made of, plan against measurement, quality."""

from collections.abc import Sequence

from ..planner.plan import Advice
from ..results.comparison import Comparison
from ..results.record import Record
from . import digits, quantities
from .layout import Column, figures, in_mib, words
from .notes import plan_is_off_by

BREAKDOWN_HEADING = (
    "MiB at the moment of peak allocation; reserved is the allocator's segments, card adds the CUDA context."
)
PLAN_HEADING = "Both are for the run's own lengths. Off by: the plan's error as a share of what was measured."
LIMIT_HEADING = (
    "Rates after the warm-up; operations and bytes are those of matrix products and attention alone, counted with "
    "PyTorch's FLOP counter: lower bounds. Temperature is the hottest sample, clock the slowest."
)
QUALITY_HEADING = (
    "The computed score, 0 to 100, with its 95 % interval over the prompts. `said` is 1 for answers without faults; "
    "the share of each fault stands beside it. `expected` is the share of the characters' entropy that the model "
    "removes from rows it was not trained on. Nats are per character of the dataset's own answers, before → after "
    "fine-tuning."
)
_PARTS = ("said", "expected", "empty", "same", "repetition", "foreign", "cut_off", "stray_beginning")
_LIMITS = (
    "tflops_per_second",
    "flops_utilization",
    "gb_per_second",
    "bandwidth_utilization",
    "highest_temperature_c",
    "lowest_sm_clock_mhz",
)


def advice_heading(comparison: Comparison) -> str:
    """What the advice is about."""
    record, found = _advised(comparison)[0]
    return (
        f"What else would fit into {record.experiment.budget_mib:.0f} MiB, with {found.variant}, batch "
        f"{found.batch_size} and rows as long as the longest; found by planning:"
    )


def advice(comparison: Comparison) -> list[Column]:
    """A row for each candidate that has been advised; no columns without one."""
    advised = _advised(comparison)
    if not advised:
        return []
    found = [each for _, each in advised]
    return [
        words("candidate", (record.case.candidate for record, _ in advised)),
        figures("longest\nrow", (digits.count(each.row_tokens) for each in found)),
        figures("largest\nbatch", (digits.count(each.largest_batch or None) for each in found)),
        figures("largest\nrank", (digits.count(each.largest_rank or None) for each in found)),
        in_mib("gradient checkpointing\nsaves MiB", (each.checkpointing_saves_mib for each in found)),
    ]


def breakdown(comparison: Comparison) -> list[Column]:
    """A row for each planned case; no columns without one."""
    found = [(record, record.plan) for record in comparison.plans if record.plan and record.plan.breakdown_mib]
    if not found:
        return []
    names = dict.fromkeys(name for _, plan in found for name in plan.breakdown_mib or ())
    return [
        words("case", (_name(record, "inference") for record, _ in found)),
        *(in_mib(_words(name), ((plan.breakdown_mib or {}).get(name) for _, plan in found)) for name in names),
        in_mib("allocated", (plan.peak_allocated_mib for _, plan in found)),
        in_mib("reserved", (plan.peak_reserved_mib for _, plan in found)),
        in_mib("card", (plan.peak_device_mib for _, plan in found)),
    ]


def plan_against_measurement(comparison: Comparison) -> list[Column]:
    """A row for each case that has been planned and measured; no columns without one."""
    names = ("peak_reserved_mib", "peak_allocated_mib")
    records = [record for record in comparison.measured if None not in [plan_is_off_by(record, name) for name in names]]
    if not records:
        return []
    columns = [words("case", (each.case.id for each in records))]
    for name in names:
        measured = (getattr(each.measured.memory, name) for each in records)
        columns += [
            in_mib(f"{_words(name.removesuffix('_mib'))}: measured", measured),
            in_mib("planned", (getattr(each.plan, name) for each in records)),
            figures("off by", (digits.difference(plan_is_off_by(each, name)) for each in records)),
        ]
    return [*columns, in_mib("CUDA context: measured", (each.measured.memory.context_mib for each in records))]


def limits(comparison: Comparison) -> list[Column]:
    """A row for each case of which it is known how near the card's limits it came; no columns without one."""
    shown = [each for each in quantities.MEASURED if each.name in _LIMITS]
    records = [record for record in comparison.measured if any(each.read(record) is not None for each in shown)]
    if not records:
        return []
    known = quantities.known(shown, records)
    return [
        words("case", (record.case.id for record in records)),
        *(figures(_words(each.name), map(each.write, records)) for each in known),
    ]


def quality(comparison: Comparison) -> list[Column]:
    """A row for each judged model, untuned or tuned; no columns without one."""
    records = [record for record in comparison.measured if record.quality.score is not None]
    if not records:
        return []
    found = [record.quality for record in records]
    trained = ((each.untuned_trained_nats_per_character, each.trained_nats_per_character) for each in found)
    held_out = ((each.untuned_held_out_nats_per_character, each.held_out_nats_per_character) for each in found)
    return [
        words("model", (_name(record, "untuned") for record in records)),
        figures("score", (digits.points(each.score) for each in found)),
        figures("95 %", (" to ".join(map(digits.points, each.interval or ())) for each in found)),
        words("grade", (each.grade or "" for each in found)),
        *(figures(_words(part), (digits.score((each.parts or {}).get(part)) for each in found)) for part in _PARTS),
        figures("nats, trained rows", map(_before_and_after, trained)),
        figures("nats, held-out rows", map(_before_and_after, held_out)),
        words("overfitted", ("yes" if each.is_overfitted else "" for each in found)),
    ]


def _advised(comparison: Comparison) -> list[tuple[Record, Advice]]:
    """The plans that come with advice."""
    return [(record, record.plan.advice) for record in comparison.plans if record.plan and record.plan.advice]


def _before_and_after(nats: Sequence[float | None]) -> str:
    return " → ".join(digits.nats(each) for each in nats if each is not None) or digits.NONE


def _name(record: Record, without_variant: str) -> str:
    return f"{record.case.candidate}, {record.case.variant or without_variant}"


def _words(name: str) -> str:
    return name.replace("_", " ")
