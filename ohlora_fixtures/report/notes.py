"""What must be said of a comparison's figures, a sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..results.comparison import INFERENCE, Comparison, Row
from ..results.record import Record
from . import measured
from .mixed import distinct, listed, mixed_notes

REHEARSAL = (
    "REHEARSAL: every candidate ran as a mini replica with random weights. The cases are real runs of the code, but "
    "their times and memory compare nothing: neither the candidates nor this machine with another."
)
_STUDY = (
    "study: the published figures, from a Colab T4 with 15 GB; its prompt s is the mean, "
    "its MiB what was allocated after the run, not the peak"
)


@dataclass(frozen=True)
class Note:
    """One sentence below a table."""

    text: str
    """The sentence."""
    is_caution: bool = True
    """Whether figures are read otherwise for it; what is not one explains what they always are."""
    brief: str = ""
    """The sentence where there is little room; empty for the same."""


def notes(comparison: Comparison) -> Iterator[Note]:
    """Every note, in the order in which a reader meets what they are about."""
    records = comparison.records
    ran = [record for record in records if record.planned_workload is None]
    yield from _on_measured(comparison, ran)
    yield from map(Note, measured.capped_notes(ran))
    yield from _explanations(measured.workspace_notes(ran))
    yield from map(Note, measured.settings_notes(ran))
    yield from _explanations([*measured.limit_notes(ran), *measured.plan_notes(ran), *_on_planned(comparison)])
    yield from _explanations((_STUDY,) if any(row.published for row in comparison.rows) else ())
    yield from _on_protocol(records)
    for row in comparison.rows:
        if row.candidate.unverified:
            yield Note(f"?: {row.candidate.name} is unverified: {row.candidate.unverified}")
    yield from map(Note, [*mixed_notes(records), *comparison.notes])
    yield from _on_failures(records)
    yield from map(Note, measured.taint_notes(ran))


def meaning_of_mib(comparison: Comparison) -> str:
    """What a measured case's MiB are."""
    if comparison.has_device_memory:
        return "most memory on the device"
    if any(record.allocated_after_mib is not None for record in comparison.records if not record.planned_workload):
        return "what was allocated after the run, not the peak"
    return "growth of the process's resident set"


def in_words(outcome: str) -> str:
    """An outcome as a sentence has it."""
    return outcome.replace("_", " ")


def _explanations(texts: Iterable[str]) -> Iterator[Note]:
    return (Note(text, is_caution=False) for text in texts)


def _on_measured(comparison: Comparison, ran: list[Record]) -> Iterator[Note]:
    some = next((record for record in ran if record.tokenizer), None)
    if some is None:
        return
    label = "here" if some.cap_mib is None else "capped"
    device, scale, weights, tokenizer = (
        " and ".join(distinct(name, ran)) or None for name in ("device", "scale", "weights", "tokenizer")
    )
    what = f"{device}, {scale} size, {weights} weights, {tokenizer} tokenizer; MiB: {meaning_of_mib(comparison)}"
    told = [f"{label}: {what}"]
    if comparison.lora_ranks:
        told.append(f"r{comparison.lora_ranks[0]} s: seconds of the whole fine-tuning run at that LoRA rank")
    if any(INFERENCE in (record.workload, record.planned_workload) for record in comparison.records):
        told.append(
            "prompt s: seconds of inference for one prompt, the median after the warm-up, or of all if none is left, "
            "or the mean where the single times are not known"
        )
    yield from _explanations(told)
    if some.weights == "random" and not comparison.is_rehearsal:
        real = "time and memory are" if comparison.has_device_memory else "time is"
        yield Note(f"weights are random: {real} real, answers are not")


def _on_planned(comparison: Comparison) -> Iterator[str]:
    planned = [record for record in comparison.records if record.planned_workload is not None]
    some = next((record for record in planned if record.tokenizer), None)
    if some is None:
        return
    estimated = [row.candidate.name for row in comparison.rows if _is_estimated(row)]
    whose = "all candidates" if len(estimated) == len(comparison.rows) else ", ".join(estimated)
    lengths = f"; lengths of {whose} estimated from characters a token" if estimated else ""
    context = "" if some.context_mib is None else f", {some.context_mib:.0f} MiB of it for the CUDA context"
    cards = distinct("device", planned)
    card = f"{some.device}{context}" if len(cards) < 2 else " or ".join(cards)  # noqa: PLR2004
    yield f"plan: what the full-size model would need at most on a {card}{lengths}"


def _is_estimated(row: Row) -> bool:
    return any(plan.tokenizer == "estimated" for plan in row.plans.values())


def _on_protocol(records: Iterable[Record]) -> Iterator[Note]:
    records = list(records)
    budgets = " or ".join(dict.fromkeys(f"{record.budget_mib:.0f} MiB" for record in records))
    hashes = " or ".join(distinct("protocol_hash", records))
    yield Note(f"budget {budgets}, protocol {hashes}", is_caution=False)
    for changes in dict.fromkeys(", ".join(record.protocol_changes) for record in records if record.protocol_changes):
        yield Note(f"the protocol differs from the study's: {changes}")


def _on_failures(records: Iterable[Record]) -> Iterator[Note]:
    not_passed: dict[tuple[str, str | None], list[str]] = {}
    for record in records:
        if record.outcome != "passed":
            not_passed.setdefault((record.outcome, record.reason), []).append(record.case)
    for (outcome, reason), cases in not_passed.items():
        told, brief = (f"{in_words(outcome)}: {names}: {reason}" for names in (", ".join(cases), listed(cases, most=1)))
        yield Note(told, is_caution=outcome != "over_budget", brief=brief)  # of that budget a figure itself tells
