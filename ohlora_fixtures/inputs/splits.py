"""Which of a dataset's rows are trained on, which are held out, and which prompts are asked."""

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from ..base.errors import InputError

if TYPE_CHECKING:
    from .dataset import Dialogues

_T = TypeVar("_T")

MOST_HELD_OUT = 50
"""Rows, and as many of those trained on, by which a fine-tuned model is judged."""
_HELD_OUT_OF = 10
"""Of so many dialogues one is held out, where the dataset does not say which."""
_SEED = 42
"""Of the split and of the random order of rows: the same whatever the protocol's own seed."""
_PROMPTS = 25
"""As many as the study asked."""
_SPLITS = {
    "train": "train",
    "training": "train",
    **dict.fromkeys(("valid", "validation", "val", "dev", "eval", "evaluation", "test"), "valid"),
}


def split_of(value: object) -> str | None:
    """`train` or `valid`, as a split column's value says; None for neither."""
    return _SPLITS.get(str(value).strip().lower())


def seeded_split(count: int) -> list[str]:
    """A split of so many dialogues, the same each time: one in ten is held out, 50 at most."""
    held_out = set(random.Random(_SEED).sample(range(count), min(MOST_HELD_OUT, count // _HELD_OUT_OF)))  # noqa: S311
    return ["valid" if index in held_out else "train" for index in range(count)]


def shuffled(rows: Sequence[_T]) -> tuple[_T, ...]:
    """The rows in a random order, the same each time."""
    return tuple(random.Random(_SEED).sample(rows, len(rows)))  # noqa: S311


def rows_settings(asked: str, dialogues: "Dialogues") -> list[str]:
    """The protocol's settings for `--rows`: the rows to train on, and prompts that are not among them, if there are.

    Raises InputError for what is not `all`, `first N` or `random N`.
    """
    found = re.fullmatch(r"\s*(?:(?P<all>all)|(?P<order>first|random)\s+(?P<count>[1-9][0-9]{0,8}))\s*", asked)
    if found is None:
        raise InputError(f"--rows {asked!r} is none of all, first N and random N, such as --rows 'first 200'")
    there, held_out = len(dialogues.usable_train_rows), len(dialogues.usable_valid_rows)
    count = max(there, 1) if found["all"] else int(found["count"])
    order = "random " if found["order"] == "random" else ""
    if held_out:
        prompts = f"valid 0:{min(_PROMPTS, held_out)}"
    elif there > count:
        prompts = f"{order}{count}:{min(count + _PROMPTS, there)}"
    else:
        prompts = f"{order}0:{min(_PROMPTS, count)}"
    return [f"fine_tuning_rows={order}0:{count}", f"prompt_rows={prompts}"]
