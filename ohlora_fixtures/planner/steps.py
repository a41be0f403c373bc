"""A long run from a few traced steps, at their own length or at another."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .allocator import EMPTY_CACHE, Trace

INHERITED = -(1 << 60)
"""Events up to this one free what the step before left: the n-th in line is `INHERITED - n`."""


class NotComposableError(Exception):
    """The steps do not follow each other, or from each other, in the simple way that composing needs."""


@dataclass(frozen=True, eq=False)
class Step:
    """One traced step, or all up to the end of the first one, detached from its neighbours."""

    events: array[int]
    """As in `Trace`, ids counting this step's allocations; frees of what the step before left are inherited."""
    categories: bytes
    """Category of each of its allocations."""
    inherits: int
    """How many allocations of the step before it frees."""
    left_behind: tuple[int, ...]
    """Own allocations, by id, that the following step frees; all others it frees itself, or they stay for good."""


def without_emptying(step: Step) -> Step:
    """The step as it is when it does not empty the cache."""
    return replace(step, events=array("q", [event for event in step.events if event != EMPTY_CACHE]))


def step_at(x: int, known: Mapping[int, Step]) -> Step:
    """The step at `x`, its sizes on the polynomial through those at known points.

    Raises NotComposableError as `events_at` does.
    """
    alike = next(iter(known.values()))
    return replace(alike, events=events_at(x, {point: step.events for point, step in known.items()}))


def batch_of_each(low: Step, high: Step, coded: Sequence[Step]) -> NDArray[np.int64]:
    """Which of a step's batches each event's size depends on, from 0; 0 where it depends on none.

    All batches of `low` are short, all of `high` long. In the n-th coded step a batch is long if its place's n-th bit
    is 1. Raises NotComposableError for a size that is neither a short nor a long batch's.
    """
    short, long, *between = (np.frombuffer(step.events, dtype=np.int64) for step in (low, high, *coded))
    places = np.zeros(len(short), dtype=np.int64)
    for bit, events in enumerate(between):
        if len(events) != len(short) or ((events != short) & (events != long)).any():
            raise NotComposableError("a block depends on more than one batch of its step")
        places |= ((events == long) & (short != long)).astype(np.int64) << bit
    return places


def mixed(steps: Sequence[Step], place_of: NDArray[np.int64]) -> Step:
    """A step of batches of several lengths, from the steps in which all have one of these.

    Raises NotComposableError where there are fewer batches than places.
    """
    if len(steps) == 1:
        return steps[0]
    if place_of.max(initial=0) >= len(steps):
        raise NotComposableError("a block depends on a batch that its step has not")
    rows = np.stack([np.frombuffer(step.events, dtype=np.int64) for step in steps])
    events = array("q")
    events.frombytes(rows[place_of, np.arange(len(place_of))].tobytes())
    return replace(steps[0], events=events)


def events_at(x: int, known: Mapping[int, array[int]]) -> array[int]:
    """Events at `x` on the polynomial through the events at known points: two give a line, three a parabola.

    Raises NotComposableError unless all have the same allocations and frees in the same order, and every
    size at `x` is a whole positive number of bytes.
    """
    points = list(known)
    rows = [np.frombuffer(known[point], dtype=np.int64) for point in points]
    first = rows[0]
    if any(len(row) != len(first) for row in rows):
        raise NotComposableError("traces differ in their number of events")
    changes = np.flatnonzero(np.logical_or.reduce([row != first for row in rows]))
    if any((row[changes] <= 0).any() for row in rows):
        raise NotComposableError("traces differ in their order of allocations and frees")
    result = first.copy()
    if len(changes):
        result[changes] = _lagrange(x, points, [row[changes].astype(object) for row in rows])
    events = array("q")
    events.frombytes(result.tobytes())
    return events


def whole_at(x: int, known: Mapping[int, int]) -> int:
    """A whole number at `x` on the polynomial through those at known points.

    Raises NotComposableError unless it comes out whole and positive.
    """
    value = value_at(x, known)
    if value.denominator > 1 or value <= 0:
        raise NotComposableError("a size on the curve is no whole positive number of bytes")
    return int(value)


def value_at(x: int, known: Mapping[int, int]) -> Fraction:
    """The value at `x` on the polynomial through those at known points."""
    total = Fraction(0)
    for point, value in known.items():
        others = [other for other in known if other != point]
        total += Fraction(value * prod(x - other for other in others), prod(point - other for other in others))
    return total


def _lagrange(x: int, points: Sequence[int], values: Sequence[NDArray[np.object_]]) -> NDArray[np.int64]:
    """The interpolating polynomial's values at `x`, in integers of any size: the products outgrow 64 bits."""
    whole: int = prod(a - b for index, a in enumerate(points) for b in points[:index])
    total: Any = 0
    for point, value in zip(points, values, strict=True):
        others = [other for other in points if other != point]
        total += value * (prod(x - other for other in others) * whole // prod(point - other for other in others))
    if (total % whole != 0).any() or (total // whole <= 0).any():
        raise NotComposableError("a size on the curve is no whole positive number of bytes")
    sizes: NDArray[np.int64] = (total // whole).astype(np.int64)
    return sizes


@dataclass(frozen=True)
class CutTrace:
    """A trace cut into its beginning and its steps."""

    beginning: Step
    """All up to the end of the first step, which is unlike the others: optimizer states are made in it."""
    steps: tuple[Step, ...]
    """The steps after the first, without the last."""
    last_events: array[int]
    """The last step's events: what it leaves behind is not known."""


def cut(trace: Trace, ends: Sequence[int]) -> CutTrace:
    """Cut a trace at the ends of its steps, positions in its events; at least three.

    Raises NotComposableError if a step frees what is older than the step before it, or keeps something.
    """
    if len(ends) < 3:  # noqa: PLR2004 - one before, one after
        raise NotComposableError("there are too few steps to cut")
    pieces = [np.frombuffer(trace.events[start:end], dtype=np.int64) for start, end in pairwise([0, *ends])]
    firsts = [0, *accumulate(int((piece > 0).sum()) for piece in pieces)]
    taken = [  # what is older than a step and freed in it, in the order in which it was made
        np.sort(-1 - piece[(piece < 0) & (piece >= -first)]) for piece, first in zip(pieces, firsts, strict=False)
    ]
    steps: list[Step] = []
    for number, (first, after) in enumerate(pairwise(firsts[:-1])):
        left_behind = tuple((taken[number + 1] - first).tolist())
        if left_behind and left_behind[0] < 0:
            raise NotComposableError("a step frees what is older than the step before it")
        freed = int((pieces[number] < -first).sum()) + len(left_behind)
        if number and freed != after - first:
            raise NotComposableError("a step keeps what it allocates")
        events = _resolved(pieces[number], first, taken[number])
        steps.append(Step(events, bytes(trace.categories[first:after]), len(taken[number]), left_behind))
    return CutTrace(steps[0], tuple(steps[1:]), _resolved(pieces[-1], firsts[-2], taken[-1]))


def _resolved(piece: NDArray[np.int64], first: int, taken: NDArray[np.int64]) -> array[int]:
    """A piece's events with ids of its own, and the place in line of what it inherits."""
    own = np.where(piece < -first, piece + first, piece)
    inherited = INHERITED - np.searchsorted(taken, -1 - piece)
    events = array("q")
    events.frombytes(np.where((piece < 0) & (piece >= -first), inherited, own).tobytes())
    return events
