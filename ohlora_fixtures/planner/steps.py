"""A long run from a few traced steps, at their own length or at another."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .allocator import EMPTY_CACHE, Trace
from .curves import Weights, on_polynomial

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

    Raises NotComposableError as `EventsBetween` does.
    """
    return EventsBetween([*known.values()]).at(on_polynomial(x, [*known]))


class EventsBetween:
    """Events whose sizes lie between those of known ones."""

    def __init__(self, known: Sequence[array[int]]) -> None:
        """Raises NotComposableError unless all have the same allocations and frees in the same order."""
        rows = [np.frombuffer(events, dtype=np.int64) for events in known]
        self._first = rows[0]
        if any(len(row) != len(self._first) for row in rows):
            raise NotComposableError("traces differ in their number of events")
        self._changes = np.flatnonzero(np.logical_or.reduce([row != self._first for row in rows]))
        self._sizes = np.stack([row[self._changes] for row in rows])
        if (self._sizes <= 0).any():
            raise NotComposableError("traces differ in their order of allocations and frees")

    @cached_property
    def _different(self) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
        """The sizes that differ from all others, in integers of any size; and which of them each is."""
        different, numbers = np.unique(self._sizes, axis=1, return_inverse=True)
        return different.astype(object), numbers.reshape(-1)

    def at(self, weights: Weights) -> array[int]:
        """Those at a point; raises NotComposableError unless every size is a whole positive number of bytes."""
        most = int(self._sizes.max(initial=0)) * sum(map(abs, weights.factors))
        if most <= np.iinfo(np.int64).max:
            sizes = _whole(np.array(weights.factors) @ self._sizes, weights.divisor)
        else:
            different, numbers = self._different
            sizes = _whole(np.array(weights.factors, dtype=object) @ different, weights.divisor)[numbers]
        result = self._first.copy()
        result[self._changes] = sizes
        events = array("q")
        events.frombytes(result.tobytes())
        return events


def _whole(totals: NDArray[Any], divisor: int) -> NDArray[np.int64]:
    if (totals % divisor != 0).any() or (totals <= 0).any():
        raise NotComposableError("a size on the curve is no whole positive number of bytes")
    sizes: NDArray[np.int64] = (totals // divisor).astype(np.int64)
    return sizes


def whole_at(x: int, known: Mapping[int, int]) -> int:
    """A whole number at `x` on the polynomial through those at known points.

    Raises NotComposableError unless it comes out whole and positive.
    """
    return whole(on_polynomial(x, [*known]).sum([*known.values()]))


def whole(value: Fraction) -> int:
    """A whole positive number; raises NotComposableError for any other."""
    if value.denominator > 1 or value <= 0:
        raise NotComposableError("a size on the curve is no whole positive number of bytes")
    return int(value)


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
