"""What makes a listed model a candidate: its size, the licence that binds it, and Korean."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..inputs.candidates import Candidate, other_head
from ..inputs.terms import Korean, Terms, bases_of, korean_of, same_count, terms_of
from .leaderboard import Listed

SMALLEST_BILLION, LARGEST_BILLION = 0.25, 3.0
"""Parameters of a candidate, both ends included."""

_BILLION = 1e9
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
        bases = bases_of(listed.name, listed.base, listed.architecture, settings or {}, ours)
        terms, korean = terms_of(listed.card_license, bases), korean_of(listed.name, listed.languages, bases)
    if korean.level is None and criteria.assume_korean:
        korean = Korean("supported", "assumed, without evidence")
    head = other_head((settings or {}).get("architectures")) or other_head(listed.architecture)
    return Screening(listed, known, known.parameters if known else None, terms, korean, criteria, other_head=head)
