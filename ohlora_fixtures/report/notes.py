"""What must be said of a comparison's figures, a sentence each."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from ..base.messages import Message, message, texts
from ..inputs.protocol import Sampling
from ..planner.plan import Plan
from ..results.comparison import Cell, Comparison
from ..results.record import Measured, Record
from . import changes, digits
from .words import Say

REHEARSAL = message("note.rehearsal")
_MOST_NAMES = 8
"""More would hide what they are about."""
_SHOWN = {each.name for each in fields(Sampling)}
"""Of the settings by which answers are sampled."""


@dataclass(frozen=True)
class Note:
    """One sentence below a table."""

    told: Message
    is_caution: bool = True
    """Whether figures are read otherwise for it; what is not one explains what they always are."""
    brief: Message | None = None
    """The sentence where there is little room; None for the same."""


def distinct(values: Iterable[str | None]) -> list[str]:
    """Each value once, in their order; None is left out."""
    return list(dict.fromkeys(value for value in values if value is not None))


def devices_of(records: Iterable[Record]) -> list[str]:
    """The devices that records were measured on or planned for."""
    return distinct(record.environment.device for record in records)


def doubt_of(basis: str | None) -> Message | str:
    """What is said beside a figure that is not from such a card itself; nothing of one that is, or if nobody knows."""
    return "" if basis in (None, "measured") else message("mib.assumed" if basis == "assumed" else "mib.estimated")


def held_to_least(records: Iterable[Record]) -> list[Record]:
    """For each budget the record that is held to least: a plan, if one process cannot have that much of its card."""
    least: dict[float, Record] = {}
    for record in records:
        budget_mib = record.experiment.budget_mib
        least[budget_mib] = min(record, least.get(budget_mib, record), key=lambda each: each.limit_mib)
    return list(least.values())


def budgets_of(records: Iterable[Record]) -> list[Message]:
    """Each budget of records, and if a plan is held to less, what one process can have of the card."""
    found = []
    for record in held_to_least(records):
        budget_mib, doubt = record.experiment.budget_mib, doubt_of(record.environment.usable_basis)
        is_less = record.limit_mib < budget_mib
        held_to = message("mib.held_to", budget=budget_mib, mib=record.limit_mib, doubt=doubt)
        found.append(held_to if is_less else message("mib.budget", mib=budget_mib))
    return found


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
    for told in (*_on_limits(ran), *_on_plans_beside(ran), *_on_planned(comparison)):
        yield Note(told, is_caution=False)
    yield from map(Note, _on_all_rows(comparison))
    yield from _on_lengths(records)
    yield from _on_sampling(ran)
    yield from _on_protocol(records)
    for row in comparison.rows:
        if row.candidate.unverified:
            yield Note(message("note.unverified", candidate=row.candidate.name, what=row.candidate.unverified))
    for row in comparison.rows:
        if found := changes.told(row):
            yield Note(found)
    yield from (Note(each) for each in (*mixed_notes(comparison), *comparison.notes))
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


def meaning_of_mib(comparison: Comparison) -> Message:
    """What a measured case's MiB are."""
    if comparison.has_device_memory:
        return message("mib.device")
    if any(record.measured.memory.allocated_after_mib is not None for record in comparison.measured):
        return message("mib.allocated_after")
    return message("mib.rss")


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
    yield Note(
        message(
            "note.measured",
            device=distinct(record.environment.device for record in ran),
            scale=_kinds("scale", (record.environment.scale for record in ran)),
            weights=_kinds("weights", (record.environment.weights for record in ran)),
            tokenizer=_kinds("tokenizer", (record.measured.tokenizer for record in ran)),
        ),
        is_caution=False,
    )
    if None in comparison.columns:
        yield Note(message("note.prompt_seconds"), is_caution=False)
    if some.environment.weights == "random" and not comparison.is_rehearsal:
        yield Note(message("note.random" if comparison.has_device_memory else "note.random_time"))


