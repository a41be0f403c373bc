"""How far a figure could have come out otherwise, had other prompts been asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

RESAMPLES = 1000
"""Enough for the ends of an interval, says the source below (section 14.2)."""


def interval(statistic: Callable[..., float], *samples: Sequence[Any]) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of samples whose values were drawn one by one.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3: the statistic of as many values of
    each, drawn with replacement, 1000 times; the 25th and the 975th of the results in their order. The same values
    always give the same interval.
    """
    chance = random.Random(0)  # noqa: S311 - nothing secret
    drawn = sorted(statistic(*(_drawn_again(each, chance) for each in samples)) for _ in range(RESAMPLES))
    return drawn[RESAMPLES * 25 // 1000 - 1], drawn[RESAMPLES * 975 // 1000 - 1]


def _drawn_again(sample: Sequence[Any], chance: random.Random) -> Sequence[Any]:
    return chance.choices(sample, k=len(sample)) if sample else sample
