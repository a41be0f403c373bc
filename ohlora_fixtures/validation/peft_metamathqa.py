"""peft's MetaMathQA runs: their training loop by the order of its events, and what it takes of a card.

The loop is that of `method_comparison/MetaMathQA/run.py` in huggingface/peft at commit 5d602fd;
`data/reference/peft-metamathqa/README.md` says what was measured, and which lengths are not known.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.installation import DATA
from ..base.units import MIB
from ..inputs.gpu_profiles import Gpu, choose_profile, read_profiles
from ..planner.seconds import Work, seconds_of
from .compared import Compared, model_on_meta, published_runs

if TYPE_CHECKING:
    import torch

    from ..planner.tracing import TracedLoop

FOLDER = DATA / "reference" / "peft-metamathqa"
CARD = Gpu("NVIDIA L40S", (8, 9), 46068)
"""The card of all runs."""

STEPS = 5000
ROWS = 4
"""Rows of a batch."""
UNTRAINED_TOKENS = 768
"""Tokens of a row in the pass before training."""
LONGEST_TOKENS = 700
"""Tokens of the longest batch: chosen on rank 32 alone."""
FIRST_TOKENS, SHORT_TOKENS = 300, 100
"""Tokens of the first batch and of the one before the longest: assumed."""
USUAL_TOKENS = (340, 262, 222, 190, 160, 116)
"""Tokens of the batches over which the mean is taken: their mean, 215, follows from the published number of tokens."""
USUAL_STEPS = range(3, 3 + len(USUAL_TOKENS))
"""Their places among all batches, the first of which is 0."""
BEFORE_BYTES = 2 * MIB
"""Reserved before the model is loaded, and subtracted from every published figure."""
ADAPTER_OFF_SINCE = "2026-07-14"
"""Since then (peft, commit d787f51) the pass before training runs without the adapter."""

LORA_FA = "lora/llama-3.2-3B-rank32-lorafa"
"""Trained with peft's own optimizer, which freezes the first matrix of each adapter."""


@dataclass(frozen=True)
class Published:
    """One run, as its result file has it."""

    run: str
    trainable_parameters: int | None
    max_reserved_bytes: int
    """`max_memory_reserved` of the whole process, less `BEFORE_BYTES`."""
    allocated_after_step_average_bytes: int
    """Mean over all steps of `memory_allocated` after the step, less the same."""
    train_seconds: float | None
    """Of all steps, answering in between left out; None where it is not at hand."""
    torch: str
    date: str

    @property
    def adapter_off(self) -> bool:
        """Whether the pass before training runs without the adapter."""
        return self.date >= ADAPTER_OFF_SINCE


@dataclass(frozen=True)
class Planned:
    """What a run takes, in the terms of `Published`."""

    trainable_parameters: int
    max_reserved_bytes: float
    allocated_after_step_average_bytes: float
    train_seconds: float


def published(folder: Path = FOLDER) -> list[Published]:
    """The runs, as they were published."""
    return published_runs(folder, Published)


@cache
def adapters() -> dict[str, dict[str, Any] | None]:
    """The adapter of each run, as a peft config; None where every weight is trained."""
    return dict(json.loads((FOLDER / "adapters.json").read_text(encoding="utf-8")))


