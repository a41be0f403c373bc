"""Curves on which blocks and work lie: a value at any point is a weighted sum of those at a few.

The weights are worked out in whole numbers, so that sizes come out to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm, prod


@dataclass(frozen=True)
class Growth:
    """How a step's blocks grow with its batch's length in tokens."""

    terms: Callable[[int], Sequence[int]]
    """By the length, what sizes are made of: each is a sum of these times factors of its own."""
    alignment: int
    """Lengths that are multiples of it have blocks of their own."""


_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class Weights:
    """How a value at a point follows from those at known points."""

    factors: tuple[int, ...]
    """Of each known point's value."""
    divisor: int
    """Of their sum."""

    def sum(self, values: Sequence[int]) -> Fraction:
        """The value at the point, by those at the known points."""
        total = sum(factor * value for factor, value in zip(self.factors, values, strict=True))
        return Fraction(total, self.divisor)


def on_polynomial(x: int, points: Sequence[int]) -> Weights:
    """On the polynomial through known points: two give a line, three a parabola."""
    others = [(point, [other for other in points if other != point]) for point in points]
    shares = [Fraction(prod(x - each for each in rest), prod(point - each for each in rest)) for point, rest in others]
    divisor = lcm(*(share.denominator for share in shares))
    return Weights(tuple(int(share * divisor) for share in shares), divisor)


def _parabola(tokens: int) -> Sequence[int]:
    return 1, tokens, tokens**2


def _tiled(tokens: int) -> Sequence[int]:
    to_8, to_32, to_64, to_128, to_256 = (-(-tokens // multiple) * multiple for multiple in (8, 32, 64, 128, 256))
    products = (tokens * rounded for rounded in (to_8, to_64, to_128, to_256))
    return *_parabola(tokens), to_32, to_64, to_128, *products


PARABOLA = Growth(_parabola, 1)
"""Products of tensor dimensions, of which two may be the length."""
TILED = Growth(_tiled, 8)
"""As fused attention has it, which rounds lengths up (`attention.py`, `cuda_kernels.py`).

A mask's rows are padded to a multiple of 8 tokens, and not where they have one. The efficient kernel's sums are padded
to a multiple of 32, and tiles have 64, 128 or 256.
"""


class Curve:
    """What lies between as few lengths as tell all the others."""

    def __init__(self, growth: Growth, lengths: Sequence[int]) -> None:
        """Pick them: the shortest, the middle and the longest one, and others between."""
        self.lengths = lengths
        """All of them, in tokens, in rising order."""
        self.picked: list[int] = []
        """Those that must be known."""
        self._terms = growth.terms
        self._solved: list[tuple[int, list[Fraction], list[Fraction]]] = []
        """For each, one of the terms, a sum of the picked lengths' terms that has 1 of it, and that sum's weights."""
        count = len(lengths)
        between = sorted(range(count), key=lambda number: number * _GOLDEN_RATIO % 1)
        for number in dict.fromkeys((0, count // 2, count - 1, *between)):
            self._pick(lengths[number])
            if len(self.picked) == len(growth.terms(0)):
                break

    def at(self, tokens: int) -> Weights:
        """The weights of the picked lengths, in their order, at one of the lengths."""
        terms, (rows, divisor) = self._terms(tokens), self._of_terms
        factors = [sum(terms[place] * row[number] for place, row in rows) for number in range(len(self.picked))]
        common = gcd(divisor, *factors)
        return Weights(tuple(factor // common for factor in factors), divisor // common)

    @cached_property
    def _of_terms(self) -> tuple[list[tuple[int, tuple[int, ...]]], int]:
        """Of each term that tells the others, its place and the weights for one of it; and what to divide these by."""
        count = len(self._terms(0))
        places = [place for place, _, _ in self._solved]
        rows = [self._taken_off([int(place == other) for other in range(count)])[1] for place in places]
        divisor = lcm(*(weight.denominator for row in rows for weight in row))
        whole = [tuple(int(weight * divisor) for weight in row) for row in rows]
        return [*zip(places, whole, strict=True)], divisor

    def _pick(self, tokens: int) -> None:
        """Pick a length, unless the picked ones tell it."""
        rest, weights = self._taken_off(self._terms(tokens))
        place = next((place for place, value in enumerate(rest) if value), None)
        if place is not None:
            self.picked.append(tokens)
            combined = [*(-weight for weight in weights), Fraction(1)]
            solved = [[value / rest[place] for value in values] for values in (rest, combined)]
            self._solved.append((place, solved[0], solved[1]))

    def _taken_off(self, terms: Sequence[int]) -> tuple[list[Fraction], list[Fraction]]:
        """What is left of some terms once a sum of the picked lengths' is taken off; and that sum's weights."""
        rest = [*map(Fraction, terms)]
        weights = [Fraction(0)] * len(self.picked)
        for place, row, combined in self._solved:
            factor = rest[place]
            if factor:
                rest = [value - factor * own for value, own in zip(rest, row, strict=True)]
                for number, weight in enumerate(combined):
                    weights[number] += factor * weight
        return rest, weights