def _kinds(subject: str, values: Iterable[str | None]) -> list[Message | str]:
    """What a record's words mean; one that this version does not know stays as it is."""
    keys = {each: f"{subject}.{each.replace('-', '_')}" for each in distinct(values)}
    return [message(key) if key in texts() else each for each, key in keys.items()]


def _on_settings(ran: Sequence[Record]) -> Iterator[Note]:
    """What was done to the card to make it the one asked for, and what else of it the figures depend on."""
    capped = next((record for record in ran if record.measured.cap_mib is not None), None)
    if capped is not None:
        yield Note(message("note.cap", mib=capped.measured.cap_mib))
    environments = [record.environment for record in ran]
    settled = next((each for each in environments if each.cublas_workspace_config), None)
    if settled is not None:
        told = {"workspace": settled.cublas_workspace_config, "backends": settled.attention_backends or ()}
        yield Note(message("note.cublas", **told), is_caution=False)
    if allocator := next((each.allocator_settings for each in environments if each.allocator_settings), None):
        yield Note(message("note.allocator", settings=allocator))
    if any(each.native_bf16 is False for each in environments):
        yield Note(message("note.bf16"))


def _on_limits(ran: Sequence[Record]) -> Iterator[Message]:
    each = [record.measured.utilization for record in ran]
    flops = [(one.flops_utilization, one.matrix_peak_tflops) for one in each]
    bandwidth = [(one.bandwidth_utilization, one.bandwidth_peak_gb_per_second) for one in each]
    for reached, key in ((flops, "note.flops"), (bandwidth, "note.bandwidth")):
        shares = sorted(share for share, _ in reached if share is not None)
        peak = next((peak for _, peak in reached if peak), None)
        if shares and peak is not None:
            ends = dict.fromkeys(f"{share:.1%}" for share in (shares[0], shares[-1]))
            yield message(key, shares="\N{EN DASH}".join(ends), peak=f"{peak:g}")


def _on_plans_beside(ran: Iterable[Record]) -> Iterator[Message]:
    names = ("peak_reserved_mib", "peak_allocated_mib")
    found = [[plan_is_off_by(record, name) for name in names] for record in ran]
    compared = [[abs(share) for share in both if share is not None] for both in found if None not in both]
    if compared:
        reserved, allocated = zip(*compared, strict=True)
        figures = {"most1": max(reserved), "mean1": fmean(reserved), "most2": max(allocated), "mean2": fmean(allocated)}
        yield message("note.plans_beside", count=len(compared), **figures)


def _on_planned(comparison: Comparison) -> Iterator[Message]:
    planned = comparison.plans
    some = next((record for record in planned if record.plan and record.plan.tokenizer), None)
    if some is None or some.plan is None:
        return
    estimated = [
        row.candidate.name
        for row in comparison.rows
        if any(each.plan is not None and each.plan.tokenizer == "estimated" for each in row.plans)
    ]
    cards, context_mib = devices_of(planned), some.plan.context_mib
    yield message("note.plan", card=cards)
    if len(cards) == 1 and context_mib is not None:
        yield message("note.context", mib=context_mib, doubt=doubt_of(some.environment.context_basis))
    if not changes.ways(comparison, Say("en")).rows:
        yield message("note.ways", option=f"--variants {','.join(changes.WAYS)}")
    if estimated:
        is_every = len(estimated) == len(comparison.rows)
        yield message("note.estimated_every") if is_every else message("note.estimated", names=estimated)
    without = {each.case.candidate: each.plan.without_kernels for each in planned if each.plan}
    for packages in dict.fromkeys(filter(None, without.values())):
        names = [name for name, own in without.items() if own == packages]
        yield message("note.without_kernels", names=listed(names), packages=packages)


