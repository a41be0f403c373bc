"""The dataset: reading it, the protocol's slices, completion-only encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ..base.csv_files import read_rows
from ..base.errors import CandidateError, InputError
from ..base.files import MOST_TEXT_BYTES, read_bytes
from ..base.messages import message
from .protocol import Rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


IGNORED_LABEL = -100
"""The label PyTorch's cross-entropy leaves out (its `ignore_index`)."""

_COLUMNS = ("data_type", "input_data", "output_data")
_MOST_HELD_OUT = 50
_MISSING = {"", "nan", "none", "null", "n/a", "<na>"}


@dataclass(frozen=True)
class Dialogue:
    """One prompt and its answer."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Dialogues:
    """A dataset as read from disk."""

    path: Path
    sha256: str
    usable_train_rows: tuple[Dialogue, ...]
    """The train rows that have a prompt and an answer, in the file's order."""
    usable_valid_rows: tuple[Dialogue, ...] = ()
    """Likewise, the valid rows."""

    def held_out(self, trained: Rows) -> tuple[Dialogue, ...]:
        """Rows to judge a fine-tuned model by, 50 at most: valid rows, or where none is usable, unseen train rows."""
        unseen = (*self.usable_train_rows[: trained.start], *self.usable_train_rows[trained.stop :])
        return (self.usable_valid_rows or unseen)[:_MOST_HELD_OUT]

    def rows(self, rows: Rows) -> tuple[Dialogue, ...]:
        """The usable train rows of a range; raises InputError if the dataset ends before the range does."""
        if rows.stop > len(self.usable_train_rows):
            raise InputError(
                f"dataset {self.path} has {len(self.usable_train_rows)} train rows with a prompt and an answer, "
                f"but the protocol needs {rows.stop}: add rows or change the protocol's row ranges with --protocol"
            )
        return self.usable_train_rows[rows.start : rows.stop]

    def texts(self, template: str) -> list[str]:
        """Every usable train row in a candidate's text template."""
        return [whole_text(template, row) for row in self.usable_train_rows]


class Example(TypedDict):
    """One training row, encoded; all lists have the row's length in tokens."""

    input_ids: list[int]
    attention_mask: list[int]
    labels: list[int]


def read_dialogues(path: Path) -> Dialogues:
    """Read a CSV file; raises InputError as `read_rows`."""
    usable: dict[str, list[Dialogue]] = {"train": [], "valid": []}
    for _, cells in read_rows(path, message("what.dataset"), _COLUMNS):
        kind, prompt, answer = (cells.get(column, "").strip() for column in _COLUMNS)
        if kind in usable and not {prompt.lower(), answer.lower()} & _MISSING:
            usable[kind].append(Dialogue(prompt, answer))
    digest = hashlib.sha256(read_bytes(path, MOST_TEXT_BYTES)).hexdigest()
    return Dialogues(path, digest, tuple(usable["train"]), tuple(usable["valid"]))


def split_template(template: str) -> tuple[str, str]:
    """Split a text template into its prompt part and its answer part.

    White space between them goes with the answer: tokenizers mark a word by the space before it, so a
    prompt that ends in one would be encoded differently alone than in the whole text.
    """
    before, _, after = template.partition("{output}")
    prompt = before.rstrip()
    return prompt, before[len(prompt) :] + "{output}" + after


def whole_text(template: str, row: Dialogue) -> str:
    """A row as one training text, without the end-of-sequence token."""
    return prompt_text(template, row.prompt) + _answer_text(template, row.answer)


def prompt_text(template: str, prompt: str) -> str:
    """The text a model gets to answer."""
    return split_template(template)[0].replace("{input}", prompt)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, template: str, prompt: str) -> list[int]:
    """The tokens of that text, left open for an answer: some tokenizers close every text."""
    ids: list[int] = tokenizer(prompt_text(template, prompt))["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def answer_alone(template: str, answer: str) -> str:
    """An answer with what the template has before it, but not with what comes after."""
    return split_template(template)[1].partition("{output}")[0] + answer


def encode(tokenizer: PreTrainedTokenizerBase, template: str, row: Dialogue, max_tokens: int) -> Example:
    """Encode a row so that only its answer, closed by the end-of-sequence token, is learned.

    Prompt and answer are encoded separately, so the border between them needs no search for token ids.

    Raises CandidateError for a prompt so long that nothing of the answer is left.
    """
    asked = prompt_ids(tokenizer, template, row.prompt)
    if len(asked) >= max_tokens:
        raise CandidateError(
            message("reason.long_row", prompt=repr(row.prompt[:20]), count1=len(asked), count2=max_tokens)
        )
    answer = tokenizer(_answer_text(template, row.answer), add_special_tokens=False)["input_ids"]
    learned = [*answer, tokenizer.eos_token_id]
    input_ids = [*asked, *learned][:max_tokens]
    labels = [*[IGNORED_LABEL] * len(asked), *learned][:max_tokens]
    return {"input_ids": input_ids, "attention_mask": [1] * len(input_ids), "labels": labels}


def encode_all(
    tokenizer: PreTrainedTokenizerBase, template: str, rows: Sequence[Dialogue], max_tokens: int
) -> list[Example]:
    """Encode rows for fine-tuning, each at its own length."""
    return [encode(tokenizer, template, row, max_tokens) for row in rows]


def _answer_text(template: str, answer: str) -> str:
    return split_template(template)[1].replace("{output}", answer)
