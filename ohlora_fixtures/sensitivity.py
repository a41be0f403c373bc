"""How firm a weighted ranking is: the Pareto front, and how far a weight can move before another option leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .selection import Option

LARGEST_WEIGHT = 1000.0
"""No weight can be more."""

_DIGITS = 9
"""Totals that differ after these alone differ through rounding."""

Scores = Mapping[str, float | None]
"""By criterion, 0 (worst) to 1 (best); None for one that is known of no option."""


@dataclass(frozen=True)
class Shift:
    """How far one weight can move, all others as they are, before another candidate is chosen."""

    criterion: str
    """Whose weight."""
    weight: float
    """What it is."""
    turns_at: float
    """Where the choice changes; the weight itself, if two candidates are level."""
    side: str
    """`below` or `above`: on which side of that."""
    becomes: Option
    """What is chosen from there on."""


def total(scores: Scores, weights: Mapping[str, float]) -> float | None:
    """Weighted mean of the scores, 0 to 100; None if none of them has a weight."""
    known = {name: score for name, score in scores.items() if score is not None and weights[name] > 0}
    weight = sum(weights[name] for name in known)
    return round(100 * sum(weights[name] * score for name, score in known.items()) / weight, _DIGITS) if known else None


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """The places of the points, lower is better in each coordinate, that no other point dominates."""

    def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)

    return [at for at, point in enumerate(points) if not any(dominates(other, point) for other in points)]


def turn(one: Scores, other: Scores, weights: Mapping[str, float], criterion: str) -> float | None:
    """The weight of a criterion, all others as they are, at which two options are level; None if there is none.

    Both have scores in the same criteria, so that their totals differ by a line in the weight over one positive sum.
    """
    ahead = {name: score - (other[name] or 0.0) for name, score in one.items() if score is not None}
    slope = ahead.pop(criterion, 0.0)
    at = -sum(weights[name] * lead for name, lead in ahead.items()) / slope if slope else -1.0
    return at if at >= 0 else None


def shifts(led: Sequence[Option], others: Sequence[Option], weights: Mapping[str, float]) -> Iterator[Shift]:
    """By criterion, the nearest weight below and the nearest above at which another candidate takes the lead."""
    own = [option for option in led if option.candidate == led[0].candidate]
    for name, now in weights.items() if others else ():
        turns = {turn(one.scores, other.scores, weights, name) for one in own for other in others}
        known = sorted(at for at in turns if at is not None)
        below = [now, *(at for at in reversed(known) if 0 < at < now), 0.0]
        above = [now, *(at for at in known if now < at < LARGEST_WEIGHT), LARGEST_WEIGHT]
        for side, ends in (("below", below), ("above", above)):
            for at, beyond in pairwise(ends):  # from one turn to the next the choice is the same
                leader = _leader(led, {**weights, name: (at + beyond) / 2})
                if at != beyond and leader.candidate != led[0].candidate:
                    yield Shift(name, now, at, side, leader)
                    break


def _leader(options: Sequence[Option], weights: Mapping[str, float]) -> Option:
    return max(options, key=lambda option: total(option.scores, weights) or 0.0)
