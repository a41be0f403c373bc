"""What makes a listed model a candidate: its size, the licence that binds it, and Korean."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

import msgspec

from ..base import safe_text
from ..base.installation import DATA
from ..inputs.candidates import Candidate, other_head
from ..inputs.families import Family, families, same_count
from .leaderboard import Listed

SMALLEST_BILLION, LARGEST_BILLION = 0.25, 3.0
"""Parameters of a candidate, both ends included."""

_BILLION = 1e9
_MOST_CHARACTERS = 60
"""Of a licence's name that is not known."""
_KOREAN = {"ko", "kor", "korean", "kr", "hangul"}
"""Parts of a model's name, and language codes (ISO 639), that say Korean."""
_OURS = "known to the suite"


@dataclass(frozen=True)
class Criteria:
    """What is asked of a model besides its size."""

    assume_korean: bool = False
    """Whether a model of which nothing tells whether it is for Korean counts as supporting it."""
    any_license: bool = False
    """Whether a licence that is not free is no obstacle."""

    def __str__(self) -> str:
        licence = "any licence" if self.any_license else "a free licence that binds"
        return f"{SMALLEST_BILLION} to {LARGEST_BILLION} B parameters, {licence}, Korean"


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


@dataclass(frozen=True)
class Reason:
    """Why a model is no candidate."""

    kind: str
    """What it is counted under."""
    words: str
    """The same of this model."""


KOREAN_NOT_KNOWN = Reason("not known to be for Korean", "Korean: not known")
_NO_TEXT = "not a causal language model"
_UNKNOWN_SIZE = Reason("of a size that is not known", "size not known")


@dataclass(frozen=True)
class Screening:
    """A listed model held against the criteria."""

    listed: Listed
    known: Candidate | None
    """What the suite's own candidates file says of it."""
    parameters: int | None
    """Its exact count, if that is known; else the leaderboard's goes."""
    terms: Terms
    korean: Korean
    criteria: Criteria
    candidate: Candidate | None = None
    """The candidate that it is; None if it is dropped, or kept without an architecture."""
    other_head: str | None = None
    """The class it is, such as `RobertaForMaskedLM`, if that writes no text."""
    missing: str = ""
    """Why a kept model is no candidate yet; empty for every other."""

    @property
    def of_size(self) -> Reason | None:
        """Why its size drops it; None if it does not."""
        billions = self.listed.billions if self.parameters is None else self.parameters / _BILLION
        if billions is None:
            return _UNKNOWN_SIZE
        if SMALLEST_BILLION <= billions <= LARGEST_BILLION:
            return None
        return Reason(f"not of {SMALLEST_BILLION} to {LARGEST_BILLION} B parameters", f"{billions:g} B parameters")

    @property
    def of_rest(self) -> list[Reason]:
        """What else drops it."""
        terms, found = self.terms, []
        if self.other_head:
            found.append(Reason(_NO_TEXT, f"{_NO_TEXT} but {self.other_head}"))
        if not terms.free and not self.criteria.any_license:
            kind = "of a licence not known to be free" if terms.free is None else "of a licence that is not free"
            found.append(Reason(kind, f"licence {terms.license} ({terms.basis})"))
        if self.korean.level is None:
            found.append(KOREAN_NOT_KNOWN)
        elif self.korean.level == "no":
            found.append(Reason("without Korean", "Korean: not among its languages"))
        return found

    @property
    def reasons(self) -> list[Reason]:
        """Everything that drops it; empty for a candidate."""
        return [*filter(None, [self.of_size]), *self.of_rest]

    @property
    def is_near_miss(self) -> bool:
        """Whether something drops it, but not that its size is known and wrong."""
        return bool(self.reasons) and self.of_size in (None, _UNKNOWN_SIZE)

    @property
    def in_words(self) -> str:
        """A model that is no candidate, and why, in one line."""
        average = "no average" if self.listed.average is None else f"{self.listed.average:.2f}"
        why = "; ".join(reason.words for reason in self.reasons) or self.missing
        return f"{self.listed.repo} ({average}): {why}"

    def with_parameters(self, parameters: int) -> Self:
        """The same, its exact count known, which can hint at a base where the card is silent."""
        suspect = same_count(parameters) if self.terms.is_card_alone else None
        return replace(self, parameters=parameters, terms=replace(self.terms, suspect=suspect))


def screen(
    listed: Listed,
    ours: Mapping[str, Candidate],
    settings: Mapping[str, Any] | None = None,
    criteria: Criteria = Criteria(),
) -> Screening:
    """Hold a model against the criteria.

    `ours` are the suite's own candidates by repository, in lower case. `settings` is the model's config.json, if it
    is at hand.
    """
    known = ours.get(listed.repo.lower())
    if known:
        terms, korean = Terms(known.binding_license, known.free_license, _OURS), Korean(known.korean, _OURS)
    else:
        bases = tuple(_bases(listed, ours, settings or {}))
        terms, korean = _terms(listed, bases), _korean(listed, bases)
    if korean.level is None and criteria.assume_korean:
        korean = Korean("supported", "assumed, without evidence")
    head = other_head((settings or {}).get("architectures")) or other_head(listed.architecture)
    return Screening(listed, known, known.parameters if known else None, terms, korean, criteria, other_head=head)


def _bases(listed: Listed, ours: Mapping[str, Candidate], settings: Mapping[str, Any]) -> Iterator[Family]:
    """What a model was made from, as its name, the export and its config.json tell."""
    origin = settings.get("_name_or_path")
    named = f"{listed.base} {origin if isinstance(origin, str) else ''}"
    for word in named.split():
        base = ours.get(word.strip("()[],").lower())
        if base:
            yield Family(base.repo, base.repo, base.binding_license, base.free_license, base.korean)
    architecture = f"{listed.architecture} {settings.get('model_type', '')}"
    yield from families(listed.name, named, architecture=architecture)


def _terms(listed: Listed, bases: Sequence[Family]) -> Terms:
    """The card's licence, or that of a base if it is less free than the card says."""
    card = card_terms(listed.card_license)
    binding = next((base for base in bases if not base.free), None)
    if binding and card.free is not False:
        return Terms(binding.license, free=False, basis=f"binds through {binding.name}; card: {card.license}")
    if bases:
        return replace(card, basis=f"{card.basis}; {bases[0].name} is {bases[0].license}", is_card_alone=False)
    return card


def _korean(listed: Listed, bases: Sequence[Family]) -> Korean:
    """Any sign of Korean counts; a list of languages without it counts against it."""
    languages = set(re.findall(r"[a-z]+", listed.languages.lower()))
    if languages & _KOREAN:
        return Korean("supported" if languages - _KOREAN else "specialised", "its languages")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", listed.name)
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