def _on_all_rows(comparison: Comparison) -> Iterator[Message]:
    """How long fine-tuning on all of the user's rows takes on the card: the shortest case, and the longest."""
    found: list[tuple[float, str]] = []
    for record in (record for row in comparison.rows for cell in row.cells.values() for record in _on_a_card(cell)):
        rows, used = record.experiment.dataset_rows, record.experiment.row_count("fine_tuning_rows")
        if record.case.variant is not None and record.seconds and rows and used:
            found.append((record.seconds * rows / used, f"{record.case.candidate} {record.case.variant}"))
    if found:
        of = next(record.experiment for record in comparison.records if record.experiment.dataset_rows)
        times = [
            message("names.takes", case=case, time=digits.duration(s)) for s, case in {min(found): 0, max(found): 0}
        ]
        yield message("note.all_rows", count=of.dataset_rows, epochs=of.protocol.get("epochs"), times=times)


def _on_a_card(cell: Cell) -> list[Record]:
    """The record that tells a case's time on a card: the measured one, else the planned one."""
    timed = (each for each in cell.records if each.environment.scale == "full" and not each.environment.is_cpu)
    return [each for each in timed if each.seconds is not None and each.outcome.kind in ("passed", "over_budget")][:1]


def _on_lengths(records: Sequence[Record]) -> Iterator[Note]:
    """What of the rows does not fit the protocol's lengths, by the best that is known of each candidate's tokens."""

    def read(record: Record) -> Plan | Measured:
        return record.plan if record.case.is_planned and record.plan else record.measured

    ranked = sorted(records, key=lambda each: {"stand-in": 1, "own": 2}.get(read(each).tokenizer or "", 0))
    for key, rows, length in (
        ("note.long_answers", "prompt_rows", "max_length"),
        ("note.rows_cut", "fine_tuning_rows", "max_row_tokens"),
    ):
        known = {
            each.case.candidate: (count, each.experiment.row_count(rows), each.experiment.protocol.get(length))
            for each in ranked
            if (count := getattr(read(each), key.removeprefix("note."))) is not None
        }
        for count, there, tokens in dict.fromkeys(known.values()):
            if count:
                names = listed([each for each in known if known[each] == (count, there, tokens)])
                yield Note(message(key, count1=count, count2=there, tokens=tokens, names=names))


def _on_sampling(ran: Sequence[Record]) -> Iterator[Note]:
    """How answers were sampled; nothing at random weights, whose answers tell nothing."""
    used: dict[str, list[str]] = {}
    for record in ran:
        if (settings := record.measured.sampling) and record.environment.weights != "random":
            known = ((name, value) for name, value in settings.items() if name in _SHOWN and value is not None)
            shown = ", ".join(f"{name} {value:g}" for name, value in known)
            used.setdefault(shown, []).append(record.case.candidate)
    for shown, names in used.items():
        told = message("note.sampling", settings=shown, names=listed(distinct(names)))
        yield Note(told, is_caution=len(used) > 1)


def _on_protocol(records: Sequence[Record]) -> Iterator[Note]:
    hashes = distinct(record.experiment.protocol_hash for record in records)
    yield Note(message("note.budget", budgets=budgets_of(records), hashes=hashes), is_caution=False)
    changes = {
        tuple(map(str, record.experiment.protocol_changes)): record.experiment.protocol_changes for record in records
    }
    for each in changes.values():
        if each:
            yield Note(message("note.protocol_changes", changes=each))


def _on_failures(records: Iterable[Record]) -> Iterator[Note]:
    not_passed: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.outcome.kind != "passed":
            not_passed.setdefault((record.outcome.kind, str(record.outcome.reason)), []).append(record)
    for (kind, _), those in not_passed.items():
        cases, reason = [record.case.id for record in those], those[0].outcome.reason
        told = {"ending": message(f"ending.{kind}"), "reason": reason or message("reason.not_known")}
        yield Note(
            message("note.failed", cases=cases, **told),
            is_caution=kind != "over_budget",  # of that budget a figure itself tells
            brief=message("note.failed", cases=listed(cases, most=1), **told),
        )


def _on_taints(records: Iterable[Record]) -> Iterator[Note]:
    cases: dict[Message, list[str]] = {}
    for record in records:
        for taint in record.taints:
            cases.setdefault(taint, []).append(record.case.id)
    return (Note(message("note.tainted", taint=taint, cases=names)) for taint, names in cases.items())
