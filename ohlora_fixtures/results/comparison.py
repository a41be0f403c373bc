"""The comparison: records set beside each other, a row a candidate, with the study's figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..base.messages import Message
from ..inputs.candidates import Candidate
from ..inputs.cases import Case, answering_case
from ..planner.plan import Changes
from .fit import Fit, fit_of, fit_of_all
from .folder import read_records
from .record import Record


@dataclass(frozen=True)
class Published:
    """One of the study's figures (T4 15 GB, torch 2.6, transformers 4.51)."""

    seconds: float
    """Fine-tuning: the whole run. Inference: mean per prompt."""
    allocated_after_mib: float
    """Allocated when the run was over, not its peak."""


@dataclass(frozen=True)
class Cell:
    """What is known of one case."""

    measured: Record | None = None
    plan: Record | None = None
    published: Published | None = None

    @property
    def fit(self) -> Fit:
        """Whether it fits the budget."""
        return fit_of(self.measured, self.plan)

    @property
    def records(self) -> tuple[Record, ...]:
        """Those there are, the measured one first."""
        return tuple(record for record in (self.measured, self.plan) if record is not None)


@dataclass(frozen=True)
class Row:
    """One candidate's cases."""

    candidate: Candidate
    cells: Mapping[Case, Cell] = field(hash=False)
    """By the case that is, or would be, measured."""

    def cell(self, variant: str | None) -> Cell:
        """That of fine-tuning in a variant, or of inference for None; an empty one where nothing is known."""
        return self.cells.get(answering_case(self.candidate.name, variant), Cell())

    @property
    def measured(self) -> list[Record]:
        """The records of all that was measured."""
        return [cell.measured for cell in self.cells.values() if cell.measured is not None]

    @property
    def plans(self) -> list[Record]:
        """The records of all that was planned."""
        return [cell.plan for cell in self.cells.values() if cell.plan is not None]

    @property
    def changes(self) -> tuple[Changes, float] | None:
        """What would make it fit, as planned, and what it is held to, MiB; None where it fits in a variant."""
        if any(cell.fit.verdict == "fits" for case, cell in self.cells.items() if case.variant is not None):
            return None
        known = ((plan.plan.changes, plan.limit_mib) for plan in self.plans if plan.plan)
        return next(((changes, limit_mib) for changes, limit_mib in known if changes and changes.added), None)

    @property
    def fit_as_measured(self) -> Fit:
        """Whether all that was measured keeps to the budget."""
        return fit_of_all(fit_of(record, None) for record in self.measured)

    @property
    def fit_as_planned(self) -> Fit:
        """Whether all that was planned keeps to the budget."""
        return fit_of_all(fit_of(None, record) for record in self.plans)


@dataclass(frozen=True)
class Comparison:
    """What a session found."""

    rows: tuple[Row, ...]
    """The candidates that ran, in their file's order."""
    variants: tuple[str, ...]
    """The names of the variants that ran, in the given order."""
    records: tuple[Record, ...]
    """Every record, in the order the cases ended."""
    notes: tuple[Message, ...] = ()
    """What else must be said of them."""

    @cached_property
    def measured(self) -> list[Record]:
        """The records of all that was measured."""
        return [record for record in self.records if not record.case.is_planned]

    @cached_property
    def plans(self) -> list[Record]:
        """The records of all that was planned."""
        return [record for record in self.records if record.case.is_planned]

    @cached_property
    def columns(self) -> list[str | None]:
        """What a candidate has figures of: each variant, and None for inference if any ran or was planned."""
        has_inference = any(record.case.variant is None for record in self.records)
        return [*self.variants, *([None] if has_inference else [])]

    @cached_property
    def is_rehearsal(self) -> bool:
        """Whether mini replicas ran."""
        return any(record.environment.scale == "mini" for record in self.records)

    @cached_property
    def has_device_memory(self) -> bool:
        """Whether any case's memory on a card was measured."""
        return any(record.peak_device_mib is not None for record in self.measured)


def compare(
    candidates: Iterable[Candidate],
    variants: Sequence[str],
    records: Sequence[Record],
    published: Mapping[Case, Published],
    notes: tuple[Message, ...] = (),
) -> Comparison:
    """Sort records into a row a candidate; candidates without a record get none.

    Variants that only the records know stand behind the given ones, in the order of the records.
    """
    by_case = {record.case: record for record in records}
    own: dict[str, dict[Case, Cell]] = {}
    for case in dict.fromkeys([*(record.case.measured for record in records), *published]):
        cell = Cell(by_case.get(case), by_case.get(case.planned), published.get(case))
        own.setdefault(case.candidate, {})[case] = cell
    has_records = {record.case.candidate for record in records}
    rows = [Row(each, own[each.name]) for each in candidates if each.name in has_records]
    ran = dict.fromkeys(record.case.variant for record in records if record.case.variant is not None)
    in_order = [*(name for name in variants if name in ran), *(name for name in ran if name not in variants)]
    return Comparison(tuple(rows), tuple(in_order), tuple(records), notes)


def read_published(folder: Path) -> dict[Case, Published]:
    """The study's figures by case, as published, from its results folder."""
    figures: dict[Case, Published] = {}
    for record in read_records(folder).records:
        seconds, after_mib = record.contradicted_seconds or record.seconds, record.measured.memory.allocated_after_mib
        if seconds is not None and after_mib is not None:
            figures[record.case] = Published(seconds, after_mib)
    return figures
