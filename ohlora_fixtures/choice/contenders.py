"""Who may be chosen: candidates in a variant, what stands in their way, and their figures at full size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..base.messages import Message, message
from ..inputs.candidates import Candidate
from ..quality.grading import Quality
from ..results.comparison import Cell, Comparison, Row
from ..results.fit import reason_of
from ..results.record import Record


@dataclass(frozen=True)
class Contender:
    """A candidate in one variant, with its records at full size."""

    candidate: Candidate
    variant: str
    fine_tuning: Cell
    inference: Cell

    @property
    def records(self) -> tuple[Record, ...]:
        """Those there are, of fine-tuning before inference."""
        return (*self.fine_tuning.records, *self.inference.records)


@dataclass(frozen=True)
class Option:
    """A candidate in one variant, with what it is ranked by."""

    candidate: Candidate
    variant: str
    figures: Mapping[str, float | None]
    """By criterion, its figure: quality 0 to 100, leaderboard percent, seconds, MiB; None if not known."""
    scores: Mapping[str, float | None]
    """By criterion, 0 (worst) to 1 (best); where its figure is not known, the mean of the others'; None without any."""
    total: float | None
    """Weighted mean of the scores, 0 to 100; None if nothing is known that has a weight, or if it is not compared."""
    quality: Quality | None
    """The quality in `figures`; None if its answers are not judged."""
    untuned: Quality | None = None
    """The same source's judgement of the answers before fine-tuning."""

    @property
    def name(self) -> str:
        """Candidate and variant."""
        return f"{self.candidate.name} {self.variant}"


@dataclass(frozen=True)
class Exclusion:
    """What is no option, and why."""

    candidate: str
    variant: str | None
    """None for every variant."""
    reason: Message


_MEMORY = ("peak_device_mib", "planned peak_device_mib", "allocated_after_mib")
BASES: Mapping[str, Sequence[str]] = {
    "leaderboard": ("leaderboard_average",),
    "fine_tuning_seconds": ("seconds", "planned seconds"),
    "fine_tuning_memory": _MEMORY,
    "inference_seconds": ("seconds a prompt", "planned seconds a prompt"),
    "inference_memory": _MEMORY,
}
"""By criterion, the quantities that its figure may be read from, the best first."""


def figure(contender: Contender, criterion: str, basis: str) -> float | None:
    """A criterion's figure, read from one of its bases; None if it is not known for a card."""
    if criterion == "leaderboard":
        return contender.candidate.leaderboard_average
    cell = contender.inference if criterion.startswith("inference") else contender.fine_tuning
    if basis.startswith("planned"):  # what is planned for the very lengths of a measured run goes before
        name = "seconds" if "seconds" in basis else "peak_device_mib"
        found = (getattr(record.plan, name) for record in cell.records if record.plan is not None)
        return next((known for known in found if known is not None), None)
    record = cell.measured
    if record is None:
        return None
    if basis.startswith("seconds"):
        return None if record.environment.is_cpu else record.seconds  # what is chosen is for a card
    return record.peak_device_mib if basis == "peak_device_mib" else record.measured.memory.allocated_after_mib


def budgets_mib(found: Iterable[Contender]) -> set[float]:
    """The VRAM budgets that contenders were measured or planned under; one, but where folders were merged."""
    return {record.experiment.budget_mib for each in found for record in each.records}


def limit_mib(found: Iterable[Contender]) -> float:
    """The largest of what contenders were held to; 0 where there is none."""
    return max((record.limit_mib for each in found for record in each.records), default=0.0)


def shared_basis(criterion: str, contenders: Sequence[Contender]) -> str:
    """The best basis that all contenders have; where none is, the one that most have."""
    return max(
        BASES[criterion], key=lambda basis: sum(figure(each, criterion, basis) is not None for each in contenders)
    )


def contenders(comparison: Comparison, *, any_license: bool) -> tuple[list[Contender], list[Exclusion]]:
    """Each candidate in each variant that was measured or planned at full size; and what is none, with the reason.

    The hard conditions: a free licence unless any will do, a model that can be built, a peak within the budget.
    """
    found, excluded = list[Contender](), list[Exclusion]()
    for row in comparison.rows:
        name, obstacle = row.candidate.name, _obstacle(row, any_license=any_license)
        cells = {} if obstacle else {variant: row.cell(variant) for variant in comparison.variants}
        known = {variant: cell for variant, cell in cells.items() if _at_full_size(cell).records}
        if not known:
            excluded.append(Exclusion(name, None, obstacle or message("reason.nothing_known")))
        inference = _at_full_size(row.cell(None))
        for variant, cell in known.items():
            if (reason := cell.fit.reason) is None:
                found.append(Contender(row.candidate, variant, _at_full_size(cell), inference))
            else:
                excluded.append(Exclusion(name, variant, reason))
    return found, excluded


def _at_full_size(cell: Cell) -> Cell:
    """The same without a rehearsal, whose figures are another model's, and without what was skipped."""
    measured = cell.measured
    if measured is not None and (measured.environment.scale != "full" or measured.outcome.kind == "skipped"):
        measured = None
    return Cell(measured, cell.plan, cell.published)


def _obstacle(row: Row, *, any_license: bool) -> Message | None:
    candidate = row.candidate
    if not candidate.free_license and not any_license:
        return message("reason.licence", licence=candidate.binding_license)
    records = [*row.measured, *row.plans]
    if records and all(record.outcome.kind == "error" for record in records):
        return reason_of(records[0])
    reason = row.cell(None).fit.reason
    return reason and message("reason.answering", reason=reason)
