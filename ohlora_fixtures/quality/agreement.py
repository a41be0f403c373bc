"""Whether two sources, a person, a judge or the computed score, rank the same things alike."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import StatisticsError, correlation, fmean

from ..base.messages import Message, message

ALIKE_FROM = 0.5
"""From this rank correlation on two sources agree: what is called a large one (Cohen, Statistical Power Analysis for
the Behavioral Sciences, 1988, section 3.2)."""

_FEWEST_PAIRS = 3
"""Two pairs always rank alike or the other way round."""

Pair = tuple[float, float]


def rank_correlation(pairs: Sequence[Pair]) -> float | None:
    """Spearman's rho, -1 to 1; None for fewer than three pairs, or where one side is the same throughout.

    Spearman, The Proof and Measurement of Association between Two Things (1904): Pearson's correlation of the ranks.
    Ties get the middle of their ranks (Kendall, The Treatment of Ties in Ranking Problems, 1945).
    """
    if len(pairs) < _FEWEST_PAIRS:
        return None
    try:
        return correlation(*_ranks_of_both(pairs))
    except StatisticsError:  # no variation
        return None


def agreement(one: Message, other: Message, what: Message, pairs: Mapping[str, Sequence[Pair]]) -> Message | None:
    """Say whether two sources rank the same things alike; below a rank correlation of 0.5 they disagree.

    Args:
        one: The first source, such as `a person's grades`.
        other: The second, such as `the computed score`.
        what: What both have judged, such as `answers`.
        pairs: By candidate, what both say of each of its things, the first source first.

    Returns:
        A message, which names where they disagree the candidate that they rank most differently; None where no rank
        correlation can be told.
    """
    every = [pair for own in pairs.values() for pair in own]
    found = rank_correlation(every)
    if found is None:
        return None
    told = {"by1": one, "by2": other, "judged1": what, "judged2": what, "rho": found, "count": len(every)}
    if found >= ALIKE_FROM:
        return message("agreement.alike", **told)
    ranks = iter(zip(*_ranks_of_both(every), strict=True))
    apart = {name: abs(fmean(a - b for a, b in islice(ranks, len(own)))) for name, own in pairs.items() if own}
    farthest = max(apart, key=lambda name: apart[name])
    first, second = (fmean(side) for side in zip(*pairs[farthest], strict=True))
    return message("agreement.apart", **told, candidate=farthest, one=first, other=second)


def _ranks_of_both(pairs: Sequence[Pair]) -> tuple[list[float], list[float]]:
    first, second = zip(*pairs, strict=True)
    return _ranks(first), _ranks(second)


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [(bisect_left(ordered, each) + bisect_right(ordered, each) + 1) / 2 for each in values]
