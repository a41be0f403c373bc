"""The comparison: records set beside each other, a row a candidate, with the study's figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.units import Verdict
from ..inputs.candidates import Candidate
from .folder import read_records
from .record import Record, seconds_a_prompt

INFERENCE = "inference"
FINE_TUNING = "fine_tuning"

Key = tuple[str, int | None]
"""A workload and its LoRA rank."""


@dataclass(frozen=True)
class Published:
    """One of the study's figures (T4 15 GB, torch 2.6, transformers 4.51)."""

    seconds: float
    """Fine-tuning: the whole run. Inference: mean per prompt."""
    allocated_after_mib: float
    """Allocated when the run was over, not its peak."""


@dataclass(frozen=True)
class Row:
    """One candidate's figures."""

    candidate: Candidate
    """Which candidate."""
    records: dict[Key, Record]
    """What this session measured."""
    plans: dict[Key, Record]
    """What it planned, by what it is the plan of."""
    published: dict[Key, Published]
    """The study's figures, where it has any."""


@dataclass(frozen=True)
class Comparison:
    """What a session found."""

    rows: tuple[Row, ...]
    """The candidates that ran, in their file's order."""
    lora_ranks: tuple[int, ...]
    """The ranks that ran, in the given order."""
    records: tuple[Record, ...]
    """Every record, in the order the cases ended."""
    notes: tuple[str, ...] = ()
    """What else must be said of them, a sentence each."""

    @property
    def is_rehearsal(self) -> bool:
        """Whether mini replicas ran."""
        return any(record.scale == "mini" for record in self.records)

    @property
    def has_device_memory(self) -> bool:
        """Whether any case's memory on a card was measured."""
        return any(record.peak_device_mib is not None for record in self.records if not record.planned_workload)


def within_budget(records: Mapping[Key, Record]) -> bool | None:
    """Whether every judged case keeps to the budget; None if no case could be judged."""
    judged = [
        Verdict(record.peak_device_mib, record.budget_mib).within
        for record in records.values()
        if record.peak_device_mib is not None
    ]
    if any(record.outcome == "out_of_memory" for record in records.values()):
        return False
    return all(judged) if judged else None


def compare(
    candidates: Iterable[Candidate],
    lora_ranks: Sequence[int],
    records: Sequence[Record],
    published: dict[str, dict[Key, Published]],
    notes: tuple[str, ...] = (),
) -> Comparison:
    """Sort records into a row a candidate; candidates without a record get none.

    Ranks that only the records know stand behind the given ones.
    """
    by_candidate: dict[str, list[Record]] = {}
    for record in records:
        by_candidate.setdefault(record.candidate, []).append(record)
    rows = []
    for candidate in candidates:
        own = by_candidate.get(candidate.name, [])
        measured = {(each.workload, each.lora_rank): each for each in own if each.planned_workload is None}
        plans = {(each.planned_workload, each.lora_rank): each for each in own if each.planned_workload is not None}
        if own:
            rows.append(Row(candidate, measured, plans, published.get(candidate.name, {})))
    ran = {record.lora_rank for record in records if record.lora_rank is not None}
    ranks = [rank for rank in lora_ranks if rank in ran] + sorted(ran.difference(lora_ranks))
    return Comparison(tuple(rows), tuple(ranks), tuple(records), notes)


def read_published(folder: Path) -> dict[str, dict[Key, Published]]:
    """The study's figures by candidate, from its results folder."""
    figures: dict[str, dict[Key, Published]] = {}
    for record in read_records(folder).records:
        seconds = seconds_a_prompt(record) if record.workload == INFERENCE else record.seconds
        if seconds is not None and record.allocated_after_mib is not None:
            published = Published(seconds, record.allocated_after_mib)
            figures.setdefault(record.candidate, {})[record.workload, record.lora_rank] = published
    return figures
