"""`transformers.Trainer` on exactly one device, reporting each step; imports transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from ..inputs.protocol import Protocol
from ..inputs.templates import IGNORED_LABEL, Example

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_LOSSES_PER_BLOCK = 128
"""As many as fill the 512 bytes that PyTorch's CUDA allocator gives at least: what a step needs does not depend on
how many there are."""


class OneDeviceArguments(TrainingArguments):
    """Training arguments that see one GPU: with several, `Trainer` would multiply the batch by their number."""

    @property
    def n_gpu(self) -> int:
        """One GPU at most."""
        return min(int(super().n_gpu), 1)


class StepTrainer(Trainer):
    """A `Trainer` that keeps each step's loss on the device until it is asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._losses: torch.Tensor | None = None

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward and backward pass; returns the detached loss, a scalar."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if self._losses is None:  # one block for all of them: a block a step would make the memory creep up
            blocks = -(-self.state.max_steps // _LOSSES_PER_BLOCK)
            self._losses = torch.zeros(blocks * _LOSSES_PER_BLOCK, dtype=torch.float32, device=loss.device)
        self._losses[self.state.global_step].add_(loss)  # each batch's share of its step
        return loss

    def read_losses(self) -> list[float]:
        """Each step's loss so far; waits for the device once."""
        losses: list[float] = [] if self._losses is None else self._losses[: self.state.global_step].tolist()
        return losses


class _Ticker(TrainerCallback):
    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        self._tick()


def make_trainer(
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    protocol: Protocol,
    tick: Callable[[], None],
) -> StepTrainer:
    """The trainer of a fine-tuning case, on the model's device; it writes no files and reports to no service."""
    arguments = OneDeviceArguments(
        output_dir=tempfile.gettempdir(),
        use_cpu=model.device.type == "cpu",
        dataloader_pin_memory=model.device.type == "cuda",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **training_settings(protocol),
    )
    trainer = StepTrainer(
        model=model,
        args=arguments,
        train_dataset=list(examples),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED_LABEL),
        callbacks=[_Ticker(tick)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def training_settings(protocol: Protocol) -> dict[str, Any]:
    """The protocol in the words of `TrainingArguments`."""
    return {
        "per_device_train_batch_size": protocol.batch_size,
        "gradient_accumulation_steps": protocol.gradient_accumulation_steps,
        "num_train_epochs": protocol.epochs,
        "learning_rate": protocol.learning_rate,
        "lr_scheduler_type": "linear",
        "optim": protocol.optimizer,
        "max_grad_norm": protocol.max_grad_norm,
        "torch_empty_cache_steps": protocol.empty_cache_steps or None,
        "seed": protocol.seed,
        **_checkpointing(protocol),
    }


def _checkpointing(protocol: Protocol) -> dict[str, Any]:
    if not protocol.gradient_checkpointing:
        return {}
    renamed = "activation_checkpointing" in TrainingArguments.__dataclass_fields__  # in newer transformers
    return {"activation_checkpointing" if renamed else "gradient_checkpointing": True}
