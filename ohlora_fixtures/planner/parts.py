"""A run in parts, a beginning and steps, their events sorted by the allocator's two pools."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from .allocator import MIN_BLOCK_BYTES, SMALL_REQUEST_MAX_BYTES, Category, Trace
from .steps import INHERITED, Step

Addresses = tuple[int | None, ...]
"""Where blocks begin in one pool; None for those in the other."""


class Part:
    """A beginning or a step, its events sorted by pool."""

    def __init__(self, step: Trace | Step) -> None:
        self.inherits, self.left_behind = (step.inherits, step.left_behind) if isinstance(step, Step) else (0, ())
        self.events = np.frombuffer(step.events, dtype=np.int64)
        self.categories = np.frombuffer(bytes(step.categories), dtype=np.uint8)
        self.is_made = self.events > 0
        self.is_own_free = (self.events < 0) & (self.events > INHERITED)
        self.sizes = self.events[self.is_made]
        deltas = np.maximum(self.events, 0)
        deltas[self.is_own_free] = -self.sizes[-1 - self.events[self.is_own_free]]
        self._deltas = rounded(np.abs(deltas)) * np.sign(deltas)
        self.sums: NDArray[np.int64] = np.cumsum(self._deltas)

    @cached_property
    def is_small(self) -> NDArray[np.bool_]:
        """Which events are the small pool's alone."""
        is_small: NDArray[np.bool_] = (np.abs(self._deltas) <= SMALL_REQUEST_MAX_BYTES) & (self._deltas != 0)
        return is_small

    @cached_property
    def small_sums(self) -> NDArray[np.int64]:
        """What the part has in the small pool after each event, in blocks, but for what it inherits."""
        sums: NDArray[np.int64] = np.cumsum(np.where(self.is_small, self._deltas, 0))
        return sums

    @cached_property
    def left_small_bytes(self) -> NDArray[np.int64]:
        """What each allocation that is left behind has in the small pool."""
        left = self.sizes[list(self.left_behind)]
        return np.where(left <= SMALL_REQUEST_MAX_BYTES, rounded(left), 0)

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The id of the last allocation until each event."""
        ids: NDArray[np.int64] = np.cumsum(self.is_made) - 1
        return ids

    @cached_property
    def small(self) -> PoolEvents:
        """The events that are not the large pool's."""
        return PoolEvents(self, self.is_small | (self._deltas == 0))

    @cached_property
    def large(self) -> PoolEvents:
        """The events that are not the small pool's."""
        return PoolEvents(self, ~self.is_small)

    def live_by_category(self, position: int, *, but: Sequence[int] = ()) -> NDArray[np.int64]:
        """Bytes of the own allocations that are live after the event at a position, but for some, by category."""
        is_live = np.zeros(len(self.sizes), dtype=bool)
        is_live[: self.ids[position] + 1] = True
        until = self.events[: position + 1]
        is_live[-1 - until[self.is_own_free[: position + 1]]] = False
        is_live[list(but)] = False
        totals = np.zeros(len(Category), dtype=np.int64)
        np.add.at(totals, self.categories[is_live], self.sizes[is_live])
        return totals


class PoolEvents:
    """A part's events of one pool. What frees an inherited block, and what empties the cache, are both pools'."""

    def __init__(self, part: Part, is_in_pool: NDArray[np.bool_]) -> None:
        self.places = np.flatnonzero(is_in_pool)
        """Where they are among the part's events."""
        events = part.events[self.places]
        is_own_free, is_inherited = part.is_own_free[self.places], events <= INHERITED
        is_here = is_in_pool[part.is_made]
        number_of = np.cumsum(is_here) - 1 + part.inherits
        codes = np.where(is_inherited, events - INHERITED - 1, rounded(np.maximum(events, 0)))
        codes[is_own_free] = -1 - number_of[-1 - events[is_own_free]]
        left_behind = tuple(int(number_of[own]) if is_here[own] else None for own in part.left_behind)
        key = codes.tobytes(), part.inherits, left_behind
        self.requests: Requests = _REQUESTS.get(key) or _REQUESTS.setdefault(key, Requests(*key))
        """What they ask of the pool."""


class Requests:
    """What a part asks of one pool; parts that ask the same of it share them."""

    def __init__(self, codes: bytes, inherits: int, left_behind: Addresses) -> None:
        self.codes: NDArray[np.int64] = np.frombuffer(codes, dtype=np.int64)
        """As `Pool.play` takes them: what is inherited has the first addresses."""
        self._inherits = inherits
        self._left_behind = left_behind

    def addresses(self, inherited: Addresses) -> list[int | None]:
        """Addresses to begin with, by those that are inherited."""
        return [*inherited[: self._inherits], *(self._inherits - len(inherited)) * [None]]

    def left_behind(self, addresses: Sequence[int | None]) -> Addresses:
        """The addresses of what is left behind, by those at the end."""
        return tuple(None if number is None else addresses[number] for number in self._left_behind)


_REQUESTS: WeakValueDictionary[tuple[bytes, int, Addresses], Requests] = WeakValueDictionary()
_PART_OF: WeakKeyDictionary[Step, Part] = WeakKeyDictionary()


def part_of(step: Step) -> Part:
    """The part that a step is, sorted once however often it is played."""
    return _PART_OF.get(step) or _PART_OF.setdefault(step, Part(step))


def most_requested_bytes(parts: Sequence[Part]) -> int:
    """Most that a run has requested at once, in blocks without unsplit rests: no allocator needs less."""
    first = parts[0]
    kept = int(first.sums[-1:].sum() - rounded(first.sizes[list(first.left_behind)]).sum())
    return max(int(part.sums.max(initial=0)) + (0 if part is first else kept) for part in parts)


def rounded(size_bytes: Any, multiple: int = MIN_BLOCK_BYTES) -> Any:
    """A size, or an array of sizes, up to the next multiple."""
    return -(-size_bytes // multiple) * multiple
