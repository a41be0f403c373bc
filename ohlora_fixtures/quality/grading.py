"""The five grades, what a person's or a judge's make of a candidate, and whether two sources rank alike."""

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from statistics import StatisticsError, correlation, fmean
from typing import Any

from ..base.messages import Message, message
from ..inputs.cases import Case

GRADES = ("최상", "상", "중", "하", "최하")
"""The study's scale, best first."""

_FIFTH = 20.0
_BY_WORD = {
    word: grade
    for words in (GRADES, ("best", "good", "fair", "poor", "worst"), "54321")
    for word, grade in zip(words, GRADES, strict=True)
}


def grade_of(score: float) -> str:
    """The grade of a score from 0 to 100: its fifth, 최상 from 80 on and 최하 below 20."""
    fifths = min(max(int(score // _FIFTH), 0), len(GRADES) - 1)
    return GRADES[-1 - fifths]


def points_of(grade: str) -> float:
    """The middle of a grade's fifth: 90, 70, 50, 30 or 10."""
    return 100.0 - _FIFTH * (GRADES.index(grade) + 0.5)


def grade_from(text: str) -> str | None:
    """The grade that a person has written, "4.0" for a 4 included, as spreadsheets have it; None if it is none."""
    word = text.strip().casefold()
    return _BY_WORD.get(word[0] if re.fullmatch(r"[1-5][.,]0*", word) else word)


RESAMPLES = 1000
"""Enough for the ends of an interval, says the source below (section 14.2)."""


def interval(statistic: Callable[..., float], *samples: Sequence[Any]) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of samples whose values were drawn one by one.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3: the statistic of as many values of
    each, drawn with replacement, 1000 times; the 25th and the 975th of the results in their order. The same values
    always give the same interval.
    """
    chance = random.Random(0)  # noqa: S311 - nothing secret
    drawn = sorted(
        statistic(*(chance.choices(each, k=len(each)) if each else each for each in samples)) for _ in range(RESAMPLES)
    )
    return drawn[RESAMPLES * 25 // 1000 - 1], drawn[RESAMPLES * 975 // 1000 - 1]


PERSON, JUDGE, PUBLISHED, COMPUTED = "person", "judge", "published", "computed"


@dataclass(frozen=True)
class Quality:
    """How good answers are, and who says so."""

    score: float
    """0 to 100."""
    interval: tuple[float, float] | None
    """95 % interval of the score over the prompts; None where there is one judgement alone."""
    grade: str
    """One of 최상, 상, 중, 하, 최하: the score's fifth."""
    source: str
    """`person`, `judge`, `published` or `computed`."""
    is_tuned: bool
    """Whether they are the fine-tuned model's answers."""
    judged: int | None = None
    """How many answers were judged one by one; None for a judgement of all together."""
    given: int | None = None
    """Of how many."""
    is_matched: bool | None = None
    """Computed: whether it counts that held-out answers are matched with their prompts."""

    @property
    def is_partial(self) -> bool:
        """Whether answers are left that were not judged."""
        return self.judged is not None and self.judged != self.given


@dataclass(frozen=True)
class Judged:
    """One source's judgement of a comparison's answers."""

    source: str
    """`person`, `judge` or `published`."""
    points: Mapping[Case, tuple[float | None, ...]]
    """Of each answer, in the order in which they were given, 0 to 100; None for one that is not judged."""
    wholes: Mapping[Case, float] = field(default_factory=dict)
    """Of candidates judged as a whole, 0 to 100."""
    notes: tuple[Message, ...] = ()

    def quality(self, case: Case) -> Quality | None:
        """How good a case's model is by its judged answers, or if none is, as a whole; None if it is not judged."""
        given, is_tuned = self.points.get(case, ()), case.variant is not None
        points = [each for each in given if each is not None]
        if points:
            return replace(quality_of(points, self.source, is_tuned=is_tuned), judged=len(points), given=len(given))
        return quality_of([self.wholes[case]], self.source, is_tuned=is_tuned) if case in self.wholes else None


def quality_of(points: Sequence[float], source: str, *, is_tuned: bool) -> Quality:
    """The mean of at least one judgement, each 0 to 100, with its interval over the answers."""
    score, ends = fmean(points), interval(fmean, points) if len(points) > 1 else None
    return Quality(score, ends, grade_of(score), source, is_tuned)


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

    The pairs are, by candidate, what both say of each of its things, the first source first. Where they disagree, the
    message names the candidate that they rank most differently; it is None where no rank correlation can be told.
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
