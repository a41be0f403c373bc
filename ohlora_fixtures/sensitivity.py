"""How firm a weighted ranking is: the Pareto front, and how far a weight can move before another option leads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

Scores = Mapping[str, float | None]
"""By criterion, 0 (worst) to 1 (best); None if not known."""


def total(scores: Scores, weights: Mapping[str, float]) -> float | None:
    """Weighted mean of the known scores, 0 to 100; None if none of them has a weight."""
    known = {name: score for name, score in scores.items() if score is not None and weights[name] > 0}
    weight = sum(weights[name] for name in known)
    return 100 * sum(weights[name] * score for name, score in known.items()) / weight if known else None


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """The places of the points, lower is better in each coordinate, that no other point dominates."""

    def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)

    return [at for at, point in enumerate(points) if not any(dominates(other, point) for other in points)]


def turns(leading: Scores, other: Scores, weights: Mapping[str, float], criterion: str) -> Iterator[float]:
    """The weights of a criterion, all others as they are, at which two options are level.

    With both scores known in every criterion there is one at most. An option's total is a ratio of two lines in the
    weight, so two are level where a quadratic is 0.
    """
    sum_1, weight_1 = _without(leading, weights, criterion)
    sum_2, weight_2 = _without(other, weights, criterion)
    score_1, score_2 = leading[criterion], other[criterion]
    known_1, known_2 = float(score_1 is not None), float(score_2 is not None)
    slope_1, slope_2 = score_1 or 0.0, score_2 or 0.0
    # (sum_1 + w slope_1) (weight_2 + w known_2) = (sum_2 + w slope_2) (weight_1 + w known_1)
    square = slope_1 * known_2 - slope_2 * known_1
    linear = sum_1 * known_2 + slope_1 * weight_2 - sum_2 * known_1 - slope_2 * weight_1
    constant = sum_1 * weight_2 - sum_2 * weight_1
    yield from (root for root in _roots(square, linear, constant) if root >= 0)


def _without(scores: Scores, weights: Mapping[str, float], criterion: str) -> tuple[float, float]:
    known = {name: score for name, score in scores.items() if score is not None and name != criterion}
    return sum(weights[name] * score for name, score in known.items()), sum(weights[name] for name in known)


def _roots(square: float, linear: float, constant: float) -> list[float]:
    """Where a quadratic, or a line, is 0."""
    if abs(square) < _NOTHING:
        return [] if abs(linear) < _NOTHING else [-constant / linear]
    discriminant = linear**2 - 4 * square * constant
    if discriminant < 0:
        return []
    return sorted((-linear + sign * math.sqrt(discriminant)) / (2 * square) for sign in (-1, 1))


_NOTHING = 1e-12
"""Scores are shares: what differs by less does not differ."""
