"""A planned figure beside a measured one; reading what was published, and building a model to plan."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..results.folder import read_records

_Run = TypeVar("_Run")


@dataclass(frozen=True)
class Compared:
    """One figure of one run."""

    run: str
    """What ran, and what tells it from other runs of the same."""
    quantity: str
    """What was measured, such as `peak reserved`."""
    planned: float
    measured: float
    unit: str = "MiB"

    @property
    def off_percent(self) -> float:
        """How far the plan is above the measurement."""
        return 100 * (self.planned / self.measured - 1)


def compare_records(folder: Path) -> Iterator[Compared]:
    """The figures of a results folder's measured cases beside those of their own plans.

    A case has its plan where it was measured on a GPU at full size. Raises InputError as `read_records`.
    """
    for record in read_records(folder).records:
        plan, memory = record.plan, record.measured.memory
        if record.case.is_planned or plan is None:
            continue
        for quantity, planned_mib, measured_mib in (
            ("peak reserved", plan.peak_reserved_mib, memory.peak_reserved_mib),
            ("peak allocated", plan.peak_allocated_mib, memory.peak_allocated_mib),
        ):
            if planned_mib and measured_mib:
                yield Compared(record.case.id, quantity, planned_mib, measured_mib)


def published_runs(folder: Path, kind: type[_Run]) -> list[_Run]:
    """The runs of a folder's `runs.csv`; an empty cell is None."""
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]
    return msgspec.convert(rows, list[kind], strict=False)  # type: ignore[valid-type]


def model_on_meta(architecture: Path) -> Any:
    """The model of a config.json, in bf16, on the meta device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = json.loads(architecture.read_text(encoding="utf-8"))
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), dtype=torch.bfloat16)
