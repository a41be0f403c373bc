"""What a run needs: the least memory within which the allocator gets through, both pools on one card."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import inf

from .allocator import LARGE_ROUND_BYTES, Pool
from .parts import Addresses, Part, play_through, replay
from .small_pool import SmallPool, longest_of

FEW_STEPS = 4
"""A step that may set what a run needs is played with so many steps, itself the last."""


def needed_bytes(parts: Sequence[Part], small: SmallPool, low_bytes: int, high_bytes: int) -> int:
    """Least limit, to 2 MiB, under which a run completes: at least `low_bytes`, at most `high_bytes`.

    Sought by halving on the longest step and a few before it. Where the whole run fails under what is found, the step
    at which it fails is added to them; the rest is sought on the whole run.
    """
    low, high = -(-low_bytes // LARGE_ROUND_BYTES) - 1, -(-high_bytes // LARGE_ROUND_BYTES)

    @cache
    def failing(limit: int, numbers: tuple[int, ...]) -> int | None:
        return failing_part([parts[number] for number in numbers], small, limit * LARGE_ROUND_BYTES)

    def search(numbers: tuple[int, ...], above: int, guess: int | None) -> int:
        def is_enough(limit: int) -> bool:
            return failing(limit, numbers) is None

        if guess is None:
            return bisect_left(range(high), x=True, lo=above + 1, key=is_enough)
        return least(is_enough, above, high, guess)

    whole = tuple(range(len(parts)))
    few, above, found = {0}, low, low
    failed_at: int | None = longest_of(parts)
    while failed_at is not None and not few.issuperset(window := _window(failed_at)):
        few.update(window)
        found = search(tuple(sorted(few)), above, None if above == low else found + 1)
        failed_at, above = failing(found, whole), found
    return LARGE_ROUND_BYTES * search(whole, low, found)


def _window(step: int) -> range:
    return range(max(1, step - FEW_STEPS + 1), step + 1)


def least(is_enough: Callable[[int], bool], low: int, high: int, guess: int) -> int:
    """The least number above `low` that is enough, at most `high`, sought from a guess in growing strides."""
    is_above = is_enough(guess)
    edge, stride = guess, -1 if is_above else 1
    while low < edge + stride < high and is_enough(edge + stride) == is_above:
        edge, stride = edge + stride, 2 * stride
    low, high = (max(low, edge + stride), edge) if is_above else (edge, min(high, edge + stride))
    return bisect_left(range(high), x=True, lo=low + 1, key=is_enough)


def failing_part(parts: Sequence[Part], small: SmallPool, limit_bytes: float) -> int | None:
    """Which part of a run does not get through under a limit; None if all do."""
    played = 0
    try:
        for _ in _play_both(parts, small, limit_bytes):
            played += 1
    except _LimitReachedError:
        return played
    return None


def most_together_bytes(parts: Sequence[Part], small: SmallPool) -> int:
    """Most that both pools have in segments at once, with room enough."""
    most = []
    for _ in _play_both(parts, small, inf, lambda pool: most.append(pool.most_together_bytes)):
        pass
    return max(most)


def _play_both(
    parts: Sequence[Part], small: SmallPool, limit_bytes: float, after: Callable[[_BothPools], None] = lambda _: None
) -> Iterator[tuple[_BothPools, Addresses, list[int]]]:
    def play(pool: _BothPools, part: Part, inherited: Addresses) -> tuple[list[int], Addresses]:
        *held, at_end = small.held_bytes.get(part) or [small.peak_bytes] * (len(part.not_small) + 1)
        played = replay(pool, part, inherited, map(pool.small_pool_holds, held))
        pool.small_pool_holds(at_end)
        after(pool)
        return played

    return play_through(_BothPools(limit_bytes), parts, play)


class _LimitReachedError(Exception):
    """A pool needs a segment beyond the limit."""


class _BothPools(Pool):
    """The large pool on a card with a limit, and what the small pool takes beside it.

    Where the limit is reached, both give wholly free segments back and it is tried again, as `malloc` does by
    `release_cached_blocks` (`c10/cuda/CUDACachingAllocator.cpp`).
    """

    def __init__(self, limit_bytes: float) -> None:
        super().__init__(is_small=False)
        self.most_together_bytes = 0
        """Most in segments of both pools so far."""
        self._limit_bytes = limit_bytes
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
        together_bytes = self.reserved_bytes + self._small_bytes + segment_bytes
        if together_bytes > self._limit_bytes:
            self.empty_cache()
            together_bytes = self.reserved_bytes + self._small_bytes + segment_bytes
            if together_bytes > self._limit_bytes:
                raise _LimitReachedError
        self.most_together_bytes = max(self.most_together_bytes, together_bytes)

    def empty_cache(self) -> None:
        """Give wholly free segments of both pools back."""
        super().empty_cache()
        self._small_bytes = min(self._small_bytes, self._small_held_bytes)

    def layout(self) -> tuple[object, ...]:
        """As of any pool."""
        return *super().layout(), self._small_bytes
