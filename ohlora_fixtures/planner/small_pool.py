"""What a run takes of the allocator's small pool, which serves requests up to 1 MiB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from .allocator import Pool
from .parts import Addresses, Part, replay

SMALL_EVENTS = 1 << 16
"""How many events are played if there are so many: some 0.1 s worth."""


@dataclass(frozen=True)
class SmallPool:
    """What a run takes of the small pool."""

    peak_bytes: int
    """Most in segments."""
    held_bytes: dict[Part, list[int]]
    """By part, most in segments that are not wholly free, before each event of the large pool and after the last."""


def play_small(parts: Sequence[Part]) -> SmallPool:
    """Play a run's first steps and its longest one through the small pool; its segments may in truth be a few more."""
    longest = parts[longest_of(parts)]
    begins = accumulate((len(part.not_large) for part in parts), initial=0)
    played = [part for part, begin in zip(parts, begins, strict=False) if begin < SMALL_EVENTS]
    if longest not in played:
        played.append(longest)
    pool = Pool(is_small=True)
    inherited: Addresses = ()
    held_bytes: dict[Part, NDArray[np.int64]] = {}
    for part in played:
        before = pool.held_bytes
        levels, inherited = replay(pool, part, inherited)
        now = _most_between(part, np.array([before, *levels], dtype=np.int64))
        held_bytes[part] = np.maximum(held_bytes.get(part, 0), now)
    return SmallPool(pool.peak_reserved_bytes, {part: held.tolist() for part, held in held_bytes.items()})


def longest_of(parts: Sequence[Part]) -> int:
    """Which step, of those after the beginning if there are any, allocates most."""
    return max(range(1, len(parts)), key=lambda number: int(parts[number].sizes.sum()), default=0)


def _most_between(part: Part, levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most of the small pool's levels, before its first event and after each, between the large pool's events."""
    borders = [0, *np.searchsorted(part.not_large, part.not_small), len(levels) - 1]
    pairs = np.array([(begin, end + 1) for begin, end in pairwise(borders)]).ravel()
    most: NDArray[np.int64] = np.maximum.reduceat(np.append(levels, 0), pairs)[::2]
    return most
