"""The licence that binds a model, and whether it is for Korean, as far as its description tells."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import msgspec

from ..base import safe_text
from ..base.installation import DATA
from .candidates import Candidate
from .families import Family, families

_MOST_CHARACTERS = 60
"""Of a licence's name that is not known."""
_KOREAN = {"ko", "kor", "korean", "kr", "hangul"}
"""Parts of a model's name, and language codes (ISO 639), that say Korean."""


class Described(Protocol):
    """What a leaderboard or a model card says of a model; an empty text is what it does not say."""

    @property
    def name(self) -> str:
        """Its repository's name, without the owner's."""

    @property
    def base(self) -> str:
        """The model it was made from."""

    @property
    def architecture(self) -> str:
        """The class it is, such as `LlamaForCausalLM`."""

    @property
    def languages(self) -> str:
        """Names or codes of its languages."""


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
    """Then a base that is not free and has as many parameters, to the last one."""


@dataclass(frozen=True)
class Korean:
    """Whether a model is for Korean, as far as it can be known."""

    level: str | None
    """`specialised`, `supported` or `no`; None if nothing tells."""
    basis: str
    """How it is known, in words."""


def bases_of(model: Described, ours: Mapping[str, Candidate], settings: Mapping[str, Any]) -> Iterator[Family]:
    """What a model was made from, as its name, its description and its config.json tell.

    `ours` are the suite's own candidates by repository, in lower case.
    """
    origin = settings.get("_name_or_path")
    named = f"{model.base} {origin if isinstance(origin, str) else ''}"
    for word in named.split():
        base = ours.get(word.strip("()[],").lower())
        if base:
            yield Family(base.repo, base.repo, base.binding_license, base.free_license, base.korean)
    architecture = f"{model.architecture} {settings.get('model_type', '')}"
    yield from families(model.name, named, architecture=architecture)


def terms_of(card_license: str, bases: Sequence[Family]) -> Terms:
    """The card's licence, or that of a base if it is less free than the card says."""
    card = card_terms(card_license)
    binding = next((base for base in bases if not base.free), None)
    if binding and card.free is not False:
        return Terms(binding.license, free=False, basis=f"binds through {binding.name}; card: {card.license}")
    if bases:
        return replace(card, basis=f"{card.basis}; {bases[0].name} is {bases[0].license}", is_card_alone=False)
    return card


def korean_of(model: Described, bases: Sequence[Family]) -> Korean:
    """Any sign of Korean counts; a list of languages without it counts against it."""
    languages = set(re.findall(r"[a-z]+", model.languages.lower()))
    if languages & _KOREAN:
        return Korean("supported" if languages - _KOREAN else "specialised", "its languages")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.name)
    parts = {part.lower() for part in re.findall(r"[A-Z]*[a-z]+|[A-Z]+", words)}
    if parts & _KOREAN:
        return Korean("specialised", "its name")
    base = next((base for base in bases if base.korean), None)
    if base:
        return Korean(base.korean, f"made from {base.name}")
    return Korean("no" if languages else None, "its languages" if languages else "no evidence")


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
