"""Which rows a plan works on, how long they are, and which of them share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from unittest.mock import patch

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, set_seed

from ..inputs.conversations import Dialogue
from ..inputs.templates import (
    IGNORED_LABEL,
    Example,
    count_cut,
    count_long,
    encode_all,
    prompt_text,
    template_of,
    whole_text,
)
from ..workloads import models
from ..workloads.stand_ins import TYPICAL_CHARS_PER_TOKEN, TYPICAL_TEMPLATE_TOKENS
from ..workloads.trainer import make_trainer
from .on_meta import META, workloads_on_meta

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.protocol import Protocol
    from ..inputs.settings import Settings
    from .planner import MeasuredTokenizer


@cache
def padding_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that pads rows and knows two tokens: all that is asked of one where lengths are estimated."""
    words = Tokenizer(WordLevel({"</s>": 0, "x": 1}, unk_token="x"))  # noqa: S106 - no password
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>", padding_side="right")  # noqa: S106


@dataclass(frozen=True)
class Encoded:
    """The protocol's rows in a candidate's tokens."""

    tokenizer: PreTrainedTokenizerBase
    """What encoded them, or pads them where their lengths are estimated."""
    origin: str
    """`own`, `stand-in` or `estimated`."""
    examples: list[Example]
    """The training rows."""
    rows_cut: int
    """How many of them are cut."""
    prompt_tokens: list[int]
    """Tokens of each prompt."""
    long_answers: int
    """How many prompts have an answer of their own that does not fit."""


def encoded(candidate: Candidate, settings: Settings, measured: MeasuredTokenizer | None) -> Encoded:
    """The protocol's rows by the measured model's tokenizer, else by the candidate's own if at hand, else estimated."""
    protocol, dialogues = settings.protocol, settings.dialogues
    rows, asked = dialogues.rows(protocol.fine_tuning_rows), dialogues.rows(protocol.prompt_rows)
    folder = models.tokenizer_at_hand(candidate, settings.model_dir)
    if measured is not None:
        tokenizer, origin = measured.tokenizer, measured.origin
    elif folder is not None:
        tokenizer, origin = models.load_tokenizer(candidate, str(folder), local_files_only=True), "own"
    else:
        estimated = [estimated_tokens(candidate, row) for row in asked]
        return Encoded(
            padding_tokenizer(),
            "estimated",
            estimated_examples(candidate, rows, protocol.max_row_tokens),
            sum(estimated_tokens(candidate, row)[1] > protocol.max_row_tokens for row in rows),
            [max(1, prompt_tokens) for prompt_tokens, _ in estimated],
            sum(tokens > protocol.max_length for _, tokens in estimated),
        )
    template = template_of(candidate.text_template, tokenizer)
    examples, answers = encode_all(template, rows, protocol.max_row_tokens), template.encoded(asked)
    return Encoded(
        tokenizer,
        origin,
        examples,
        count_cut(examples, template, protocol.max_row_tokens),
        [len(prompt) for prompt, _ in answers],
        count_long(answers, template, protocol.max_length),
    )


def estimated_examples(candidate: Candidate, rows: Sequence[Dialogue], max_tokens: int) -> list[Example]:
    """Training rows of estimated lengths."""
    examples: list[Example] = []
    for row in rows:
        prompt_tokens, tokens = (min(count, max_tokens) for count in estimated_tokens(candidate, row))
        prompt_tokens = min(prompt_tokens, tokens - 1)
        labels = [IGNORED_LABEL] * prompt_tokens + [1] * (tokens - prompt_tokens)
        examples.append({"input_ids": [1] * tokens, "attention_mask": [1] * tokens, "labels": labels})
    return examples


def estimated_tokens(candidate: Candidate, row: Dialogue) -> tuple[int, int]:
    """Tokens of a row's prompt, and of the row: characters by those a token, and the end of sequence.

    The characters a token of `data/candidates.toml` were counted over whole rows, text template included; rounding errs
    once. Of a chat template only the number of its tokens is known.
    """
    template, chars_per_token = candidate.text_template, _chars_per_token(candidate)
    if template is not None:
        texts, added = (prompt_text(template, row.prompt), whole_text(template, row)), 0
    else:
        texts, added = (row.prompt, row.prompt + row.answer), candidate.template_tokens or TYPICAL_TEMPLATE_TOKENS
    prompt_tokens, tokens = (added + round(len(text) / chars_per_token) for text in texts)
    return prompt_tokens, tokens + 1


def _chars_per_token(candidate: Candidate) -> float:
    return candidate.chars_per_token or TYPICAL_CHARS_PER_TOKEN


@cache
def drawn_batches(rows: int, protocol: Protocol) -> tuple[tuple[int, ...], ...]:
    """The rows of each batch of a whole run, as `Trainer`'s own sampler draws them."""
    with workloads_on_meta(lambda: None), patch("accelerate.data_loader.send_to_device", lambda batch, *_, **__: batch):
        set_seed(protocol.seed)
        examples: list[Example] = [{"input_ids": [row], "attention_mask": [1], "labels": [1]} for row in range(rows)]
        trainer = make_trainer(_NoModel(), padding_tokenizer(), examples, protocol, lambda: None)  # type: ignore[arg-type]
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
