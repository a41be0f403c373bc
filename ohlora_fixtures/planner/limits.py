"""What a run needs: the least memory within which the allocator gets through, both pools on one card."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import inf

from .allocator import LARGE_ROUND_BYTES, Pool
from .parts import Addresses, Part
from .small_pool import SmallPool, longest_of

FEW_STEPS = 4
"""A step that may set what a run needs is played with so many steps, itself the last."""


def needed_bytes(parts: Sequence[Part], small: SmallPool, low_bytes: int, high_bytes: int) -> int:
    """Least limit, to 2 MiB, under which a run completes: at least `low_bytes`, at most `high_bytes`.

    Sought by halving on the longest step and a few before it. Where the whole run fails under what is found, the step
    at which it fails is added to them; the rest is sought on the whole run.
    """
    low, high = -(-low_bytes // LARGE_ROUND_BYTES) - 1, -(-high_bytes // LARGE_ROUND_BYTES)
    plays = LimitedPlays(small)

    @cache
    def failing(limit: int, numbers: tuple[int, ...]) -> int | None:
        return plays.failing_part([parts[number] for number in numbers], limit * LARGE_ROUND_BYTES)

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


_Start = tuple[object, Addresses]
"""The large pool's layout before a part, and what the part inherits."""


@dataclass(frozen=True)
class _Outcome:
    """How a part went under a limit, and would go under others that let the same segments be taken."""

    at_least_bytes: float
    """What was together in segments at most: with a lower limit it had gone otherwise."""
    below_bytes: float
    """The least that was refused: from there on it would have gone otherwise."""
    end: _Start | None
    """What the next part starts from; None where this one did not get through."""


class LimitedPlays:
    """Plays of parts through both pools under any limits; what is known of one limit is used for others."""

    def __init__(self, small: SmallPool) -> None:
        self._small = small
        self._begin: _Start = (_BothPools().layout(), ())
        self._pools: dict[_Start, _BothPools] = {self._begin: _BothPools()}
        self._known: dict[tuple[_Start, Part], list[_Outcome]] = defaultdict(list)

    def failing_part(self, parts: Sequence[Part], limit_bytes: float) -> int | None:
        """Which part of a run does not get through under a limit; None if all do."""
        return next((number for number, each in enumerate(self._play(parts, limit_bytes)) if each.end is None), None)

    def most_together_bytes(self, parts: Sequence[Part]) -> float:
        """Most that both pools have in segments at once, with room enough."""
        return max(each.at_least_bytes for each in self._play(parts, inf))

    def _play(self, parts: Sequence[Part], limit_bytes: float) -> Iterator[_Outcome]:
        start: _Start | None = self._begin
        for part in parts:
            assert start is not None
            known = self._known[start, part]
            outcome = next((each for each in known if each.at_least_bytes <= limit_bytes < each.below_bytes), None)
            if outcome is None:
                outcome = self._outcome(start, part, limit_bytes)
                known.append(outcome)
            yield outcome
            start = outcome.end

    def _outcome(self, start: _Start, part: Part, limit_bytes: float) -> _Outcome:
        pool = self._pools[start].copy()
        pool.begin(limit_bytes)
        codes, addresses = part.large.codes, part.large.addresses(start[1])
        end: _Start | None = None
        with suppress(_LimitReachedError):
            for held_bytes, first, last in self._small.beside(part):
                pool.small_pool_holds(held_bytes)
                pool.play(codes[first:last].tolist(), addresses)
            end = pool.layout(), part.large.left_behind(addresses)
            self._pools.setdefault(end, pool)
        return _Outcome(pool.together_bytes, pool.refused_bytes, end)


class _LimitReachedError(Exception):
    """A pool needs a segment beyond the limit."""


class _BothPools(Pool):
    """The large pool on a card with a limit, and what the small pool takes beside it.

    Where the limit is reached, both give wholly free segments back and it is tried again, as `malloc` does by
    `release_cached_blocks` (`c10/cuda/CUDACachingAllocator.cpp`).
    """

    def __init__(self) -> None:
        super().__init__(is_small=False)
        self._small_bytes = self._small_held_bytes = 0
        self.begin(inf)

    def begin(self, limit_bytes: float) -> None:
        """Play under this limit from now on."""
        self._limit_bytes = limit_bytes
        self.together_bytes = self.reserved_bytes + self._small_bytes
        """Most in segments of both pools since then."""
        self.refused_bytes = inf
        """Least that would have been in segments of both, and was refused."""

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
        if not self._has_room(segment_bytes):
            self.empty_cache()
            if not self._has_room(segment_bytes):
                raise _LimitReachedError

    def _has_room(self, segment_bytes: int) -> bool:
        together_bytes = self.reserved_bytes + self._small_bytes + segment_bytes
        if together_bytes > self._limit_bytes:
            self.refused_bytes = min(self.refused_bytes, together_bytes)
            return False
        self.together_bytes = max(self.together_bytes, together_bytes)
        return True

    def empty_cache(self) -> None:
        """Give wholly free segments of both pools back."""
        super().empty_cache()
        self._small_bytes = min(self._small_bytes, self._small_held_bytes)

    def layout(self) -> tuple[object, ...]:
        """As of any pool."""
        return *super().layout(), self._small_bytes
