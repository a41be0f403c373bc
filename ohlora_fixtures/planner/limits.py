"""What a run needs: the least memory within which the allocator gets through, both pools on one card."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from .allocator import LARGE_ROUND_BYTES, Pool
from .parts import Addresses, Part, play_through, replay
from .small_pool import SmallPool, longest_of

FEW_STEPS = 4
"""What a run needs is sought on so many steps first."""


def needed_bytes(parts: Sequence[Part], small: SmallPool, low_bytes: int, high_bytes: int) -> int:
    """Least limit, to 2 MiB, under which a run completes: at least `low_bytes`, at most `high_bytes`.

    Sought by halving on the longest step and a few before it, and from there on the whole run.
    """
    unit, longest = LARGE_ROUND_BYTES, longest_of(parts)
    few = [parts[0], *parts[max(1, longest - FEW_STEPS + 1) : longest + 1]]
    low, high = -(-low_bytes // unit) - 1, -(-high_bytes // unit)
    guess = bisect_left(range(high), x=True, lo=low + 1, key=lambda limit: completes(few, small, limit * unit))
    return unit * least(lambda limit: completes(parts, small, limit * unit), low, high, guess)


def least(is_enough: Callable[[int], bool], low: int, high: int, guess: int) -> int:
    """The least number above `low` that is enough, at most `high`, sought from a guess in growing strides."""
    is_above = is_enough(guess)
    edge, stride = guess, -1 if is_above else 1
    while low < edge + stride < high and is_enough(edge + stride) == is_above:
        edge, stride = edge + stride, 2 * stride
    low, high = (max(low, edge + stride), edge) if is_above else (edge, min(high, edge + stride))
    return bisect_left(range(high), x=True, lo=low + 1, key=is_enough)


def completes(parts: Sequence[Part], small: SmallPool, limit_bytes: float) -> bool:
    """Whether a run gets through under a limit."""

    def play(pool: _LimitedPool, part: Part, inherited: Addresses) -> tuple[list[int], Addresses]:
        *held, at_end = small.held_bytes.get(part) or [small.peak_bytes] * (len(part.not_small) + 1)
        played = replay(pool, part, inherited, map(pool.small_pool_holds, held))
        pool.small_pool_holds(at_end)
        return played

    try:
        for _ in play_through(_LimitedPool(limit_bytes), parts, play):
            pass
    except _LimitReachedError:
        return False
    return True


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
