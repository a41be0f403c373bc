"""Who may be chosen: candidates at a rank, what stands in their way, and their figures at full size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..base.messages import sentence
from ..base.units import Verdict
from ..inputs.candidates import Candidate
from ..results.comparison import FINE_TUNING, INFERENCE, Comparison, Row
from ..results.record import Record, seconds_a_prompt

_TOO_LARGE = ("over_budget", "out_of_memory")
_NOT_DONE = ("error", "failed", "skipped")


@dataclass(frozen=True)
class Contender:
    """A candidate at one LoRA rank, with its records."""

    candidate: Candidate
    """Which candidate."""
    lora_rank: int
    """Which rank."""
    fine_tuning: Record | None
    """Its measured fine-tuning at full size."""
    fine_tuning_plan: Record | None
    """The plan of that."""
    inference: Record | None
    """The candidate's measured inference at full size."""
    inference_plan: Record | None
    """The plan of that."""

    @property
    def records(self) -> tuple[Record, ...]:
        """Those there are, measured ones first."""
        found = (self.fine_tuning, self.inference, self.fine_tuning_plan, self.inference_plan)
        return tuple(record for record in found if record is not None)

    @property
    def is_judged_by_budget(self) -> bool:
        """Whether fine-tuning's peak on the device was measured or planned."""
        return any(record.peak_device_mib is not None for record in (self.fine_tuning, self.fine_tuning_plan) if record)


@dataclass(frozen=True)
class Basis:
    """One way to read a figure."""

    name: str
    """Its field in the record, and whether a plan's."""
    read: Callable[[Contender], float | None]
    """The figure; None if it is not known."""


def _of(record: Record | None, name: str) -> float | None:
    value: float | None = getattr(record, name, None)
    return value


def _planned(measured: Record | None, plan: Record | None) -> float | None:
    """A plan's peak; that made for the very lengths of a measured run goes before."""
    own = _of(measured, "planned_peak_device_mib")
    return own if own is not None else _of(plan, "peak_device_mib")


def _prompt_seconds(contender: Contender) -> float | None:
    return None if contender.inference is None else seconds_a_prompt(contender.inference)


BASES: Mapping[str, Sequence[Basis]] = {
    "leaderboard": (Basis("leaderboard_average", lambda each: each.candidate.leaderboard_average),),
    "fine_tuning_seconds": (Basis("seconds", lambda each: _of(each.fine_tuning, "seconds")),),
    "fine_tuning_memory": (
        Basis("peak_device_mib", lambda each: _of(each.fine_tuning, "peak_device_mib")),
        Basis("planned peak_device_mib", lambda each: _planned(each.fine_tuning, each.fine_tuning_plan)),
        Basis("allocated_after_mib", lambda each: _of(each.fine_tuning, "allocated_after_mib")),
    ),
    "inference_seconds": (Basis("seconds a prompt", _prompt_seconds),),
    "inference_memory": (
        Basis("peak_device_mib", lambda each: _of(each.inference, "peak_device_mib")),
        Basis("planned peak_device_mib", lambda each: _planned(each.inference, each.inference_plan)),
        Basis("allocated_after_mib", lambda each: _of(each.inference, "allocated_after_mib")),
    ),
}
"""By criterion, what its figure may be read from, the best first."""


def budgets_mib(found: Iterable[Contender]) -> set[float]:
    """The VRAM budgets that contenders were measured or planned under; one, but where folders were merged."""
    return {record.budget_mib for each in found for record in each.records}


def shared_basis(criterion: str, contenders: Sequence[Contender]) -> Basis:
    """The best basis that all contenders have; where none is, the one that most have."""
    bases = BASES[criterion]
    known = [sum(basis.read(each) is not None for each in contenders) for basis in bases]
    return bases[known.index(max(known))]


def contenders(comparison: Comparison, *, any_license: bool) -> Iterator[Contender | tuple[str, int | None, str]]:
    """Each candidate at each rank that was measured or planned; instead, what is none: candidate, rank, reason.

    The hard conditions: a free licence unless any will do, a model that can be built, a peak within the budget.
    """
    for row in comparison.rows:
        obstacle = _obstacle(row, any_license=any_license)
        found = [] if obstacle else [_contender(row, rank) for rank in comparison.lora_ranks]
        known = [each for each in found if each.fine_tuning or each.fine_tuning_plan]
        if not known:
            yield row.candidate.name, None, obstacle or sentence("reason.nothing_known")
        for each in known:
            obstacle = _obstacle_to(each.fine_tuning, each.fine_tuning_plan)
            yield each if obstacle is None else (row.candidate.name, each.lora_rank, obstacle)


def _contender(row: Row, rank: int) -> Contender:
    def full(record: Record | None) -> Record | None:
        return record if record and record.scale == "full" else None

    key, answering = (FINE_TUNING, rank), (INFERENCE, None)
    return Contender(
        row.candidate,
        rank,
        full(row.records.get(key)),
        row.plans.get(key),
        full(row.records.get(answering)),
        row.plans.get(answering),
    )


def _obstacle(row: Row, *, any_license: bool) -> str | None:
    """What stands in a candidate's way at every rank."""
    candidate = row.candidate
    if not candidate.free_license and not any_license:
        return sentence("reason.licence", licence=candidate.binding_license)
    records = [*row.records.values(), *row.plans.values()]
    if records and all(record.outcome == "error" for record in records):
        return _reason(records[0])
    at_any = _contender(row, 0)
    obstacle = _obstacle_to(at_any.inference, at_any.inference_plan)
    return obstacle and sentence("reason.answering", reason=obstacle)


def _obstacle_to(measured: Record | None, plan: Record | None) -> str | None:
    """Why a workload cannot be done within the budget: as measured, or where that tells of no peak, as planned."""
    for record in (measured, plan):
        if record is None:
            continue
        is_not_done = record.outcome in _NOT_DONE and record is (measured or plan)
        if is_not_done or record.outcome in _TOO_LARGE or _exceeds(record):
            return sentence("reason.planned", reason=_reason(record)) if record.planned_workload else _reason(record)
        if record.peak_device_mib is not None:
            return None
    return None


def _exceeds(record: Record) -> bool:
    return record.peak_device_mib is not None and record.peak_device_mib > record.budget_mib


def _reason(record: Record) -> str:
    if record.outcome not in (*_TOO_LARGE, *_NOT_DONE) and record.peak_device_mib is not None:
        return Verdict(record.peak_device_mib, record.budget_mib).sentence()
    return sentence(f"reason.{record.outcome}", reason=record.reason or sentence("reason.not_known"))
