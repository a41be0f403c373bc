"""How firm a weighted ranking is: the Pareto front, and how far a weight can move before another option leads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .contenders import Option

LARGEST_WEIGHT = 1000.0
"""No weight can be more."""

_DIGITS = 9
"""Totals that differ after these alone differ through rounding."""
_LEVEL = 1e-11
"""The same, as a share of a total."""

Scores = Mapping[str, float | None]
"""By criterion, 0 (worst) to 1 (best); None for one that is known of no option."""


@dataclass(frozen=True)
class Shift:
    """How far one weight can move, all others as they are, before another candidate is chosen."""

    criterion: str
    weight: float
    """What it is now."""
    turns_at: float
    """Where the choice changes; the weight itself, if two candidates are level."""
    side: str
    """`below` or `above`: on which side of that."""
    becomes: Option
    """What is chosen from there on."""


def total(scores: Scores, weights: Mapping[str, float]) -> float | None:
    """Weighted mean of the scores, 0 to 100; None if none of them has a weight."""
    known = {name: score for name, score in scores.items() if score is not None and weights[name] > 0}
    return round(100 * fmean(known.values(), [weights[name] for name in known]), _DIGITS) if known else None


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """The places of the points, lower is better in each coordinate, that no other point dominates."""

    def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)

    found: list[int] = []
    for at in sorted(range(len(points)), key=lambda at: tuple(points[at])):
        # whatever dominates it comes before it, and so does a point of the front that dominates that
        if not any(dominates(points[other], points[at]) for other in found):
            found.append(at)
    return sorted(found)


def ahead(option: Scores, own: Sequence[Scores], weights: Mapping[str, float], criterion: str) -> tuple[float, float]:
    """Between which weights of a criterion, all others as they are, an option has a higher total than all of `own`.

    All have scores in the same criteria, so that two totals differ by a line in the weight, over one positive sum. The
    ends are the wrong way round where there is no such weight.
    """
    low, high = 0.0, LARGEST_WEIGHT
    for other in own:
        leads = {name: score - (other[name] or 0.0) for name, score in option.items() if score is not None}
        slope = leads.pop(criterion, 0.0)
        rest = sum(weights[name] * lead for name, lead in leads.items()) - _LEVEL * sum(weights.values())
        if slope > 0:
            low = max(low, -rest / slope)
        elif slope < 0:
            high = min(high, -rest / slope)
        elif rest <= 0:
            return LARGEST_WEIGHT, 0.0
    return low, high


def shifts(led: Sequence[Option], others: Sequence[Option], weights: Mapping[str, float]) -> Iterator[Shift]:
    """By criterion, the nearest weight below and the nearest above at which another candidate takes the lead."""
    own = [option.scores for option in led if option.candidate == led[0].candidate]
    for name, now in weights.items():
        found = [(*ahead(option.scores, own, weights, name), option) for option in others]
        spans = [(low, high, option) for low, high, option in found if low < high]
        for side, nearest, end, turns in (
            ("below", max, 0.0, [(min(high, now), option) for low, high, option in spans if low < now]),
            ("above", min, LARGEST_WEIGHT, [(max(low, now), option) for low, high, option in spans if high > now]),
        ):
            if turns:
                at = nearest(turn for turn, _ in turns)
                beyond = {**weights, name: (at + end) / 2}
                first = (option for turn, option in turns if turn == at)
                yield Shift(name, now, at, side, max(first, key=lambda each: total(each.scores, beyond) or 0.0))