def compare(folder: Path = FOLDER) -> Iterator[Compared]:
    """Plan each run and hold it against what was published of it; kinds that this peft does not have are left out."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    for run in published(folder):
        adapter = adapters()[run.run]
        if adapter is not None and adapter["peft_type"] not in PEFT_TYPE_TO_CONFIG_MAPPING:
            continue
        plan = planned(run.run, adapter_off=run.adapter_off)
        name = f"{run.run} (torch {run.torch}, {run.date})"
        yield Compared(name, "peak reserved", plan.max_reserved_bytes / MIB, run.max_reserved_bytes / MIB)
        yield Compared(
            name,
            "mean allocated",
            plan.allocated_after_step_average_bytes / MIB,
            run.allocated_after_step_average_bytes / MIB,
        )
        if run.train_seconds is not None:
            yield Compared(name, "seconds of 5,000 steps", plan.train_seconds, run.train_seconds, "s")


@cache
def planned(run: str, *, adapter_off: bool = True) -> Planned:
    """Trace one run's loop."""
    from peft import get_peft_config, get_peft_model

    from ..planner.tracing import tracing

    profile = choose_profile(None, read_profiles(DATA / "gpus.toml"), CARD, FOLDER)
    model = model_on_meta(FOLDER / "Llama-3.2-3B.json")
    with tracing(model, profile, has_device_map=True) as trace:
        adapter = adapters()[run]
        if adapter is not None:
            model = get_peft_model(model, get_peft_config(adapter | {"task_type": "CAUSAL_LM"}))
        optimizer = _optimizer(run, model)
        trainable = sum(each.numel() for each in model.parameters() if each.requires_grad)
        with model.disable_adapter() if adapter is not None and adapter_off else nullcontext():
            _evaluate(model)
        _train(model, optimizer, trace)
    allocated_mib = statistics.fmean(trace.at(_after(step)).allocated_mib for step in USUAL_STEPS)
    assert profile.pace is not None
    seconds = STEPS * seconds_of(_step_work(trace, trainable, is_full=adapters()[run] is None), profile.pace).seconds
    peak_bytes = trace.peak().reserved_mib * MIB - BEFORE_BYTES
    return Planned(trainable, peak_bytes, allocated_mib * MIB - BEFORE_BYTES, seconds)


def _step_work(trace: TracedLoop, trainable: int, *, is_full: bool) -> Work:
    """What a step of usual length does, in the mean."""
    from ..planner.candidate_planner import optimizer_bytes

    whole = trace.work(since=_after(USUAL_STEPS.start - 1), until=_after(USUAL_STEPS.stop - 1))
    each = Work(*(value // len(USUAL_STEPS) for value in vars(whole).values()))
    return each + Work(made_bytes=optimizer_bytes(trainable, is_full=is_full))


def _optimizer(run: str, model: Any) -> torch.optim.Optimizer:
    import torch
    from peft.optimizers import create_lorafa_optimizer

    if run == LORA_FA:
        return create_lorafa_optimizer(model, r=32, lora_alpha=64, lr=1e-4, weight_decay=0.1)
    return torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1)


def _batch(tokens: int) -> dict[str, torch.Tensor]:
    """Rows of which all but the first are padded: so there must be a mask."""
    import torch

    mask = torch.ones(ROWS, tokens, dtype=torch.long)
    mask[1:, -1] = 0
    return {"input_ids": torch.ones_like(mask).to("meta"), "attention_mask": mask.to("meta")}


def _evaluate(model: Any) -> None:
    """One batch of the text by which forgetting is measured; the loss of each row is taken by itself."""
    import torch

    model.eval()
    with torch.inference_mode():
        batch = _batch(UNTRAINED_TOKENS)
        logits = model(**batch).logits
        for row, ids, mask in zip(logits, batch["input_ids"], batch["attention_mask"], strict=True):
            tokens = mask.sum()
            losses = torch.nn.functional.cross_entropy(row[-tokens:][:-1], ids[-tokens:][1:], reduction="none")
            losses[0].item()


def _train(model: Any, optimizer: torch.optim.Optimizer, trace: TracedLoop) -> None:
    """The steps. What a name holds lives until the name is given anew: a step's outputs until the next one's loss."""
    import torch

    model.train()
    for step, tokens in enumerate((FIRST_TOKENS, SHORT_TOKENS, LONGEST_TOKENS, *USUAL_TOKENS)):
        batch = _batch(tokens)
        batch["labels"] = batch["input_ids"].clone()
        items = batch["attention_mask"].sum().item()
        optimizer.zero_grad()
        outputs = model(**batch, num_items_in_batch=items)
        loss = outputs.loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        trace.mark(_after(step))
        if step < USUAL_STEPS.start:
            torch.cuda.empty_cache()


def _after(step: int) -> str:
    return f"after step {step}"
