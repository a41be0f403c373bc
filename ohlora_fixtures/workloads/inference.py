"""Inference: a model answers prompts one by one, untuned or fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.errors import CandidateError
from ..base.messages import message
from ..inputs.protocol import Protocol

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class AnswerLength(NamedTuple):
    """How long one answer is."""

    prompt_tokens: int
    new_tokens: int
    is_cut_off: bool
    """Whether it reached the protocol's length before the model ended it."""


@dataclass(frozen=True)
class Answered:
    """What an inference run leaves."""

    answers: tuple[str, ...]
    """The model's answers, in the prompts' order: untrusted text."""
    lengths: tuple[AnswerLength, ...]

    @property
    def tokens(self) -> int:
        """Tokens generated, all answers together."""
        return sum(length.new_tokens for length in self.lengths)


def answer(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    protocol: Protocol,
    tick: Callable[[], None],
) -> Answered:
    """Sample an answer to each prompt, calling `tick` after each; raises CandidateError where none has room."""
    from transformers import set_seed

    set_seed(protocol.seed)
    generate: Any = model.eval().generate
    answers, lengths = [], []
    for number, prompt in enumerate(prompts, 1):
        encoded = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False).to(model.device)
        prompt_tokens = encoded["input_ids"].shape[1]
        if prompt_tokens >= protocol.max_length:
            raise CandidateError(
                message("reason.long_prompt", count1=number, count2=prompt_tokens, count3=protocol.max_length)
            )
        output = generate(**encoded, do_sample=True, max_length=protocol.max_length, use_cache=True)
        new_ids = output[0, prompt_tokens:]
        answers.append(str(tokenizer.decode(new_ids, skip_special_tokens=True)).strip())
        lengths.append(
            AnswerLength(prompt_tokens, len(new_ids), _is_cut_off(model, new_ids, protocol.max_length - prompt_tokens))
        )
        tick()
    return Answered(tuple(answers), tuple(lengths))


def _is_cut_off(model: PreTrainedModel | PeftModel, new_ids: Any, room: int) -> bool:
    """Whether an answer fills its room, in tokens, without the token that would have ended it there."""
    ends = model.generation_config.eos_token_id
    is_full = len(new_ids) == room
    return is_full and int(new_ids[-1]) not in (ends if isinstance(ends, list) else [ends])
