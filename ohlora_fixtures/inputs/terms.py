"""The licence that binds a model, and whether it is for Korean: as its description and its base models tell."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import msgspec

from ..base import safe_text
from ..base.installation import DATA
from .candidates import Candidate

_MOST_CHARACTERS = 60
"""Of a licence's name that is not known."""
_KOREAN = {"ko", "kor", "korean", "kr", "hangul"}
"""Parts of a model's name, and language codes (ISO 639), that say Korean."""


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
class Terms:
    """The licence that binds a model, as far as it can be known."""

    license: str
    free: bool | None
    """Whether it leaves use, change and sharing free; None if that is not known."""
    basis: str
    """How it is known, in words."""
    is_card_alone: bool = False
    """Whether the card is all that speaks for it: of what the model was made, nothing is known."""
    suspect: Family | None = None
    """In that case, a base that is not free and has exactly as many parameters."""


@dataclass(frozen=True)
class Korean:
    """Whether a model is for Korean, as far as it can be known."""

    level: str | None
    """`specialised`, `supported` or `no`; None if nothing tells."""
    basis: str
    """How it is known, in words."""


def bases_of(
    name: str, base: str, architecture: str, settings: Mapping[str, Any], ours: Mapping[str, Candidate]
) -> tuple[Family, ...]:
    """What a model was made from, as its name, the base and the class it is said to have, and its config.json tell.

    `ours` are the suite's own candidates by repository, in lower case.
    """
    origin = settings.get("_name_or_path")
    named = f"{base} {origin if isinstance(origin, str) else ''}"
    known = filter(None, (ours.get(word.strip("()[],").lower()) for word in named.split()))
    ours_too = (Family(each.repo, each.repo, each.binding_license, each.free_license, each.korean) for each in known)
    return (*ours_too, *families(name, named, architecture=f"{architecture} {settings.get('model_type', '')}"))


def terms_of(card_license: str, bases: Sequence[Family]) -> Terms:
    """The card's licence, or that of a base if it is less free than the card says."""
    card = card_terms(card_license)
    binding = next((base for base in bases if not base.free), None)
    if binding and card.free is not False:
        return Terms(binding.license, free=False, basis=f"binds through {binding.name}; card: {card.license}")
    if bases:
        return replace(card, basis=f"{card.basis}; {bases[0].name} is {bases[0].license}", is_card_alone=False)
    return card


def korean_of(name: str, languages: str, bases: Sequence[Family]) -> Korean:
    """Any sign of Korean counts; a list of languages without it counts against it."""
    named = set(re.findall(r"[a-z]+", languages.lower()))
    if named & _KOREAN:
        return Korean("supported" if named - _KOREAN else "specialised", "its languages")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    parts = {part.lower() for part in re.findall(r"[A-Z]*[a-z]+|[A-Z]+", words)}
    if parts & _KOREAN:
        return Korean("specialised", "its name")
    base = next((base for base in bases if base.korean), None)
    if base:
        return Korean(base.korean, f"made from {base.name}")
    return Korean("no" if named else None, "its languages" if named else "no evidence")


def card_terms(card_license: str) -> Terms:
    """What a model card's licence says by itself."""
    plain = _plain(card_license)
    found = _licenses().get(plain)
    if found is None:
        named = safe_text.line(card_license)[:_MOST_CHARACTERS] or "none"
        return Terms(named, free=None, basis="not among the licences known here", is_card_alone=True)
    return Terms(plain, found.free, "its card" if found.free else found.why, is_card_alone=True)


def _plain(card_license: str) -> str:
    """A licence's id as the Hub spells it, from a card's or an export's spelling."""
    return re.sub(r"-?licen[sc]e|[\[\]'\"]", "", re.sub(r"[\s_]+", "-", card_license.strip().casefold()))


@cache
def _licenses() -> Mapping[str, License]:
    kinds = msgspec.toml.decode((DATA / "licences.toml").read_bytes(), type=dict[str, list[License]])["license"]
    return {_plain(each): kind for kind in kinds for each in kind.ids}


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
