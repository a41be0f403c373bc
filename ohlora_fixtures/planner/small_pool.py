"""What a run takes of the allocator's small pool, which serves requests up to 1 MiB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from .parts import Part
from .states import EMPTY_SMALL

SMALL_EVENTS = 1 << 16
"""How many events are played if there are so many: some 0.1 s worth."""


@dataclass(frozen=True)
class SmallPool:
    """What a run takes of the small pool."""

    peak_bytes: int
    """Most in segments."""
    held_bytes: dict[Part, NDArray[np.int64]]
    """By part, most in segments that are not wholly free, before each event of the large pool and after the last."""

    def beside(self, part: Part) -> Iterator[tuple[int, int, int]]:
        """What it holds while the large pool plays a part: bytes, and from which to which of its events."""
        count = len(part.large.places)
        held = self.held_bytes.get(part, np.full(count + 1, self.peak_bytes))
        changes = [0, *(np.flatnonzero(np.diff(held)) + 1).tolist(), count + 1]
        return ((int(held[begin]), begin, end) for begin, end in pairwise(changes))


def play_small(parts: Sequence[Part]) -> SmallPool:
    """Play a run's first steps and its longest one through the small pool; its segments may in truth be a few more."""
    longest = parts[longest_of(parts)]
    begins = accumulate((len(part.small.places) for part in parts), initial=0)
    played = [part for part, begin in zip(parts, begins, strict=False) if begin < SMALL_EVENTS]
    if longest not in played:
        played.append(longest)
    state = EMPTY_SMALL
    peak_bytes = 0
    held_bytes: dict[Part, NDArray[np.int64]] = {}
    for part in played:
        outcome = state.after(part.small.requests)
        levels = np.concatenate(([state.pool.held_bytes], outcome.levels))
        held_bytes[part] = np.maximum(held_bytes.get(part, 0), _most_between(part, levels))
        peak_bytes = max(peak_bytes, outcome.peak_reserved_bytes)
        state = outcome.state
    return SmallPool(peak_bytes, held_bytes)


def longest_of(parts: Sequence[Part]) -> int:
    """Which step, of those after the beginning if there are any, allocates most."""
    return max(range(1, len(parts)), key=lambda number: int(parts[number].sizes.sum()), default=0)


def _most_between(part: Part, levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most of the small pool's levels, before its first event and after each, between the large pool's events."""
    borders = np.concatenate(([0], np.searchsorted(part.small.places, part.large.places), [len(levels) - 1]))
    pairs = np.column_stack((borders[:-1], borders[1:] + 1)).ravel()
    most: NDArray[np.int64] = np.maximum.reduceat(np.append(levels, 0), pairs)[::2]
    return most
