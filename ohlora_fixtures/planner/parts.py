"""A run in parts, a beginning and steps, each played through one of the allocator's two pools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import repeat
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .allocator import EMPTY_CACHE, MIN_BLOCK_BYTES, SMALL_REQUEST_MAX_BYTES, Category, Pool, Trace
from .steps import INHERITED, Step

Addresses = Sequence[int | None]
"""Where blocks begin in one pool; None for those in the other."""
AnyPool = TypeVar("AnyPool", bound=Pool)


class Part:
    """A beginning or a step, its events sorted by pool."""

    def __init__(self, step: Trace | Step) -> None:
        self.inherits, self.left_behind = (step.inherits, step.left_behind) if isinstance(step, Step) else (0, ())
        self.events = np.frombuffer(step.events, dtype=np.int64)
        self.categories = np.frombuffer(bytes(step.categories), dtype=np.uint8)
        self.sizes = self.events[self.events > 0]
        self.is_own_free = (self.events < 0) & (self.events > INHERITED)
        deltas = np.maximum(self.events, 0)
        deltas[self.is_own_free] = -self.sizes[-1 - self.events[self.is_own_free]]
        is_small = (np.abs(deltas) <= SMALL_REQUEST_MAX_BYTES) & (deltas != 0)
        in_blocks = rounded(np.abs(deltas)) * np.sign(deltas)
        self.sums: NDArray[np.int64] = np.cumsum(in_blocks)
        self.small_sums: NDArray[np.int64] = np.cumsum(np.where(is_small, in_blocks, 0))
        left = self.sizes[list(self.left_behind)]
        self.left_small_bytes = np.where(left <= SMALL_REQUEST_MAX_BYTES, rounded(left), 0)
        self.not_small = np.flatnonzero(~is_small)
        self.frees_inherited = self.events[self.not_small] <= INHERITED
        """Which of these events free what the part before left."""
        self.inherited_freed = INHERITED - self.events[self.not_small][self.frees_inherited]
        """And what each of them frees, by its place in line."""
        self.not_large = np.flatnonzero(is_small | (deltas == 0))
        self.ids = np.cumsum(self.events > 0) - 1

    @cached_property
    def not_small_events(self) -> list[tuple[int, int]]:
        """The events that are not the small pool's, each with the id of the last allocation until then."""
        return self._at(self.not_small)

    @cached_property
    def not_large_events(self) -> list[tuple[int, int]]:
        """Likewise, those that are not the large pool's."""
        return self._at(self.not_large)

    def _at(self, positions: NDArray[np.int64]) -> list[tuple[int, int]]:
        return list(zip(self.events[positions].tolist(), self.ids[positions].tolist(), strict=True))

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


def replay(
    pool: Pool, part: Part, inherited: Addresses, beside: Iterable[None] = repeat(None)
) -> tuple[list[int], Addresses]:
    """Play a part's events through one of the pools, and what happens `beside` them: an item of it before each.

    Returns the pool's level after each, in bytes, and the addresses of what is left behind. The level is what is
    allocated of the large pool, and what is held of the small one.
    """
    events, level = (
        (part.not_large_events, "held_bytes") if pool.is_small else (part.not_small_events, "allocated_bytes")
    )
    level_of = attrgetter(level)
    addresses: dict[int, int] = {}
    levels = []
    for (event, allocation), _ in zip(events, beside, strict=False):
        if event > 0:
            addresses[allocation] = pool.malloc(event)
        elif event == EMPTY_CACHE:
            pool.empty_cache()
        elif event > INHERITED:
            pool.free(addresses.pop(-1 - event))
        else:
            address = inherited[INHERITED - event]
            if address is not None:
                pool.free(address)
        levels.append(level_of(pool))
    return levels, [addresses.get(each) for each in part.left_behind]


def play_through(
    pool: AnyPool, parts: Sequence[Part], play: Callable[[AnyPool, Part, Addresses], tuple[list[int], Addresses]]
) -> Iterator[tuple[AnyPool, Addresses, list[int]]]:
    """Play parts one after the other; one that begins in a layout in which it has begun before ends as it did then.

    The pool must have few blocks, so that its layouts come back. `play` is `replay` or the like. Gives the pool before
    each part, the addresses it inherits and the levels during it; at last the pool after them, and what they leave.
    """
    state: tuple[object, tuple[int | None, ...]] = (pool.layout(), ())
    pools = {state: pool}
    known: dict[tuple[object, Part], tuple[tuple[object, tuple[int | None, ...]], list[int]]] = {}
    for part in parts:
        if (state, part) not in known:
            pool = pools[state].copy()
            levels, left = play(pool, part, state[1])
            after = pool.layout(), tuple(left)
            known[state, part] = after, levels
            pools.setdefault(after, pool)
        before, (state, levels) = state, known[state, part]
        yield pools[before], before[1], levels
    yield pools[state], state[1], []


def most_requested_bytes(parts: Sequence[Part]) -> int:
    """Most that a run has requested at once, in blocks without unsplit rests: no allocator needs less."""
    first = parts[0]
    kept = int(first.sums[-1:].sum() - rounded(first.sizes[list(first.left_behind)]).sum())
    return max(int(part.sums.max(initial=0)) + (0 if part is first else kept) for part in parts)


def rounded(size_bytes: Any, multiple: int = MIN_BLOCK_BYTES) -> Any:
    """A size, or an array of sizes, up to the next multiple."""
    return -(-size_bytes // multiple) * multiple
