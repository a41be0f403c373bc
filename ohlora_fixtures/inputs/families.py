"""Base models: the licence that binds whatever is made from them, and how they are told."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec

from ..base.installation import DATA


@dataclass(frozen=True)
class Family:
    """A line of base models."""

    name: str
    pattern: str
    """A regular expression that finds it in a model's name, in lower case."""
    license: str
    """The licence that binds whatever is made from it."""
    free: bool
    korean: str | None = None
    """`supported` or `specialised`, if its makers document Korean."""
    is_architecture: bool = False
    """Whether an architecture of its name is enough to tell it."""
    parameters: tuple[int, ...] = ()
    """Exact counts of its models."""


def families(*texts: str, architecture: str = "") -> Iterator[Family]:
    """The base models that texts name: a model's name, the base that an export or a config.json gives.

    Each piece of a text counts for one family alone, so that TinyLlama is not Llama, too.
    """
    text, kind = " ".join(texts).lower(), architecture.lower()
    for family in all_families():
        text, named = re.subn(family.pattern, " ", text)
        kind, of_kind = re.subn(family.pattern, " ", kind) if family.is_architecture else (kind, 0)
        if named or of_kind:
            yield family


def same_count(parameters: int) -> Family | None:
    """The family that is not free and has a model of just so many parameters: a hint where nothing else tells."""
    return next((each for each in all_families() if parameters in each.parameters and not each.free), None)


@cache
def all_families() -> tuple[Family, ...]:
    """Those of `data/families.toml`; of two that a name could be of, the more specific one first."""
    return msgspec.toml.decode((DATA / "families.toml").read_bytes(), type=dict[str, tuple[Family, ...]])["family"]
