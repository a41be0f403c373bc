"""A stand-in for what only a download could give: a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_END_OF_SEQUENCE = "<|endoftext|>"
"""The stand-in tokenizer's only special token: it also begins, pads and replaces the unknown."""

TYPICAL_CHARS_PER_TOKEN = 1.5
"""For a candidate whose own figure is unknown: the middle of the seed candidates' 1.38 to 2.05."""

TYPICAL_TEMPLATE_TOKENS = 12
"""Of a chat template around a prompt, where that is unknown: Gemma's has 9, ChatML's 8, Llama 3's 10; a system text
that a template brings along has some 30 more."""

_SMALLEST_VOCABULARY = 257
"""Every byte and the special token."""
_LARGEST_VOCABULARY = 8192


def stand_in_tokenizer(texts: Sequence[str], chars_per_token: float | None) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on `texts` to give about `chars_per_token` characters a token.

    Sequence lengths, and so time and memory, are then close to those of the tokenizer it stands in for.
    The vocabulary is the smallest that reaches the figure, found by bisection; at most 8192.
    """
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = _learned_merges(texts)
    wanted = chars_per_token or TYPICAL_CHARS_PER_TOKEN
    characters = sum(map(len, texts))
    low, high = _SMALLEST_VOCABULARY, len(vocabulary)
    while low < high:
        middle = (low + high) // 2
        encodings = _byte_level_bpe(vocabulary, merges, middle).encode_batch(texts)
        tokens = sum(len(encoding.ids) for encoding in encodings)
        low, high = (low, middle) if characters >= wanted * tokens else (middle + 1, high)
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), _END_OF_SEQUENCE)
    tokenizer = _byte_level_bpe(vocabulary, merges, low)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="right", **special)


def _learned_merges(texts: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The largest vocabulary and its merges, most useful first: a smaller tokenizer is one that stops earlier."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_LARGEST_VOCABULARY,
        special_tokens=[_END_OF_SEQUENCE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]


def _byte_level_bpe(vocabulary: dict[str, int], merges: Sequence[tuple[str, str]], size: int) -> Tokenizer:
    """The tokenizer of the first `size` entries of a vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    kept = {token: index for token, index in vocabulary.items() if index < size}
    tokenizer = Tokenizer(models.BPE(vocab=kept, merges=[pair for pair in merges if "".join(pair) in kept]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
