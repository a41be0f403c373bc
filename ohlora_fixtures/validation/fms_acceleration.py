"""fms-acceleration's runs of PowerLM-3b: LoRA, QLoRA and full fine-tuning with gradient checkpointing, on an A100.

The step is that of `Trainer` and `GraniteForCausalLM` in transformers 4.45, by the order of its events: while its
forward pass computes the loss, it holds what later versions do not. `data/reference/fms-acceleration/README.md` says
what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..base.installation import DATA
from ..base.units import MIB
from ..inputs.gpu_profiles import Gpu, choose_profile, read_profiles
from ..inputs.variants import shipped
from ..planner.seconds import Work, seconds_of
from .compared import Compared, model_on_meta, published_runs

FOLDER = DATA / "reference" / "fms-acceleration"
ARCHITECTURE = FOLDER / "PowerLM-3b.json"
CARD = Gpu("NVIDIA A100-SXM4-80GB", (8, 0), 81920)
"""The card of all runs."""
TOKENS = 4096
"""Of every row: they are packed."""
PUBLISHED_STEPS = 100
STEPS = 2
"""The first makes the optimizer's states; each further one is like the second."""


@dataclass(frozen=True)
class Published:
    """One run, as the table has it."""

    method: str
    """`lora`, `qlora` or `full`."""
    rows: int
    """Rows of a batch."""
    peak_allocated_bytes: int
    """`max_memory_allocated` of the training."""
    allocated_after_bytes: int
    """`memory_allocated` once it has ended."""
    seconds: float
    """Of 100 steps."""


@dataclass(frozen=True)
class Planned:
    """What a run takes, in the terms of `Published`."""

    peak_allocated_mib: float
    allocated_after_mib: float
    seconds: float


def published(folder: Path = FOLDER) -> list[Published]:
    """The runs, as they were published."""
    return published_runs(folder, Published)


def compare(folder: Path = FOLDER) -> Iterator[Compared]:
    """Plan each run and hold it against what was published of it."""
    for run in published(folder):
        plan, name = planned(run.method, run.rows), f"{run.method}, batch {run.rows}"
        yield Compared(name, "peak allocated", plan.peak_allocated_mib, run.peak_allocated_bytes / MIB)
        yield Compared(name, "allocated after", plan.allocated_after_mib, run.allocated_after_bytes / MIB)
        yield Compared(name, f"{PUBLISHED_STEPS} steps", plan.seconds, run.seconds, "s")


@cache
def planned(method: str, rows: int) -> Planned:
    """Trace the steps of one run."""
    import torch
    from peft import LoraConfig, get_peft_model

    from ..planner.candidate_planner import optimizer_bytes
    from ..planner.on_meta import storages_traced
    from ..planner.quantised import bitsandbytes_on_meta, load_quantised
    from ..planner.tracing import TracedLoop

    profile = choose_profile(None, read_profiles(DATA / "gpus.toml"), CARD, FOLDER)
    model = model_on_meta(ARCHITECTURE)
    is_quantised = method == "qlora"
    with ExitStack() as stack:
        stack.enter_context(bitsandbytes_on_meta())
        begin = (lambda _: None) if is_quantised else None
        tracer = stack.enter_context(storages_traced(model, profile, begin))
        if is_quantised:
            model = load_quantised(model, shipped("r16-qlora").base, tracer)
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
        if method != "full":
            model.enable_input_require_grads()
            adapter = LoraConfig(
                r=16, lora_alpha=16, lora_dropout=0.1, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]
            )
            get_peft_model(model, adapter)
        loop = TracedLoop(tracer)
        loop.mark("loaded")
        trained = [each for each in model.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=2e-5)
        model.train()
        for step in range(STEPS):
            _step(model, rows)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            loop.mark(f"after step {step}")
    of_optimizer = optimizer_bytes(sum(each.numel() for each in trained), is_full=method == "full")
    work = loop.work("after step 0", "after step 1") + Work(made_bytes=of_optimizer)
    assert profile.pace is not None
    return Planned(
        loop.peak("loaded").allocated_mib,
        loop.at("after step 1").allocated_mib,
        PUBLISHED_STEPS * seconds_of(work, profile.pace).seconds,
    )


def _step(model: Any, rows: int) -> None:
    """Forward and backward, a name for what 4.45's forward pass has a name for."""
    import torch

    ids = torch.ones(rows, TOKENS, dtype=torch.long).to("meta")
    labels = ids.clone()
    hidden = model.model(input_ids=ids, use_cache=False)[0]
    logits = model.lm_head(hidden)
    logits = logits / model.config.logits_scaling
    logits = logits.float()
    shifted, shifted_labels = logits[..., :-1, :].contiguous(), labels[..., 1:].contiguous()
    loss = torch.nn.functional.cross_entropy(shifted.view(-1, logits.shape[-1]), shifted_labels.view(-1))
    del hidden, logits, shifted, shifted_labels
    loss.backward()
