"""Fine-tuning: an adapted model trained with `transformers.Trainer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from ..inputs.dataset import Example
    from ..inputs.protocol import Protocol


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tuning run leaves."""

    losses: tuple[float, ...]
    """Training loss of each step, nats a token."""
    tokens: int
    """Tokens trained on, padding excluded, all epochs together."""
    trainer: Any
    """The trainer: while it lives, so do the optimizer's states, as they do in a user's script."""

    def end(self) -> None:
        """Let go of what only training needs, the optimizer's states and the gradients."""
        self.trainer.accelerator.free_memory()
        self.trainer.optimizer = self.trainer.lr_scheduler = None
        self.trainer.model.zero_grad(set_to_none=True)


def fine_tune(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    protocol: Protocol,
    tick: Callable[[], None],
) -> FineTuned:
    """Train the adapter for the protocol's epochs, calling `tick` after each optimizer step."""
    from transformers import set_seed

    from .trainer import make_trainer

    set_seed(protocol.seed)
    trainer = make_trainer(model, tokenizer, examples, protocol, tick)
    trainer.train()
    tokens = protocol.epochs * sum(len(example["input_ids"]) for example in examples)
    return FineTuned(tuple(trainer.read_losses()), tokens, trainer)
