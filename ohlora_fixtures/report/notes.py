"""What must be said of a comparison's figures, a sentence each."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..base.messages import Message, message
from ..results.comparison import Comparison
from ..results.record import Record

REHEARSAL = (
    "REHEARSAL: what was measured ran on mini replicas with random weights. The cases are real runs of the code, but "
    "their times and memory compare nothing: neither the candidates nor this machine with another."
)
_MOST_NAMES = 8
"""More would hide what they are about."""


@dataclass(frozen=True)
class Note:
    """One sentence below a table."""

    text: str
    is_caution: bool = True
    """Whether figures are read otherwise for it; what is not one explains what they always are."""
    brief: str = ""
    """The sentence where there is little room; empty for the same."""


def distinct(values: Iterable[str | None]) -> list[str]:
    """Each value once, in their order; None is left out."""
    return list(dict.fromkeys(value for value in values if value is not None))


def devices_of(records: Iterable[Record]) -> list[str]:
    """The devices that records were measured on or planned for."""
    return distinct(record.environment.device for record in records)


def said_of(basis: str | None) -> str:
    """What is said beside a figure that is not from such a card itself; nothing of one that is, or if nobody knows."""
    return "" if basis in (None, "measured") else f" ({basis})"


def budgets_of(records: Sequence[Record]) -> str:
    """The budgets of records, and if plans are held to less, what one process can have of the card."""
    budgets = " or ".join(distinct(f"{record.experiment.budget_mib:.0f} MiB" for record in records))
    held = [record for record in records if record.limit_mib < record.experiment.budget_mib]
    usable = " or ".join(distinct(f"{each.limit_mib:.0f} MiB{said_of(each.environment.usable_basis)}" for each in held))
    return f"{budgets}, of which one process can have {usable}" if usable else budgets


def together(values: Iterable[str | None]) -> str | None:
    """Each value once, in words; None if there is none."""
    return " and ".join(distinct(values)) or None


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> Message | str:
    """Names in a row, and how many more there are."""
    more, some = len(names) - most, ", ".join(names[:most])
    return message("names.more", names=some, count=more) if more > 0 else some


def notes(comparison: Comparison) -> Iterator[Note]:
    """Every note, in the order in which a reader meets what they are about."""
    records, ran = comparison.records, comparison.measured
    yield from _on_measured(comparison, ran)
    yield from _on_settings(ran)
    for text in (*_on_limits(ran), *_on_plans_beside(ran), *_on_planned(comparison)):
        yield Note(text, is_caution=False)
    yield from _on_protocol(records)
    for row in comparison.rows:
        if row.candidate.unverified:
            yield Note(f"?: {row.candidate.name} is unverified: {row.candidate.unverified}")
    yield from (Note(str(each)) for each in (*mixed_notes(comparison), *comparison.notes))
    yield from _on_failures(records)
    yield from _on_taints(ran)


def rows_used(records: Iterable[Record]) -> list[Message]:
    """Of a dataset that is not the suite's own, the rows trained on, such as `20 of 3,000 rows`."""
    asked = dict.fromkeys(
        (each.experiment.row_count("fine_tuning_rows"), each.experiment.dataset_rows) for each in records
    )
    return [message("names.rows", count1=used, count2=there) for used, there in asked if there is not None]


def mixed_notes(comparison: Comparison) -> list[Message]:
    """A message for each way in which records differ that ought to be alike; none for one session's own."""
    records, ran = comparison.records, comparison.measured
    found = []
    if len(devices := devices_of(ran)) > 1:
        on = {device: [each.case.candidate for each in ran if each.environment.device == device] for device in devices}
        names = [message("names.on_device", device=device, names=listed(distinct(on[device]))) for device in devices]
        found.append(message("note.devices", count=len(devices), names=names))
    for key, values in (
        ("note.cards", devices_of(comparison.plans)),
        ("note.weights", distinct(record.environment.weights for record in ran)),
        ("note.protocol_hash", distinct(record.experiment.protocol_hash for record in records)),
        ("note.dataset_sha256", distinct(record.experiment.dataset_sha256 for record in records)),
    ):
        if len(values) > 1:
            found.append(message(key, values=[_short(value) for value in values]))
    versions: dict[str, dict[str, None]] = {}
    for record in records:
        for package, version in record.environment.versions.items():
            versions.setdefault(package, {})[version] = None
    if told := [f"{package} {', '.join(several)}" for package, several in versions.items() if len(several) > 1]:
        found.append(message("note.versions", versions=told))
    return found


def _short(value: str) -> str:
    """A digest's first digits; another value as it is."""
    return value[:12] if re.fullmatch(r"[0-9a-f]{13,}", value) else value


def meaning_of_mib(comparison: Comparison) -> str:
    """What a measured case's MiB are."""
    if comparison.has_device_memory:
        return "most memory on the device"
    if any(record.measured.memory.allocated_after_mib is not None for record in comparison.measured):
        return "what was allocated after the run, not the peak"
    return "growth of the process's resident set"


def plan_is_off_by(record: Record, name: str) -> float | None:
    """How far a measured case's plan is off in one figure of its memory, as a share of what was measured.

    None where a case is not both planned and measured to its end.
    """
    measured, planned = getattr(record.measured.memory, name), getattr(record.plan, name, None)
    if record.measured.seconds is None or not measured or planned is None:
        return None
    share: float = (planned - measured) / measured
    return share


