"""How likely the dataset's own answers are under a model: comparable between tokenizers, a character at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..inputs.conversations import Dialogue
from ..inputs.templates import Template

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Likelihood(NamedTuple):
    """One answer's likelihood, given its prompt."""

    nats: float
    """Negative logarithm of its probability, as its tokenizer splits it, without the token that would end it."""
    tokens: int
    characters: int


def likelihoods(
    model: PreTrainedModel, template: Template, rows: Sequence[Dialogue], max_tokens: int
) -> tuple[Likelihood, ...]:
    """Each row's answer read in one pass; rows of more than `max_tokens` tokens are left out.

    What a model gives to the text under one tokenization is a lower bound on the text's probability; nats a character,
    like bits a byte, make it comparable between tokenizers (Gao et al. 2020, The Pile, section 3.1).
    """
    import torch

    found = []
    model.eval()
    for row, (asked, answer_ids) in zip(rows, template.encoded(rows), strict=True):
        ids = asked + answer_ids
        if not asked or not answer_ids or len(ids) > max_tokens:
            continue
        with torch.no_grad():
            logits: Any = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits
            expected = logits[0, len(asked) - 1 : -1].float()  # each place tells of the token after it
            learned = torch.tensor(answer_ids, device=model.device)
            nats = torch.nn.functional.cross_entropy(expected, learned, reduction="sum").item()
        found.append(Likelihood(nats, len(answer_ids), len(row.answer)))
    return tuple(found)


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
