"""Plays a run through the allocator: what a card would hold after it, and at its peak.

The two pools do not disturb each other, and are played apart. In the small pool every rest of 512 bytes
is split off: what it has allocated is the sum of its rounded requests, however it is laid out. The large
pool has few blocks and soon comes back to a layout it has been in, and a step that begins in such a layout
ends as it ended then. Only the small pool's segments have to be played step by step; once the longest step
and some `SMALL_EVENTS` are through, that stops, and its segments may in truth be a few more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise, repeat
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .allocator import (
    EMPTY_CACHE,
    LARGE_ROUND_BYTES,
    MIN_BLOCK_BYTES,
    SMALL_REQUEST_MAX_BYTES,
    SMALL_SEGMENT_BYTES,
    Category,
    Pool,
    Trace,
)
from .steps import INHERITED, NotComposableError, Step

SMALL_EVENTS = 1 << 17
"""How many events of the small pool are played if there are so many: some 0.2 s worth."""
FEW_STEPS = 4
"""What a run needs is sought on so many steps first."""

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
    _parts: Sequence[_Part] = field(repr=False, compare=False)
    _small: _SmallPool = field(repr=False, compare=False)
    _most_large_bytes: int
    """Most in live blocks of the large pool."""

    @cached_property
    def needs_bytes(self) -> int:
        """Least memory, to 2 MiB, within which the allocator gets through, giving back what it does not use.

        Sought by halving on the longest step and a few before it, and from there on the whole run.
        """
        parts, longest = self._parts, _longest(self._parts)
        few = [parts[0], *parts[max(1, longest - FEW_STEPS + 1) : longest + 1]]
        unit = LARGE_ROUND_BYTES
        low, high = -(-self._most_large_bytes // unit) - 1, -(-self.peak_reserved_bytes // unit)
        guess = bisect_left(range(high), x=True, lo=low + 1, key=lambda limit: _completes(few, self._small, limit * unit))
        return unit * _least(lambda limit: _completes(parts, self._small, limit * unit), low, high, guess)


def _least(is_enough: Callable[[int], bool], low: int, high: int, guess: int) -> int:
    """The least number above `low` that is enough, at most `high`, sought from a guess in growing strides."""
    is_above = is_enough(guess)
    edge, stride = guess, -1 if is_above else 1
    while low < edge + stride < high and is_enough(edge + stride) == is_above:
        edge, stride = edge + stride, 2 * stride
    low, high = (max(low, edge + stride), edge) if is_above else (edge, min(high, edge + stride))
    return bisect_left(range(high), x=True, lo=low + 1, key=is_enough)


@dataclass(frozen=True)
class _Held:
    """A live allocation that one part leaves to the next."""

    size_bytes: int
    category: int
    large_address: int | None
    """None in the small pool."""


@dataclass(frozen=True)
class _Outcome:
    """What playing a part came to; the small pool's figure is relative to its level when the part began."""

    layout: object
    """The large pool's layout at the end, and what is left behind: they decide what a next step does."""
    held: tuple[_Held, ...]
    most: int
    position: int
    """The event that reached `most`."""
    small_gain: int


def play(beginning: Trace | Step, steps: Sequence[Step] = ()) -> Played:
    """Play a whole trace, or a beginning and then steps, on a card with room enough; equal steps are the same object.

    Raises NotComposableError for a step that frees another number of allocations than the one before it left.
    """
    parts = _parts(beginning, steps)
    pool = Pool(is_small=False)
    layout: object = (pool.layout(), ())
    held: tuple[_Held, ...] = ()
    pools = {layout: pool}
    known: dict[tuple[object, _Part], _Outcome] = {}
    most = most_large = small = reserved = 0
    most_at = parts[0], held, 0
    for part in parts:
        now = known.get((layout, part))
        if now is None:
            pool = pools[layout].copy()
            now = known[layout, part] = _play_large(pool, part, held)
            pools.setdefault(now.layout, pool)
            reserved = max(reserved, pool.peak_reserved_bytes)
            most_large = max(most_large, pool.peak_allocated_bytes)
        if small + now.most > most:
            most, most_at = small + now.most, (part, held, now.position)
        small += now.small_gain
        layout, held = now.layout, now.held
    small_pool = _play_small(parts)
    at_peak = _breakdown(parts[0], *most_at)
    at_peak[WASTED] = most - sum(at_peak.values())
    pool = pools[layout]
    for each in held:  # what the last step left is let go
        if each.large_address is None:
            small -= _rounded(each.size_bytes)
        else:
            pool.free(each.large_address)
    allocated = pool.allocated_bytes + small
    return Played(allocated, most, reserved + small_pool.peak_bytes, at_peak, parts, small_pool, most_large)


