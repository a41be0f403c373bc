"""Plays a run through the allocator: what a card would hold after it, and at its peak.

The two pools do not disturb each other, and are played apart. In the small pool every rest of 512 bytes
is split off: what it has allocated is the sum of its rounded requests, however it is laid out. The large
pool has few blocks and soon comes back to a layout it has been in, and a step that begins in such a layout
ends as it ended then. Only the small pool's segments have to be played step by step; once the longest step
and some `SMALL_EVENTS` are through, that stops, and its segments may in truth be a few more.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .allocator import EMPTY_CACHE, MIN_BLOCK_BYTES, SMALL_REQUEST_MAX_BYTES, SMALL_SEGMENT_BYTES, Category, Pool, Trace
from .steps import INHERITED, NotComposableError, Step

SMALL_EVENTS = 1 << 17
"""How many events of the small pool are played if there are so many: some 0.2 s worth."""

WASTED = "wasted"
"""The breakdown's name for what rounding and unsplit rests add to the requests."""


@dataclass(frozen=True)
class Played:
    """Outcome of a run on the modelled allocator, in bytes."""

    allocated_bytes: int
    """In live blocks when the run has ended."""
    peak_allocated_bytes: int
    """Most in live blocks."""
    peak_reserved_bytes: int
    """Most in segments."""
    at_peak: dict[str, int]
    """What was live when most was allocated, by the names of `Category` in lower case, and `WASTED`."""
    small_pool_is_exact: bool
    """Whether every step went through the small pool."""


@dataclass(frozen=True)
class _Held:
    """A live allocation that one part leaves to the next."""

    size_bytes: int
    category: int
    large_address: int | None
    """None in the small pool."""


@dataclass(frozen=True)
class _Situation:
    """What playing a part came to; the small pool's figures are relative to its level when the part began."""

    layout: object
    """The large pool's layout at the end, and what is left behind: they decide what a next step does."""
    held: tuple[_Held, ...]
    most: int
    position: int
    """The event that reached `most`."""
    most_small: int
    """The small pool's share at its own highest."""
    small_gain: int


