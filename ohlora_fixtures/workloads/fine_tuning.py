"""Fine-tuning: a variant's adapter put on a model, trained with `transformers.Trainer`, and taken off again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..base.errors import CandidateError
from ..base.messages import message
from ..inputs.protocol import Protocol
from ..inputs.templates import Example
from ..inputs.variants import Variant
from .refusals import refusals_told

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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
        forget_optimizers()


def attach_adapter(
    model: PreTrainedModel, variant: Variant, target_modules: Sequence[str], protocol: Protocol
) -> PeftModel | PreTrainedModel:
    """Put a variant's fresh adapter (fp32 on a bf16 base) on the target modules and freeze the rest.

    What the variant leaves out comes from the protocol and the candidate, as far as the kind of adapter has it. For a
    variant without an adapter the model itself is returned, every weight of it to be trained.
    Raises CandidateError, in peft's words, for what peft refuses.
    """
    from peft import get_peft_model
    from transformers import set_seed

    set_seed(protocol.seed)
    if not variant.adapter:
        return model.requires_grad_(requires_grad=True)
    with refusals_told("reason.not_adapted", variant=variant.name):
        adapted: PeftModel = get_peft_model(model, adapter_config(variant, target_modules, protocol))
    if not hasattr(adapted, "unload"):
        kind_of = variant.adapter["peft_type"]
        raise CandidateError(message("reason.no_adapter", variant=variant.name, value=repr(kind_of)))
    return adapted


def adapter_config(variant: Variant, target_modules: Sequence[str], protocol: Protocol) -> Any:
    """A variant's peft configuration; what it leaves out is the protocol's and the candidate's, as far as peft has it.

    Raises CandidateError as `check_adapter`, and what peft raises for a value.
    """
    usual = {
        "lora_alpha": protocol.lora_alpha,
        "lora_dropout": protocol.lora_dropout,
        "target_modules": list(target_modules),
        "init_lora_weights": "gaussian",
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    kind = check_adapter(variant)
    known = {field.name for field in fields(kind)}
    settings = {name: value for name, value in usual.items() if name in known} | dict(variant.adapter)
    del settings["peft_type"]
    return kind(**settings)


def check_adapter(variant: Variant) -> Any:
    """Peft's class for a variant's kind of adapter; raises CandidateError for a kind or key that peft does not have."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    by_name = {kind.value: config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    kind = by_name.get(variant.adapter["peft_type"])
    if kind is None:
        wrong = repr(variant.adapter["peft_type"])
        raise CandidateError(
            message("reason.unknown_adapter", variant=variant.name, value=wrong, names=sorted(by_name))
        )
    known = sorted(field.name for field in fields(kind))
    unknown = next((name for name in variant.adapter if name not in known), None)
    if unknown is not None:
        raise CandidateError(message("reason.unknown_adapter_key", variant=variant.name, name=unknown, names=known))
    return kind


def detach_adapter(adapted: PeftModel | PreTrainedModel) -> None:
    """Take the adapter off; its base model is again what it was before `attach_adapter`, or trained if it had none."""
    unload: Any = getattr(adapted, "unload", None)
    base: Any = adapted if unload is None else unload()
    if hasattr(base, "peft_config"):  # older peft leaves it, and warns of a second adapter next time
        del base.peft_config
    base.zero_grad(set_to_none=True)
    renamed = hasattr(base, "activation_checkpointing_disable")  # in newer transformers
    (base.activation_checkpointing_disable if renamed else base.gradient_checkpointing_disable)()
    base.disable_input_require_grads()  # which checkpointing had switched on
    for weight in base.parameters():
        weight.requires_grad_(weight.is_floating_point())  # quantised ones stay as they are
    base.eval()


def forget_optimizers() -> None:
    """Let bitsandbytes let go of the embeddings and paged states that its optimizers have registered for good."""
    functional = sys.modules.get("bitsandbytes.functional")
    if functional is not None:
        from bitsandbytes.optim import GlobalOptimManager

        GlobalOptimManager.get_instance().initialize()
        functional.GlobalPageManager.get_instance().initialize()


def trainable_parameters(model: PeftModel | PreTrainedModel) -> int:
    """Parameters that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def fine_tune(
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    protocol: Protocol,
    tick: Callable[[], None],
) -> FineTuned:
    """Train the adapter, or all of a model without one, for the protocol's epochs; `tick` is called after each step."""
    from transformers import set_seed

    from .trainer import make_trainer

    set_seed(protocol.seed)
    trainer = make_trainer(model, tokenizer, examples, protocol, tick)
    trainer.train()
    tokens = protocol.epochs * sum(len(example["input_ids"]) for example in examples)
    return FineTuned(tuple(trainer.read_losses()), tokens, trainer)