def fits(beginning: Trace | Step, steps: Sequence[Step], limit_bytes: float, *, is_rough: bool = False) -> bool:
    """Whether the allocator gets through a run with no more memory than that.

    A rough answer takes a tenth of the time where there are many small blocks: it supposes that they fill their
    segments, and so may be yes where it should be no.

    Raises NotComposableError as `play` does.
    """
    parts = _parts(beginning, steps)
    small = _least_small(parts) if is_rough else _play_small(parts)
    return _completes(parts, small, limit_bytes)


class _LimitReachedError(Exception):
    """A pool needs a segment beyond the limit."""


class _LimitedPool(Pool):
    """The large pool on a card with a limit, which the small pool shares.

    Where the limit is reached, both give wholly free segments back and it is tried again, as `malloc` does by
    `release_cached_blocks` (`c10/cuda/CUDACachingAllocator.cpp`).
    """

    def __init__(self, limit_bytes: float) -> None:
        super().__init__(is_small=False)
        self.limit_bytes = limit_bytes
        self._small_bytes = self._small_held_bytes = 0

    def small_pool_holds(self, held_bytes: int) -> None:
        """Let the small pool have that much in segments that are not wholly free.

        Raises _LimitReachedError where that is too much.
        """
        self._small_held_bytes = held_bytes
        if held_bytes > self._small_bytes:
            self.before_segment(held_bytes - self._small_bytes)
            self._small_bytes = held_bytes

    def before_segment(self, segment_bytes: int) -> None:
        """Make room for a segment of either pool.

        Raises _LimitReachedError where there is none.
        """
        if self.reserved_bytes + self._small_bytes + segment_bytes <= self.limit_bytes:
            return
        self.empty_cache()
        self._small_bytes = min(self._small_bytes, self._small_held_bytes)
        if self.reserved_bytes + self._small_bytes + segment_bytes > self.limit_bytes:
            raise _LimitReachedError

    def layout(self) -> tuple[object, ...]:
        """As of any pool."""
        return *super().layout(), self._small_bytes


def _completes(parts: Sequence[_Part], small: _SmallPool, limit_bytes: float) -> bool:
    """Whether a run gets through under a limit."""
    pool = _LimitedPool(limit_bytes)
    state: tuple[object, tuple[int | None, ...]] = (pool.layout(), ())
    pools = {state: pool}
    known: dict[tuple[object, _Part], tuple[object, tuple[int | None, ...]]] = {}
    for part in parts:
        if (state, part) not in known:
            pool = pools[state].copy()
            events = part.not_small_events
            *held, at_end = small.held_bytes.get(part) or [small.peak_bytes] * (len(events) + 1)
            try:
                _, left = _replay(pool, part, events, state[1], beside=map(pool.small_pool_holds, held))
                pool.small_pool_holds(at_end)
            except _LimitReachedError:
                return False
            after = known[state, part] = (pool.layout(), tuple(left))
            pools.setdefault(after, pool)
        state = known[state, part]
    return True


def _parts(beginning: Trace | Step, steps: Sequence[Step]) -> list[_Part]:
    part_of = {id(each): _Part(each) for each in (beginning, *steps)}
    parts = [part_of[id(each)] for each in (beginning, *steps)]
    if any(part.inherits != len(before.left_behind) for before, part in pairwise(parts)):
        raise NotComposableError("a step does not free what the one before it left")
    return parts


