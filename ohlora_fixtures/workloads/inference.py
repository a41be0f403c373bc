"""Inference: a model answers prompts one by one, untuned or fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.errors import CandidateError
from ..base.messages import message
from ..inputs.protocol import Protocol

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..inputs.templates import Template


class AnswerLength(NamedTuple):
    """How long one answer is."""

    prompt_tokens: int
    new_tokens: int
    is_cut_off: bool
    """Whether it reached the protocol's length before the model ended it."""


_NEUTRAL: dict[str, Any] = {
    "do_sample": True,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
}
"""Settings of `generate` with which each token is drawn from what the model expects, and nothing else."""


@dataclass(frozen=True)
class Answered:
    """What an inference run leaves."""

    answers: tuple[str, ...]
    """The model's answers, in the prompts' order: untrusted text."""
    lengths: tuple[AnswerLength, ...]
    sampling: dict[str, Any] = field(default_factory=dict)
    """By which settings of `generate` they were sampled."""

    @property
    def tokens(self) -> int:
        """Tokens generated, all answers together."""
        return sum(length.new_tokens for length in self.lengths)


def prepare_to_answer(model: PreTrainedModel, template: Template) -> None:
    """Let the token that ends an answer in its template end it, besides those that the model's makers name."""
    settings, end = model.generation_config, template.end[-1]
    settings.pad_token_id = template.tokenizer.pad_token_id
    named = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
    if end not in named:
        settings.eos_token_id = [*(each for each in named if each is not None), end]


def prepare_to_answer_in_full(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let no end-of-sequence token cut an answer short: without trained weights it would come by chance."""
    model.eval()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = tokenizer.pad_token_id


def answer(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    protocol: Protocol,
    tick: Callable[[], None],
) -> Answered:
    """Sample an answer to each prompt, given in tokens, and call `tick` after each.

    Raises CandidateError for a prompt that leaves no room for an answer.
    """
    import torch
    from transformers import set_seed

    set_seed(protocol.seed)
    generate: Any = model.eval().generate
    own = protocol.sampling.own
    settings = _NEUTRAL | own if own else {"do_sample": True}
    settings |= {"max_length": protocol.max_length, "max_new_tokens": None}  # which a maker's would go before
    answers, lengths = [], []
    for number, prompt in enumerate(prompts, 1):
        prompt_tokens = len(prompt)
        if prompt_tokens >= protocol.max_length:
            raise CandidateError(
                message("reason.long_prompt", count1=number, count2=prompt_tokens, count3=protocol.max_length)
            )
        ids = torch.tensor([prompt])
        ids, mask = ids.to(model.device), torch.ones_like(ids).to(model.device)
        output = generate(input_ids=ids, attention_mask=mask, use_cache=True, **settings)
        new_ids = output[0, prompt_tokens:]
        answers.append(str(tokenizer.decode(new_ids, skip_special_tokens=True)).strip())
        lengths.append(
            AnswerLength(prompt_tokens, len(new_ids), _is_cut_off(model, new_ids, protocol.max_length - prompt_tokens))
        )
        tick()
    return Answered(tuple(answers), tuple(lengths), _sampling(model.generation_config, settings))


def _sampling(makers: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """What counts of the settings asked for, the makers' and transformers' own, in this order, by name."""
    usual: dict[str, Any] = getattr(makers, "_get_default_generation_params", dict)()
    found = {name: asked.get(name, getattr(makers, name, None)) for name in _NEUTRAL}
    found = {name: usual.get(name) if value is None else value for name, value in found.items()}
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def _is_cut_off(model: PreTrainedModel | PeftModel, new_ids: Any, room: int) -> bool:
    """Whether an answer fills its room, in tokens, without the token that would have ended it there."""
    ends = model.generation_config.eos_token_id
    is_full = len(new_ids) == room
    return is_full and int(new_ids[-1]) not in (ends if isinstance(ends, list) else [ends])
