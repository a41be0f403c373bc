"""Which licence binds a model: its card's, or that of what it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import msgspec

from ..base import safe_text
from ..base.installation import DATA

_MOST_CHARACTERS = 60
"""Of a licence's name that is not known."""


@dataclass(frozen=True)
class License:
    """Licences that are alike."""

    ids: tuple[str, ...]
    """What model cards call them."""
    free: bool
    """Whether they leave use, change and sharing free, commercially, too."""
    why: str
    """What they ask or forbid."""


@dataclass(frozen=True)
class Family:
    """A line of base models."""

    name: str
    """What it is called."""
    pattern: str
    """A regular expression that finds it in a model's name, in lower case."""
    license: str
    """The licence that binds whatever is made from it."""
    free: bool
    """Whether that is a free one."""
    korean: str | None = None
    """`supported` or `specialised`, if its makers document Korean."""
    is_architecture: bool = False
    """Whether an architecture of its name is enough to tell it."""


@dataclass(frozen=True)
class Terms:
    """The licence that binds a model, as far as it can be known."""

    license: str
    """Its name."""
    free: bool | None
    """Whether it leaves use, change and sharing free; None if that is not known."""
    basis: str
    """How it is known, in words."""
    is_card_alone: bool = False
    """Whether the card is all that speaks for it: of what the model was made, nothing is known."""


def card_terms(card_license: str) -> Terms:
    """What a model card's licence says by itself."""
    plain = _plain(card_license)
    found = _licenses().get(plain)
    if found is None:
        named = safe_text.line(card_license)[:_MOST_CHARACTERS] or "none"
        return Terms(named, free=None, basis="not among the licences known here", is_card_alone=True)
    return Terms(plain, found.free, "its card" if found.free else found.why, is_card_alone=True)


def families(*texts: str, architecture: str = "") -> Iterator[Family]:
    """The base models that texts name: a model's name, the base that an export or a config.json gives.

    Each piece of a text counts for one family alone, so that TinyLlama is not Llama, too.
    """
    text, kind = " ".join(texts).lower(), architecture.lower()
    for family in _families():
        text, named = re.subn(family.pattern, " ", text)
        kind, of_kind = re.subn(family.pattern, " ", kind) if family.is_architecture else (kind, 0)
        if named or of_kind:
            yield family


def _plain(card_license: str) -> str:
    """A licence's id as the Hub spells it, from a card's or an export's spelling."""
    return re.sub(r"-?licen[sc]e|[\[\]'\"]", "", re.sub(r"[\s_]+", "-", card_license.strip().casefold()))


@cache
def _licenses() -> Mapping[str, License]:
    kinds = msgspec.toml.decode((DATA / "licences.toml").read_bytes(), type=dict[str, list[License]])["license"]
    return {_plain(each): kind for kind in kinds for each in kind.ids}


@cache
def _families() -> list[Family]:
    return msgspec.toml.decode((DATA / "families.toml").read_bytes(), type=dict[str, list[Family]])["family"]
