"""A tokenizer that knows lengths only, for planning where the candidate's own is not at hand."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizer

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