def _on_measured(comparison: Comparison, ran: Sequence[Record]) -> Iterator[Note]:
    some = next((record for record in ran if record.measured.tokenizer), None)
    if some is None:
        return
    device = together(record.environment.device for record in ran)
    scale = together(record.environment.scale for record in ran)
    weights = together(record.environment.weights for record in ran)
    tokenizer = together(record.measured.tokenizer for record in ran)
    yield Note(f"measured: {device}, {scale} size, {weights} weights, {tokenizer} tokenizer", is_caution=False)
    if None in comparison.columns:
        told = (
            "prompt s: seconds of inference per prompt, the median after the warm-up; of all prompts if the warm-up "
            "leaves none; the mean where single times are not known"
        )
        yield Note(told, is_caution=False)
    if some.environment.weights == "random" and not comparison.is_rehearsal:
        real = "time and memory are" if comparison.has_device_memory else "time is"
        yield Note(f"weights are random: {real} real, answers are not")


def _on_settings(ran: Sequence[Record]) -> Iterator[Note]:
    """What was done to the card to make it the one asked for, and what else of it the figures depend on."""
    capped = next((record for record in ran if record.measured.cap_mib is not None), None)
    if capped is not None:
        yield Note(
            f"cap: PyTorch's memory on this larger card was limited to {capped.measured.cap_mib:.0f} MiB, the budget "
            "less the CUDA context. What does not fit really runs out of memory; times are the larger card's"
        )
    environments = [record.environment for record in ran]
    settled = next((each for each in environments if each.cublas_workspace_config), None)
    if settled is not None:
        backends = ", ".join(settled.attention_backends or ())
        told = f"cuBLAS workspace {settled.cublas_workspace_config}; attention backends on: {backends}"
        yield Note(told, is_caution=False)
    if allocator := next((each.allocator_settings for each in environments if each.allocator_settings), None):
        yield Note(f"allocator settings {allocator}: reserved memory depends on them, and plans assume the defaults")
    if any(each.native_bf16 is False for each in environments):
        yield Note("this card has no bf16 of its own: PyTorch emulates it, which costs time but no memory")


def _on_limits(ran: Sequence[Record]) -> Iterator[str]:
    each = [record.measured.utilization for record in ran]
    flops = [(one.flops_utilization, one.matrix_peak_tflops) for one in each]
    bandwidth = [(one.bandwidth_utilization, one.bandwidth_peak_gb_per_second) for one in each]
    for reached, what in (
        (flops, "fine-tuning reached {} of the card's {:g} TFLOP/s of matrix products"),
        (bandwidth, "inference reached {} of its memory's {:g} GB/s"),
    ):
        shares = sorted(share for share, _ in reached if share is not None)
        peak = next((peak for _, peak in reached if peak), None)
        if shares and peak is not None:
            ends = dict.fromkeys(f"{share:.1%}" for share in (shares[0], shares[-1]))
            yield what.format(" to ".join(ends), peak)


def _on_plans_beside(ran: Iterable[Record]) -> Iterator[str]:
    names = ("peak_reserved_mib", "peak_allocated_mib")
    found = [[plan_is_off_by(record, name) for name in names] for record in ran]
    compared = [[abs(share) for share in both if share is not None] for both in found if None not in both]
    if not compared:
        return
    parts = [
        f"peak {name} off by at most {max(sizes):.2%}, {fmean(sizes):.2%} in the mean"
        for name, sizes in zip(("reserved", "allocated"), zip(*compared, strict=True), strict=True)
    ]
    count = f"{len(compared)} {'case' if len(compared) == 1 else 'cases'}"
    yield f"plan against measurement, {count}: {'; '.join(parts)}"


def _on_planned(comparison: Comparison) -> Iterator[str]:
    planned = comparison.plans
    some = next((record for record in planned if record.plan and record.plan.tokenizer), None)
    if some is None or some.plan is None:
        return
    estimated = [
        row.candidate.name
        for row in comparison.rows
        if any(each.plan is not None and each.plan.tokenizer == "estimated" for each in row.plans)
    ]
    whose = "all candidates" if len(estimated) == len(comparison.rows) else ", ".join(estimated)
    lengths = f"; lengths of {whose} estimated from characters a token" if estimated else ""
    context_mib, doubt = some.plan.context_mib, said_of(some.environment.context_basis)
    context = "" if context_mib is None else f", {context_mib:.0f} MiB of it for the CUDA context{doubt}"
    cards = devices_of(planned)
    card = " or ".join(cards) if len(cards) > 1 else f"{some.environment.device}{context}"
    yield f"plan: what the full-size model would need at most on a {card}{lengths}"


def _on_protocol(records: Sequence[Record]) -> Iterator[Note]:
    hashes = " or ".join(distinct(record.experiment.protocol_hash for record in records))
    yield Note(f"budget {budgets_of(records)}, protocol {hashes}", is_caution=False)
    for changes in distinct(", ".join(map(str, record.experiment.protocol_changes)) for record in records):
        if changes:
            yield Note(f"the protocol differs from the study's: {changes}")


def _on_failures(records: Iterable[Record]) -> Iterator[Note]:
    not_passed: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.outcome.kind != "passed":
            not_passed.setdefault((record.outcome.kind, str(record.outcome.reason)), []).append(record.case.id)
    for (kind, reason), cases in not_passed.items():
        word = kind.replace("_", " ")
        told, brief = (f"{word}: {names}: {reason}" for names in (", ".join(cases), listed(cases, most=1)))
        yield Note(told, is_caution=kind != "over_budget", brief=brief)  # of that budget a figure itself tells


def _on_taints(records: Iterable[Record]) -> Iterator[Note]:
    cases: dict[str, list[str]] = {}
    for record in records:
        for taint in record.taints:
            cases.setdefault(str(taint), []).append(record.case.id)
    return (Note(f"tainted (*): {taint}: {', '.join(names)}") for taint, names in cases.items())