def play(
    beginning: Trace, left_behind: Sequence[int] = (), steps: Sequence[Step] = (), *, is_rough: bool = False
) -> Played:
    """Play a traced beginning and then steps, on a card with room enough; equal steps must be the same object.

    `left_behind` are the beginning's allocations that the first step frees. A rough play takes a tenth of the
    time where there are many small blocks: it supposes that they fill their segments, so that the peak of
    reserved bytes is a lower bound.

    Raises NotComposableError for a step that frees another number of allocations than the one before it left.
    """
    left = len(left_behind)
    for step in steps:
        if step.inherits != left:
            raise NotComposableError("a step does not free what the one before it left")
        left = len(step.left_behind)
    first = _Part(beginning.events, beginning.categories, left_behind)
    parts = {id(step): _Part(step.events, step.categories, step.left_behind) for step in steps}
    pool = Pool(is_small=False)
    now = _play_large(pool, first, ())
    most_small = now.most_small
    pools = {now.layout: pool}
    known: dict[tuple[object, int], _Situation] = {}
    most, small = now.most, now.small_gain
    most_at: tuple[_Part, tuple[_Held, ...], int] = first, (), now.position
    reserved = pool.peak_reserved_bytes
    for step in steps:
        before = now
        situation = known.get((before.layout, id(step)))
        if situation is None:
            pool = pools[before.layout].copy()
            situation = known[before.layout, id(step)] = _play_large(pool, parts[id(step)], before.held)
            pools.setdefault(situation.layout, pool)
            reserved = max(reserved, pool.peak_reserved_bytes)
        now = situation
        if small + now.most > most:
            most, most_at = small + now.most, (parts[id(step)], before.held, now.position)
        most_small = max(most_small, small + now.most_small)
        small += now.small_gain
    if is_rough:
        small_reserved, is_exact = -(-most_small // SMALL_SEGMENT_BYTES) * SMALL_SEGMENT_BYTES, False
    else:
        small_reserved, is_exact = _play_small(first, [parts[id(step)] for step in steps])
    persistent = first.kept() if steps else {}
    at_peak = _breakdown(*most_at, {} if most_at[0] is first else persistent)
    at_peak[WASTED] = most - sum(at_peak.values())
    allocated = _after(pools[now.layout], now.held if steps else ()) + small
    return Played(allocated, most, reserved + small_reserved, at_peak, is_exact)


def _after(large: Pool, held: Sequence[_Held]) -> int:
    """Bytes allocated once what the last step left is let go, less the small pool's level before that."""
    end = large.copy()
    small = 0
    for each in held:
        if each.large_address is None:
            small += _rounded(each.size_bytes)
        else:
            end.free(each.large_address)
    return end.allocated_bytes - small


class _Part:
    """A beginning or a step, its events sorted by pool."""

    def __init__(self, events: array[int], categories: Sequence[int], left_behind: Sequence[int]) -> None:
        self.events = np.frombuffer(events, dtype=np.int64)
        self.categories = np.frombuffer(bytes(categories), dtype=np.uint8)
        self.left_behind = left_behind
        self.sizes = self.events[self.events > 0]
        self.is_own_free = (self.events < 0) & (self.events > INHERITED)
        deltas = np.maximum(self.events, 0)
        deltas[self.is_own_free] = -self.sizes[-1 - self.events[self.is_own_free]]
        is_small = (np.abs(deltas) <= SMALL_REQUEST_MAX_BYTES) & (deltas != 0)
        rounded = -(-np.abs(deltas) // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES * np.sign(deltas)
        self.small_sums: NDArray[np.int64] = np.cumsum(np.where(is_small, rounded, 0))
        self.not_small = np.flatnonzero(~is_small)
        self.not_large = np.flatnonzero(is_small | (deltas == 0))
        self.ids = np.cumsum(self.events > 0) - 1

    def live_at(self, position: int) -> NDArray[np.int64]:
        """Ids of the own allocations that are live after the event at a position."""
        is_live = np.zeros(len(self.sizes), dtype=bool)
        is_live[: self.ids[position] + 1] = True
        until = self.events[: position + 1]
        is_live[-1 - until[self.is_own_free[: position + 1]]] = False
        return np.flatnonzero(is_live)

    def kept(self) -> dict[int, int]:
        """Bytes by category of what is live at the end and not left behind."""
        ids = np.setdiff1d(self.live_at(len(self.events) - 1), np.array(self.left_behind, dtype=np.int64))
        return _by_category(self.categories[ids], self.sizes[ids])


def _play_large(pool: Pool, part: _Part, inherited: Sequence[_Held]) -> _Situation:
    """Play a part through the large pool, summing up what it does to the small one."""
    addresses: dict[int, int] = {}
    small_offset = 0
    start_level = pool.allocated_bytes
    levels, offsets = [], []  # after each event that is not the small pool's own: all but `small_sums`
    for event, allocation in zip(part.events[part.not_small].tolist(), part.ids[part.not_small].tolist(), strict=True):
        if event > 0:
            addresses[allocation] = pool.malloc(event)
        elif event == EMPTY_CACHE:
            pool.empty_cache()
        elif event > INHERITED:
            pool.free(addresses.pop(-1 - event))
        else:
            held = inherited[INHERITED - event]
            if held.large_address is None:
                small_offset -= _rounded(held.size_bytes)
            else:
                pool.free(held.large_address)
        levels.append(pool.allocated_bytes + small_offset)
        offsets.append(small_offset)
    most, position = _highest(part, start_level, levels)
    most_small, _ = _highest(part, 0, offsets)
    held = tuple(
        _Held(int(part.sizes[each]), int(part.categories[each]), addresses.get(each)) for each in part.left_behind
    )
    gain = small_offset + (int(part.small_sums[-1]) if len(part.events) else 0)
    return _Situation((pool.layout(), held), held, most, position, most_small, gain)


def _highest(part: _Part, start_level: int, levels: Sequence[int]) -> tuple[int, int]:
    """Most bytes during a part, `small_sums` added to the levels, and the event that reached it."""
    if not len(part.events):
        return start_level, 0
    starts = part.not_small
    if not len(starts) or starts[0] != 0:
        starts = np.concatenate(([0], starts))
        levels = [start_level, *levels]
    totals = np.maximum.reduceat(part.small_sums, starts) + np.array(levels, dtype=np.int64)
    best = int(totals.argmax())
    end = starts[best + 1] if best + 1 < len(starts) else len(part.events)
    return int(totals[best]), int(starts[best] + part.small_sums[starts[best] : end].argmax())


def _play_small(first: _Part, parts: Sequence[_Part]) -> tuple[int, bool]:
    """Most bytes in the small pool's segments, and whether every part was played for them."""
    pool = Pool(is_small=True)
    inherited = _play_part_small(pool, first, ())
    longest = max(parts, key=lambda part: int(part.sizes.sum()), default=first)
    events, is_exact, has_seen_longest = len(first.not_large), True, longest is first
    for part in parts:
        if events < SMALL_EVENTS or (part is longest and not has_seen_longest):
            inherited = _play_part_small(pool, part, inherited)
            events += len(part.not_large)
            has_seen_longest |= part is longest
        else:
            is_exact = False
    return pool.peak_reserved_bytes, is_exact


def _play_part_small(pool: Pool, part: _Part, inherited: Sequence[int | None]) -> list[int | None]:
    addresses: dict[int, int] = {}
    for event, allocation in zip(part.events[part.not_large].tolist(), part.ids[part.not_large].tolist(), strict=True):
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
    return [addresses.get(each) for each in part.left_behind]


def _breakdown(part: _Part, inherited: Sequence[_Held], position: int, persistent: dict[int, int]) -> dict[str, int]:
    """What is live after an event, by category: a part's own, what it inherited, and what has been there before."""
    own = part.live_at(position)
    freed = {INHERITED - event for event in part.events[: position + 1].tolist() if event <= INHERITED}
    still = [held for place, held in enumerate(inherited) if place not in freed]
    sums = [
        persistent,
        _by_category(part.categories[own], part.sizes[own]),
        *({held.category: held.size_bytes} for held in still),
    ]
    return {category.name.lower(): sum(each.get(category, 0) for each in sums) for category in Category}


def _by_category(categories: NDArray[np.uint8], sizes: NDArray[np.int64]) -> dict[int, int]:
    return {int(category): int(sizes[categories == category].sum()) for category in np.unique(categories)}


def _rounded(size_bytes: int) -> int:
    return -(-size_bytes // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES
