"""A long run from a few traced steps, at their own length or at another."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .allocator import Trace


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
    values = [np.array([value], dtype=object) for value in known.values()]
    return int(_lagrange(x, list(known), values)[0])


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


INHERITED = -(1 << 60)
"""Events up to this one free what the step before left: the n-th in line is `INHERITED - n`."""


class NotComposableError(Exception):
    """The steps do not follow each other, or from each other, in the simple way that composing needs."""


@dataclass(frozen=True, eq=False)
class Step:
    """One traced step, detached from its neighbours."""

    events: array[int]
    """As in `Trace`, ids counting this step's allocations; frees of what the step before left are inherited."""
    categories: bytes
    """Category of each of its allocations."""
    inherits: int
    """How many allocations of the step before it frees."""
    left_behind: tuple[int, ...]
    """Own allocations, by id, that the following step frees; all others it frees itself."""

    def with_events(self, events: array[int]) -> Step:
        """The same step with other sizes."""
        return Step(events, self.categories, self.inherits, self.left_behind)


@dataclass(frozen=True)
class CutTrace:
    """A trace cut into its beginning and its steps."""

    beginning: Trace
    """All up to the end of the first step, which is unlike the others: optimizer states are made in it."""
    left_behind: tuple[int, ...]
    """The beginning's allocations that the next step frees."""
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
    first_of = [sum(event > 0 for event in trace.events[: ends[0]])]
    pieces = []
    for start, end in pairwise(ends):
        piece = trace.events[start:end]
        pieces.append(piece)
        first_of.append(first_of[-1] + sum(event > 0 for event in piece))
    steps: list[Step] = []
    taken = [_older(piece, first) for piece, first in zip(pieces, first_of, strict=False)]
    resolved = [_resolved(*each) for each in zip(pieces, first_of, taken, strict=False)]
    for number, events in enumerate(resolved[:-1]):
        first, own = first_of[number], first_of[number + 1] - first_of[number]
        left_behind = [allocation - first for allocation in taken[number + 1]]
        if left_behind and left_behind[0] < 0:
            raise NotComposableError("a step frees what is older than the step before it")
        if own != sum(INHERITED < event < 0 for event in events) + len(left_behind):
            raise NotComposableError("a step keeps what it allocates")
        categories = bytes(trace.categories[first : first + own])
        steps.append(Step(events, categories, len(taken[number]), tuple(left_behind)))
    beginning = Trace(trace.events[: ends[0]], trace.categories[: first_of[0]])
    return CutTrace(beginning, tuple(taken[0]), tuple(steps), resolved[-1])


def _older(piece: array[int], first: int) -> list[int]:
    """The allocations older than a step that it frees, in the order in which they were made."""
    return sorted(-1 - event for event in piece if event < 0 and -1 - event < first)


def _resolved(piece: array[int], first: int, taken: Sequence[int]) -> array[int]:
    """A piece's events with ids of its own, and the place in line of what it inherits."""
    places = {allocation: place for place, allocation in enumerate(taken)}
    return array(
        "q",
        (
            event if event >= 0 else event + first if -1 - event >= first else INHERITED - places[-1 - event]
            for event in piece
        ),
    )
