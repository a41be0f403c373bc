"""How long work takes, planned: what the host and the card do, each at its pace, and how far the two overlap.

The host calls operators; the card multiplies matrices, and reads and writes its memory. While the card works the host
runs ahead, so the two times do not add up, and neither hides the other: both go into a norm between the sum and the
larger one. `docs/planning.md` says how well that meets measured runs, which also chose the norm's exponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, log, sqrt
from statistics import fmean

from ..inputs.pace import Pace

OVERLAP = 1.4
"""The norm's exponent: 1 adds host and card, without end it takes the larger one."""
OF_A_MODULE, OF_AUTOGRAD = 3, 0.3
"""What the host takes for a module's Python, and for an operator more where autograd records it, in operators."""
_PRIOR = (1.0, 0.7, 0.05)
"""How far a calibrated pace may be from the one it begins with: standard deviations of the logarithms of the host's
time, the matrix rate and the bandwidth."""
_NOISE = 0.05
"""Of a measured time, likewise."""
_FINEST = 0.001
"""The last step of the search for a pace."""
_LEAST_SPREAD = 1.1


@dataclass(frozen=True)
class Work:
    """What operators did."""

    flops: int = 0
    """Floating-point operations of matrix products and attention, a multiplication and an addition counted as two."""
    moved_bytes: int = 0
    """Bytes that these move at least: each argument read once, each result written once."""
    fp32_flops: int = 0
    """Of `flops`, those in fp32."""
    operators: int = 0
    """Operators that the host called, views among them."""
    made_bytes: int = 0
    """Bytes of new tensors, and of what an optimizer's kernels read and write in place."""
    modules: int = 0
    """Modules that the host called: Python between the operators."""
    autograd_operators: int = 0
    """Of `operators`, those that autograd recorded, and those of its backward pass."""

    @property
    def products(self) -> tuple[int, int, int]:
        """What matrix products do: it depends on shapes alone, while the host's work at a run's end is another."""
        return self.flops, self.moved_bytes, self.fp32_flops

    def __add__(self, other: Work) -> Work:
        return Work(*(one + another for one, another in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __sub__(self, other: Work) -> Work:
        return self + Work(*(-value for value in vars(other).values()))


def mean(works: Sequence[Work]) -> Work:
    """The mean of several, at least one, in whole numbers."""
    return Work(*(value // len(works) for value in vars(sum(works, Work())).values()))


@dataclass(frozen=True)
class Range:
    """A planned time, seconds."""

    seconds: float
    low: float
    high: float


def seconds_of(work: Work, pace: Pace) -> Range:
    """How long work takes at a pace; work of many steps gives the time of all of them."""
    seconds = _seconds(work, pace)
    return Range(seconds, seconds / pace.spread, seconds * pace.spread)


def _seconds(work: Work, pace: Pace) -> float:
    calls = work.operators + OF_AUTOGRAD * work.autograd_operators + OF_A_MODULE * work.modules
    host = calls * pace.operator_seconds
    card = (
        (work.flops - work.fp32_flops) / pace.flops_per_second
        + work.fp32_flops / pace.fp32_flops_per_second
        + (work.moved_bytes + work.made_bytes) / pace.bytes_per_second
    )
    return float((host**OVERLAP + card**OVERLAP) ** (1 / OVERLAP))


def calibrated(pace: Pace, measured: Sequence[tuple[Work, float]]) -> Pace:
    """A machine's pace by what it has measured: work and its seconds, at least one.

    It is the likeliest one if the pace given is right to `_PRIOR` and times are to `_NOISE`: what one measurement
    cannot tell apart stays in the proportions of the pace given.
    """

    def off(shifts: Sequence[float]) -> float:
        shifted = _shifted(pace, shifts)
        misses = (log(_seconds(work, shifted) / seconds) / _NOISE for work, seconds in measured)
        return hypot(*misses, *(shift / prior for shift, prior in zip(shifts, _PRIOR, strict=True)))

    shifts, step = [0.0] * len(_PRIOR), 0.5
    while step > _FINEST:
        nearby = [
            [*shifts[:place], shifts[place] + move, *shifts[place + 1 :]]
            for place in range(3)
            for move in (-step, step)
        ]
        best = min(nearby, key=off)
        if off(best) < off(shifts):
            shifts = best
        else:
            step /= 2
    found = _shifted(pace, shifts)
    miss = sqrt(fmean(log(_seconds(work, found) / seconds) ** 2 for work, seconds in measured))
    return replace(found, spread=max(_LEAST_SPREAD, exp(2 * miss)), basis="calibrated")


def _shifted(pace: Pace, shifts: Sequence[float]) -> Pace:
    host, matrix, bandwidth = map(exp, shifts)
    return replace(
        pace,
        operator_seconds=pace.operator_seconds * host,
        flops_per_second=pace.flops_per_second * matrix,
        fp32_flops_per_second=pace.fp32_flops_per_second * matrix,
        bytes_per_second=pace.bytes_per_second * bandwidth,
    )