class _Part:
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
        rounded = -(-np.abs(deltas) // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES * np.sign(deltas)
        self.small_sums: NDArray[np.int64] = np.cumsum(np.where(is_small, rounded, 0))
        self.not_small = np.flatnonzero(~is_small)
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


def _replay(
    pool: Pool,
    part: _Part,
    events: Sequence[tuple[int, int]],
    inherited: Sequence[int | None],
    *,
    level: str = "allocated_bytes",
    beside: Iterable[None] = repeat(None),
) -> tuple[list[int], list[int | None]]:
    """Play a part's events through one pool, and what happens `beside` them: an item of it before each.

    Returns the pool's level after each, and the addresses of what is left behind; addresses, `inherited` ones too,
    are None in the other pool.
    """
    addresses: dict[int, int] = {}
    levels = []
    level_of = attrgetter(level)
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


def _play_large(pool: Pool, part: _Part, inherited: Sequence[_Held]) -> _Outcome:
    """Play a part through the large pool, summing up what it does to the small one."""
    start_level = pool.allocated_bytes
    levels, left = _replay(pool, part, part.not_small_events, [each.large_address for each in inherited])
    small_freed = {
        INHERITED - place: _rounded(each.size_bytes)
        for place, each in enumerate(inherited)
        if each.large_address is None
    }
    freed = [small_freed.get(event, 0) for event in part.events[part.not_small].tolist()]
    offsets = -np.cumsum(freed, dtype=np.int64)  # after each event that is not among `small_sums`
    most, position = _highest(part, start_level, np.array(levels, dtype=np.int64) + offsets)
    held = tuple(
        _Held(int(part.sizes[each]), int(part.categories[each]), address)
        for each, address in zip(part.left_behind, left, strict=True)
    )
    gain = int(part.small_sums[-1:].sum() + offsets[-1:].sum())
    return _Outcome((pool.layout(), held), held, most, position, gain)


def _highest(part: _Part, start_level: int, levels: NDArray[np.int64]) -> tuple[int, int]:
    """Most bytes during a part, `small_sums` added to the levels, and the event that reached it."""
    if not len(part.events):
        return start_level, 0
    starts = part.not_small
    if not len(starts) or starts[0] != 0:
        starts, levels = np.insert(starts, 0, 0), np.insert(levels, 0, start_level)
    totals = np.maximum.reduceat(part.small_sums, starts) + levels
    best = int(totals.argmax())
    end = starts[best + 1] if best + 1 < len(starts) else len(part.events)
    return int(totals[best]), int(starts[best] + part.small_sums[starts[best] : end].argmax())


@dataclass(frozen=True)
class _SmallPool:
    """What a run takes of the small pool."""

    peak_bytes: int
    """Most in segments."""
    held_bytes: dict[_Part, list[int]]
    """By part, most in segments that are not wholly free, before each event of the large pool and after the last."""


def _play_small(parts: Sequence[_Part]) -> _SmallPool:
    longest = parts[_longest(parts)]
    begins = accumulate((len(part.not_large) for part in parts), initial=0)
    played = [part for part, begin in zip(parts, begins, strict=False) if begin < SMALL_EVENTS]
    if longest not in played:
        played.append(longest)
    pool = Pool(is_small=True)
    inherited: list[int | None] = []
    held_bytes: dict[_Part, NDArray[np.int64]] = {}
    for part in played:
        before = pool.held_bytes
        levels, inherited = _replay(pool, part, part.not_large_events, inherited, level="held_bytes")
        now = _most_between(part, np.array([before, *levels], dtype=np.int64))
        held_bytes[part] = np.maximum(held_bytes.get(part, 0), now)
    return _SmallPool(pool.peak_reserved_bytes, {part: held.tolist() for part, held in held_bytes.items()})


def _longest(parts: Sequence[_Part]) -> int:
    """Which step, of those after the beginning if there are any, allocates most."""
    return max(range(1, len(parts)), key=lambda number: int(parts[number].sizes.sum()), default=0)


def _most_between(part: _Part, levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most of the small pool's levels, before its first event and after each, between the large pool's events."""
    borders = [0, *np.searchsorted(part.not_large, part.not_small), len(levels) - 1]
    pairs = np.array([(begin, end + 1) for begin, end in pairwise(borders)]).ravel()
    most: NDArray[np.int64] = np.maximum.reduceat(np.append(levels, 0), pairs)[::2]
    return most


def _least_small(parts: Sequence[_Part]) -> _SmallPool:
    """A lower bound of the same: small blocks that fill their segments."""
    first = parts[0]
    left = first.sizes[list(first.left_behind)]
    kept = int(first.small_sums[-1:].sum()) - sum(map(_rounded, left[left <= SMALL_REQUEST_MAX_BYTES].tolist()))
    held_bytes: dict[_Part, list[int]] = {}
    for part in set(parts):
        levels = np.append(0, part.small_sums[part.not_large]) + (0 if part is first else kept)
        held_bytes[part] = _rounded(_most_between(part, levels), SMALL_SEGMENT_BYTES).tolist()
    return _SmallPool(max(map(max, held_bytes.values())), held_bytes)


def _breakdown(first: _Part, part: _Part, inherited: Sequence[_Held], position: int) -> dict[str, int]:
    """What is live after an event, by category: a part's own, what it inherited, and what has been there before."""
    totals = part.live_by_category(position)
    freed = {INHERITED - event for event in part.events[: position + 1].tolist() if event <= INHERITED}
    for place, held in enumerate(inherited):
        if place not in freed:
            totals[held.category] += held.size_bytes
    if part is not first:
        totals += first.live_by_category(len(first.events) - 1, but=first.left_behind)
    return {category.name.lower(): int(totals[category]) for category in Category}


def _rounded(size_bytes: Any, multiple: int = MIN_BLOCK_BYTES) -> Any:
    return -(-size_bytes // multiple) * multiple
