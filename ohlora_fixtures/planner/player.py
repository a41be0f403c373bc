"""Plays a run through the allocator: what a card would hold after it, and at its peak.

The two pools do not disturb each other where there is room, and are played apart. In the small pool every rest of 512
bytes is split off: what it has allocated is the sum of its rounded requests, however it is laid out. Only its
segments have to be played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .allocator import EMPTY_CACHE, Category, Trace
from .limits import LimitedPlays, needed_bytes
from .parts import Part, most_requested_bytes, part_of
from .small_pool import SmallPool, play_small
from .states import EMPTY_LARGE
from .steps import INHERITED, NotComposableError, Step

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
    peak_part: int
    """Where that was: 0 is the beginning, and so on."""
    peak_event: int
    """The event of that part."""
    _parts: Sequence[Part] = field(repr=False, compare=False)
    _small: SmallPool = field(repr=False, compare=False)

    @property
    def requested_bytes(self) -> int:
        """Most requested at once, in blocks: what is needed beyond it, unsplit rests and holes take."""
        return most_requested_bytes(self._parts)

    @cached_property
    def needs_bytes(self) -> int:
        """Least memory, to 2 MiB, within which the allocator gets through, giving back what it does not use."""
        return needed_bytes(self._parts, self._small, self.peak_allocated_bytes, self.peak_reserved_bytes)


def play(beginning: Trace | Step, steps: Sequence[Step] = ()) -> Played:
    """Play a whole trace, or a beginning and then steps, on a card with room enough; equal steps are the same object.

    Raises NotComposableError for a step that frees another number of allocations than the one before it left.
    """
    parts = _parts(beginning, steps)
    state = EMPTY_LARGE
    small = begins = most = peak_part = peak_event = large_peak_bytes = 0
    for number, part in enumerate(parts):
        outcome = state.after(part.large.requests)
        freed = np.zeros(len(outcome.levels), dtype=np.int64)  # of what the part before left in the small pool
        if number:
            events = part.events[part.large.places]
            is_inherited = events <= INHERITED
            freed[is_inherited] = parts[number - 1].left_small_bytes[INHERITED - events[is_inherited]]
        highest, event = _highest(part, begins, outcome.levels - np.cumsum(freed))
        if small + highest > most:
            most, peak_part, peak_event = small + highest, number, event
        state = outcome.state
        begins = state.pool.allocated_bytes
        small += int(part.small_sums[-1:].sum() - freed.sum())
        large_peak_bytes = max(large_peak_bytes, outcome.peak_reserved_bytes)
    at_peak = _breakdown(parts, peak_part, peak_event)
    at_peak[WASTED] = most - sum(at_peak.values())
    pool = state.pool.copy()
    for address in state.left:  # what the last step left is let go
        if address is not None:
            pool.free(address)
    allocated = pool.allocated_bytes + small - int(parts[-1].left_small_bytes.sum())
    small_pool = play_small(parts)
    if sum(np.count_nonzero(part.events == EMPTY_CACHE) for part in set(parts)) > 1:
        reserved = int(LimitedPlays(small_pool).most_together_bytes(parts))
    else:  # `Trainer` empties the cache before it trains; from then on each pool comes to its peak and stays there
        reserved = large_peak_bytes + small_pool.peak_bytes
    return Played(allocated, most, reserved, at_peak, peak_part, peak_event, parts, small_pool)


def fits(beginning: Trace | Step, steps: Sequence[Step], limit_bytes: float) -> bool:
    """Whether the allocator gets through a run with no more memory than that.

    Raises NotComposableError as `play` does.
    """
    parts = _parts(beginning, steps)
    if most_requested_bytes(parts) > limit_bytes:
        return False
    return LimitedPlays(play_small(parts)).failing_part(parts, limit_bytes) is None


def may_fit(beginning: Trace | Step, steps: Sequence[Step], limit_bytes: float) -> bool:
    """Whether what is live at once is no more than that: the allocator needs more than it.

    Raises NotComposableError as `play` does.
    """
    return most_requested_bytes(_parts(beginning, steps)) <= limit_bytes


def _parts(beginning: Trace | Step, steps: Sequence[Step]) -> list[Part]:
    first = Part(beginning) if isinstance(beginning, Trace) else part_of(beginning)
    parts = [first, *map(part_of, steps)]
    if any(part.inherits != len(before.left_behind) for before, part in pairwise(parts)):
        raise NotComposableError("a step does not free what the one before it left")
    return parts


def _highest(part: Part, start_level: int, levels: NDArray[np.int64]) -> tuple[int, int]:
    """Most bytes during a part, `small_sums` added to the levels, and the event that reached it."""
    if not len(part.events):
        return start_level, 0
    starts = part.large.places
    if not len(starts) or starts[0] != 0:
        starts, levels = np.insert(starts, 0, 0), np.insert(levels, 0, start_level)
    totals = np.maximum.reduceat(part.small_sums, starts) + levels
    best = int(totals.argmax())
    end = starts[best + 1] if best + 1 < len(starts) else len(part.events)
    return int(totals[best]), int(starts[best] + part.small_sums[starts[best] : end].argmax())


def _breakdown(parts: Sequence[Part], number: int, position: int) -> dict[str, int]:
    """What is live after an event of a part, by category: its own, what it inherited, and what the beginning keeps."""
    part = parts[number]
    totals = part.live_by_category(position)
    if number:
        before, first = parts[number - 1], parts[0]
        freed = {INHERITED - event for event in part.events[: position + 1].tolist() if event <= INHERITED}
        for place, allocation in enumerate(before.left_behind):
            if place not in freed:
                totals[before.categories[allocation]] += before.sizes[allocation]
        totals += first.live_by_category(len(first.events) - 1, but=first.left_behind)
    return {category.name.lower(): int(totals[category]) for category in Category}
