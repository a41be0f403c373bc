"""How likely the dataset's own answers are under a model: comparable between tokenizers, a character at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from ..inputs.conversations import Dialogue
from ..inputs.templates import EncodedRow, Template

if TYPE_CHECKING:
    from transformers import PreTrainedModel


OTHER_PROMPTS = 3
"""After so many other rows' prompts a held-out answer is read, too."""


class Likelihood(NamedTuple):
    """One answer's likelihood, given its prompt."""

    nats: float
    """Negative logarithm of its probability, as its tokenizer splits it, without the token that would end it."""
    tokens: int
    characters: int
    matched: float | None = None
    """Share of the other prompts after which the answer is less likely than after its own, a tie counting half; None
    if it was read after no other."""


@dataclass(frozen=True)
class Reader:
    """Reads a dataset's answers under a model."""

    model: PreTrainedModel
    template: Template
    max_tokens: int
    """Longer rows are left out."""

    def likelihoods(self, rows: Sequence[Dialogue], others: int = 0) -> tuple[Likelihood, ...]:
        """Each row's answer, read in one pass, and in one more after each of so many other rows' prompts.

        What a model gives to the text under one tokenization is a lower bound on the text's probability; nats a
        character, like bits a byte, make it comparable between tokenizers (Gao et al. 2020, The Pile, section 3.1).
        """
        self.model.eval()
        found = []
        each_with_others = [[row, *_after_others(rows, at, others)] for at, row in enumerate(rows)]
        encoded = iter(self.template.encoded([row for group in each_with_others for row in group]))
        for group in each_with_others:
            own, *elsewhere = [self._read(row, next(encoded)) for row in group]
            if own is not None:
                won = [1.0 if own.nats < each.nats else (own.nats == each.nats) / 2 for each in elsewhere if each]
                found.append(own._replace(matched=fmean(won) if won else None))
        return tuple(found)

    def _read(self, row: Dialogue, encoded: EncodedRow) -> Likelihood | None:
        import torch

        asked, answer_ids = encoded
        ids = asked + answer_ids
        if not asked or not answer_ids or len(ids) > self.max_tokens:
            return None
        with torch.no_grad():
            on = self.model.device
            logits: Any = self.model(input_ids=torch.tensor([ids], device=on), use_cache=False).logits
            expected = logits[0, len(asked) - 1 : -1].float()  # each place tells of the token after it
            learned = torch.tensor(answer_ids, device=on)
            nats = torch.nn.functional.cross_entropy(expected, learned, reduction="sum").item()
        return Likelihood(nats, len(answer_ids), len(row.answer))


def _after_others(rows: Sequence[Dialogue], at: int, others: int) -> Iterator[Dialogue]:
    """A row's answer after so many other rows' prompts, as far apart as can be: neighbours are often about the same.

    A row with the same prompt or the same answer is left out.
    """
    row = rows[at]
    for step in sorted({len(rows) * number // (others + 1) for number in range(1, others + 1)}):
        other = rows[(at + step) % len(rows)]
        if other.prompt != row.prompt and other.answer != row.answer:
            yield replace(other, answer=row.answer)


@contextmanager
def in_training_scale(model: Any) -> Iterator[None]:
    """Keep RWKV's layers as they were trained while an adapted model is asked.

    For inference transformers divides some of RWKV's weights, and what flows past them, by powers of two against the
    narrow range of fp16. It knows nothing of an adapter beside such a weight, whose share would come out too large;
    bf16 needs no such care.
    """
    parts = [part for part in model.modules() if hasattr(part, "layers_are_rescaled")]
    if any(part.layers_are_rescaled for part in parts):
        raise ValueError("the model is in the scale of inference already")
    before = [part.config.rescale_every for part in parts]
    for part in parts:
        part.config.rescale_every = 0
    try:
        yield
    finally:
        for part, every in zip(parts, before, strict=True):
            part.config.rescale_every = every
            part.layers_are_rescaled = False
