"""Tables beside the comparison: what else would fit, what plans are made of, plan against measurement, quality."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..base.messages import message
from ..quality.scoring import Marks
from ..results.comparison import Comparison
from ..results.record import Record
from . import changes, digits, quantities
from .layout import Column, figures, in_mib, words
from .notes import plan_is_off_by
from .words import Say, head_in

_PARTS = ("said", "matched", "expected", *Marks._fields)
"""`expected` is of an earlier version's records."""
_LIMITS = (
    "tflops_per_second",
    "flops_utilization",
    "gb_per_second",
    "bandwidth_utilization",
    "highest_temperature_c",
    "lowest_sm_clock_mhz",
)


def sections(comparison: Comparison, say: Say) -> Iterator[tuple[str, str, list[Column]]]:
    """The title, the heading and the columns of each table that has a row."""
    lead, advised = advice(comparison, say)
    found = (
        ("plans", None, _plan_against_measurement(comparison)),
        ("limits", None, _limits(comparison)),
        ("advice", lead, advised),
        ("changes", None, changes.columns(comparison, say)),
        ("ways", None, changes.ways(comparison, say)),
        ("breakdown", None, _breakdown(comparison, say)),
        ("quality", None, _quality(comparison, say)),
    )
    for name, told, columns in found:
        if columns[0].cells:
            title, heading = (
                message(f"file.{name}").text(say.language),
                told or message(f"file.{name}_lead").text(say.language),
            )
            yield title, heading, [replace(each, head=head_in(each.head, say)) for each in columns]


def advice(comparison: Comparison, say: Say) -> tuple[str, list[Column]]:
    """What the advice is about, empty if there is none, and a row for each candidate that has been advised."""
    advised = [(record, record.plan.advice) for record in comparison.plans if record.plan and record.plan.advice]
    found = [each for _, each in advised]
    heading = ""
    if advised:
        mib, first = advised[0][0].limit_mib, found[0]
        told = {"mib": mib, "variant": first.variant, "batch": first.batch_size}
        heading = message("file.advice_lead", **told).text(say.language)
    return heading, [
        words("candidate", (record.case.candidate for record, _ in advised)),
        figures("longest\nrow", (digits.count(each.row_tokens) for each in found)),
        figures("largest\nbatch", (digits.count(each.largest_batch or None) for each in found)),
        figures("largest\nrank", (digits.count(each.largest_rank or None) for each in found)),
        in_mib("gradient checkpointing\nsaves MiB", (each.checkpointing_saves_mib for each in found)),
    ]


def _breakdown(comparison: Comparison, say: Say) -> list[Column]:
    found = [(record, record.plan) for record in comparison.plans if record.plan and record.plan.breakdown_mib]
    names = dict.fromkeys(name for _, plan in found for name in plan.breakdown_mib or ())
    return [
        words("case", (_name(record, say("case.inference")) for record, _ in found)),
        *(in_mib(_words(name), ((plan.breakdown_mib or {}).get(name) for _, plan in found)) for name in names),
        in_mib("allocated", (plan.peak_allocated_mib for _, plan in found)),
        in_mib("reserved", (plan.peak_reserved_mib for _, plan in found)),
        in_mib("card", (plan.peak_device_mib for _, plan in found)),
        in_mib("needed", (plan.needs_device_mib for _, plan in found)),
    ]


def _plan_against_measurement(comparison: Comparison) -> list[Column]:
    """A row for each case that has been planned and measured."""
    names = ("peak_reserved_mib", "peak_allocated_mib")
    records = [record for record in comparison.measured if None not in [plan_is_off_by(record, name) for name in names]]
    columns = [words("case", (each.case.id for each in records))]
    for name in names:
        measured = (getattr(each.measured.memory, name) for each in records)
        columns += [
            in_mib(f"{_words(name.removesuffix('_mib'))}: measured", measured),
            in_mib("planned", (getattr(each.plan, name) for each in records)),
            figures("off by", (digits.difference(plan_is_off_by(each, name)) for each in records)),
        ]
    return [*columns, in_mib("CUDA context: measured", (each.measured.memory.context_mib for each in records))]


def _limits(comparison: Comparison) -> list[Column]:
    """A row for each case of which it is known how near the card's limits it came."""
    shown = quantities.known((each for each in quantities.MEASURED if each.name in _LIMITS), comparison.measured)
    records = [record for record in comparison.measured if quantities.known(shown, [record])]
    return [
        words("case", (record.case.id for record in records)),
        *(figures(_words(each.name), map(each.write, records)) for each in shown),
    ]


def _quality(comparison: Comparison, say: Say) -> list[Column]:
    """A row for each judged model, untuned or tuned."""
    records = [record for record in comparison.measured if record.quality.score is not None]
    found = [record.quality for record in records]
    parts = [part for part in _PARTS if any(part in (each.parts or {}) for each in found)]
    trained = ((each.untuned_trained_nats_per_character, each.trained_nats_per_character) for each in found)
    held_out = ((each.untuned_held_out_nats_per_character, each.held_out_nats_per_character) for each in found)
    return [
        words("model", (_name(record, say("answers.untuned")) for record in records)),
        figures("score", (digits.points(each.score) for each in found)),
        figures("95 %", (" to ".join(map(digits.points, each.interval or ())) for each in found)),
        words("grade", (each.grade or "" for each in found)),
        *(figures(_words(part), (digits.score((each.parts or {}).get(part)) for each in found)) for part in parts),
        figures("nats, trained rows", map(_before_and_after, trained)),
        figures("nats, held-out rows", map(_before_and_after, held_out)),
        words("overfitted", (say("listing.yes") if each.is_overfitted else "" for each in found)),
    ]


def _before_and_after(nats: Sequence[float | None]) -> str:
    return " → ".join(digits.nats(each) for each in nats if each is not None) or digits.NONE


def _name(record: Record, without_variant: str) -> str:
    return f"{record.case.candidate}, {record.case.variant or without_variant}"


def _words(name: str) -> str:
    return name.replace("_", " ")
