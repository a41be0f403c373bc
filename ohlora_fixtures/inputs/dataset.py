"""The dataset: its rows as prompts and answers, which are trained on, held out, and asked."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..base.errors import InputError
from ..base.installation import DATA
from ..base.messages import message
from .conversations import LIKELY, Dialogue, NoDialogueError, columns_of, in_words, pairs, parse_columns, turns_of
from .dataset_files import DatasetRows, read_file, read_from_hub
from .protocol import Rows
from .templates import whole_text

OWN_DATASET = DATA / "dialogues.csv"
_MOST_TEXTS, _LONGEST_TEXT = 200, 1000
"""Rows, all of the suite's own, and characters of each: to learn a tokenizer from thousands takes minutes."""
MOST_HELD_OUT = 50
"""Rows, and as many of those trained on, by which a fine-tuned model is judged."""
_HELD_OUT_OF = 10
"""Of so many dialogues one is held out, where the dataset does not say which."""
_SEED = 42
"""Of the split and of the random order of rows: the same whatever the protocol's own seed."""
_PROMPTS = 25
"""As many as the study asked."""
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "eval", "evaluation", "test"), "valid"),
}
"""By what a split column may say, in lower case."""


@dataclass(frozen=True)
class Dialogues:
    """A dataset as read from disk or from the Hub."""

    path: Path
    """Its file, or its id on the Hub."""
    sha256: str
    """Of the file; where columns are named, of these, too."""
    usable_train_rows: tuple[Dialogue, ...]
    """The train rows that have a prompt and an answer, in the file's order."""
    usable_valid_rows: tuple[Dialogue, ...] = ()
    """Likewise, the valid rows."""
    form: str = ""
    """What it is kept in, and the columns of its dialogues, such as `CSV, instruction -> output`."""
    count: int = 0
    """All rows, usable or not: a prompt and its answer each, so that a dialogue of several turns is several."""
    is_split_here: bool = False
    """Whether no column says which rows are valid, so that they were drawn."""

    def held_out(self, trained: Rows) -> tuple[Dialogue, ...]:
        """Rows to judge a fine-tuned model by: valid rows, or where none is usable, unseen train rows.

        At most 50, evenly spaced: neighbours are often alike.
        """
        there = self._in_order(trained.of)
        unseen = (*there[: trained.start], *there[trained.stop :])
        rows = unseen if trained.of == "valid" else self.usable_valid_rows or unseen
        count = min(len(rows), MOST_HELD_OUT)
        return tuple(rows[len(rows) * at // count] for at in range(count))

    def rows(self, rows: Rows) -> tuple[Dialogue, ...]:
        """The usable rows of a range; raises InputError if the dataset ends before the range does."""
        if not self.usable_train_rows and not self.usable_valid_rows:
            raise InputError(
                f"dataset {self.path} has no row with a prompt and an answer, of {self.count:,}: fill them in, or name "
                "other columns with --columns prompt=COLUMN,answer=COLUMN"
            )
        there = self._in_order(rows.of)
        if rows.stop > len(there):
            kind = "valid" if rows.of == "valid" else "train"
            raise InputError(
                f"dataset {self.path} has {len(there)} {kind} rows with a prompt and an answer, "
                f"but {rows.stop} are asked for: add rows, or take what there is with --rows all"
            )
        return there[rows.start : rows.stop]

    def settings_for(self, asked: str) -> list[str]:
        """The protocol's settings for `--rows`: the rows to train on, and prompts that are not among them, if any.

        Raises InputError for what is not `all`, `first N` or `random N`.
        """
        found = re.fullmatch(r"\s*(?:(?P<all>all)|(?P<order>first|random)\s+(?P<count>[1-9][0-9]{0,8}))\s*", asked)
        if found is None:
            raise InputError(f"--rows {asked!r} is none of all, first N and random N, such as --rows 'first 200'")
        there, held_out = len(self.usable_train_rows), len(self.usable_valid_rows)
        count = max(there, 1) if found["all"] else int(found["count"])
        order = "random " if found["order"] == "random" else ""
        if held_out:
            prompts = f"valid 0:{min(_PROMPTS, held_out)}"
        elif there > count:
            prompts = f"{order}{count}:{min(count + _PROMPTS, there)}"
        else:
            prompts = f"{order}0:{min(_PROMPTS, count)}"
        return [f"fine_tuning_rows={order}0:{count}", f"prompt_rows={prompts}"]

    def understood(self, trained: Rows) -> str:
        """In one line, what was read and what of it is used."""
        usable = [*self.usable_train_rows, *self.usable_valid_rows]
        characters = [len(row.prompt) + len(row.answer) for row in usable] or [0]
        parts = [f"{len(self.usable_train_rows):,} train"]
        if self.usable_valid_rows:
            parts.append(f"{len(self.usable_valid_rows):,} held out{' at random' * self.is_split_here}")
        if unused := self.count - len(usable):
            parts.append(f"{unused:,} not usable")
        return (
            f"dataset: {self.path.name}, {self.form}; trains on {len(trained):,} of {self.count:,} rows "
            f"({', '.join(parts)}); characters a row: {median(characters):.0f} in the median, "
            f"{max(characters):,} at most"
        )

    def _in_order(self, of: str) -> tuple[Dialogue, ...]:
        if of == "valid":
            return self.usable_valid_rows
        rows = self.usable_train_rows
        return tuple(random.Random(_SEED).sample(rows, len(rows))) if of == "random" else rows  # noqa: S311

    def texts(self, template: str | None) -> list[str]:
        """Some usable train rows in a text template, or in the suite's: enough for a tokenizer to learn from."""
        return [whole_text(template, row)[:_LONGEST_TEXT] for row in self.usable_train_rows[:_MOST_TEXTS]]


def read_dialogues(source: Path | str, columns: str = "") -> Dialogues:
    """Read a file, or for a text the dataset of that id on the Hub; `columns` names some, as `parse_columns` has it.

    Raises InputError for what cannot be read or is no dialogue, and says what was found.
    """
    asked = parse_columns(columns)
    likely = {*LIKELY, *asked.values()}
    found = read_from_hub(source) if isinstance(source, str) else read_file(source, likely)
    where = {"what": message("what.dataset"), "path": source}
    roles = columns_of(found.heads, asked, where)
    rows = [_row_pairs(found, place, row, roles, where) for place, row in found.rows]
    splits = _splits(found, [bool(usable) for usable, _ in rows], roles, where)
    of: dict[str | None, list[Dialogue]] = {"train": [], "valid": [], None: []}
    for split, (usable, _) in zip(splits, rows, strict=True):
        of[split] += usable
    digest = hashlib.sha256(f"{found.digest} {sorted(asked.items())}".encode()).hexdigest() if asked else found.digest
    return Dialogues(
        Path(source),
        digest,
        tuple(of["train"]),
        tuple(of["valid"]),
        form=f"{found.kind}, {in_words(roles)}",
        count=sum(count for _, count in rows),
        is_split_here="split" not in roles,
    )


def _row_pairs(
    found: DatasetRows, place: int, row: Mapping[str, Any], roles: Mapping[str, str], where: Mapping[str, Any]
) -> tuple[list[Dialogue], int]:
    """The usable prompts and answers of a row, and of how many; a row without any counts as one."""
    try:
        there = [*pairs(turns_of(row, roles))]
    except NoDialogueError as error:
        at = message("place.line" if found.kind == "CSV" else "place.row", count=place)
        raise InputError(message("mistake.row", **where, place=at, reason=error.args[0])) from None
    return [each for each in there if each.prompt], max(1, len(there))


def _splits(
    found: DatasetRows, are_usable: Sequence[bool], roles: Mapping[str, str], where: Mapping[str, Any]
) -> list[str | None]:
    """Each row's split: as its column says, else drawn from the usable rows, always the same ones."""
    if column := roles.get("split"):
        values = [row.get(column) for _, row in found.rows]
        splits = [_SPLITS.get(str(value).strip().lower()) for value in values]
        if values and "train" not in splits:
            shown = [repr(value)[:30] for value in dict.fromkeys(map(str, values))][:6]
            raise InputError(message("mistake.no_split", **where, column=repr(column), values=shown))
        return splits
    usable = [place for place, is_usable in enumerate(are_usable) if is_usable]
    count = min(MOST_HELD_OUT, len(usable) // _HELD_OUT_OF)
    held_out = set(random.Random(_SEED).sample(usable, count))  # noqa: S311
    return [
        "valid" if place in held_out else "train" if is_usable else None for place, is_usable in enumerate(are_usable)
    ]
