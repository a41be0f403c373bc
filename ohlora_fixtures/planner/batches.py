"""Which rows a plan works on, how long they are, and which of them share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from transformers import PreTrainedTokenizer, set_seed

from ..inputs.dataset import IGNORED_LABEL, Dialogue, Example, encode_all, prompt_text, whole_text
from ..workloads import models
from ..workloads.stand_ins import TYPICAL_CHARS_PER_TOKEN
from ..workloads.trainer import make_trainer
from .on_meta import META, workloads_on_meta

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.protocol import Protocol
    from ..inputs.settings import Settings
    from .planner import MeasuredTokenizer

_END, _OTHER = "</s>", "x"


class EstimatedTokenizer(PreTrainedTokenizer):
    """Turns a text into as many tokens as the candidate's characters a token give, all of them alike."""

    def __init__(self, chars_per_token: float) -> None:
        self._chars_per_token = chars_per_token
        super().__init__(eos_token=_END, pad_token=_END, padding_side="right")  # type: ignore[no-untyped-call]

    @property
    def vocab_size(self) -> int:
        """The end of a text, and anything else."""
        return 2

    def get_vocab(self) -> dict[str, int]:
        """Ids by token."""
        return {_END: 0, _OTHER: 1}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return [_OTHER] * max(1, round(len(text) / self._chars_per_token))

    def _convert_token_to_id(self, token: str) -> int:
        return self.get_vocab()[token]

    def _convert_id_to_token(self, index: int) -> str:
        return _OTHER if index else _END

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The tokens, one after the other."""
        return "".join(tokens)


@dataclass(frozen=True)
class Encoded:
    """The protocol's rows in a candidate's tokens."""

    tokenizer: PreTrainedTokenizerBase
    """What encoded them."""
    origin: str
    """`own`, `stand-in` or `estimated`."""
    examples: list[Example]
    """The training rows."""
    prompt_tokens: list[int]
    """Tokens of each prompt."""


def encoded(candidate: Candidate, settings: Settings, measured: MeasuredTokenizer | None) -> Encoded:
    """The protocol's rows by the measured model's tokenizer, else by the candidate's own if at hand, else estimated."""
    protocol, template, dialogues = settings.protocol, candidate.text_template, settings.dialogues
    rows, folder = dialogues.rows(protocol.fine_tuning_rows), models.tokenizer_at_hand(candidate, settings.model_dir)
    tokenizer: PreTrainedTokenizerBase
    if measured is not None:
        tokenizer, origin = measured.tokenizer, measured.origin
    elif folder is not None:
        tokenizer, origin = models.load_tokenizer(candidate, str(folder), local_files_only=True), "own"
    else:
        chars_per_token = candidate.chars_per_token or TYPICAL_CHARS_PER_TOKEN
        tokenizer, origin = EstimatedTokenizer(chars_per_token), "estimated"
    if origin == "estimated":  # whole rows at once, where rounding errs once
        examples = estimated_examples(template, rows, chars_per_token, protocol.max_row_tokens)
    else:
        examples = encode_all(tokenizer, template, rows, protocol.max_row_tokens)
    prompts = [prompt_text(template, row.prompt) for row in dialogues.rows(protocol.prompt_rows)]
    return Encoded(tokenizer, origin, examples, [len(tokenizer(prompt)["input_ids"]) for prompt in prompts])


def estimated_examples(
    template: str, rows: Sequence[Dialogue], chars_per_token: float, max_tokens: int
) -> list[Example]:
    """Training rows of estimated lengths: the whole text's characters by those a token, and the end of sequence.

    The characters a token of `data/candidates.toml` were counted over whole rows, template included.
    """
    examples: list[Example] = []
    for row in rows:
        tokens = min(round(len(whole_text(template, row)) / chars_per_token) + 1, max_tokens)
        prompt_tokens = min(round(len(prompt_text(template, row.prompt)) / chars_per_token), tokens - 1)
        labels = [IGNORED_LABEL] * prompt_tokens + [1] * (tokens - prompt_tokens)
        examples.append({"input_ids": [1] * tokens, "attention_mask": [1] * tokens, "labels": labels})
    return examples


@cache
def drawn_batches(rows: int, protocol: Protocol) -> tuple[tuple[int, ...], ...]:
    """The rows of each batch of a whole run, as `Trainer`'s own sampler draws them."""
    trainer = None
    with workloads_on_meta(lambda: None), patch("accelerate.data_loader.send_to_device", lambda batch, *_, **__: batch):
        set_seed(protocol.seed)
        examples: list[Example] = [{"input_ids": [row], "attention_mask": [1], "labels": [1]} for row in range(rows)]
        trainer = make_trainer(_NoModel(), EstimatedTokenizer(1), examples, protocol, lambda: None)  # type: ignore[arg-type]
        loader = trainer.get_train_dataloader()
        drawn = []
        for epoch in range(protocol.epochs):
            loader.set_epoch(epoch)  # type: ignore[attr-defined]
            drawn += [tuple(batch["input_ids"][:, 0].tolist()) for batch in loader]
    return tuple(drawn)


class _NoModel(torch.nn.Module):
    """As much of a model as `Trainer` asks for before it trains."""

    device = META

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(1, device=META))

    def forward(self, input_ids: object, attention_mask: object, labels: object) -> None:
        """Never called: `Trainer` reads from its parameters which columns to keep."""
