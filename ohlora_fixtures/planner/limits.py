"""What a run needs: the least memory within which the allocator gets through, both pools on one card."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import inf

from .allocator import LARGE_ROUND_BYTES, Pool
from .parts import Part
from .small_pool import SmallPool, longest_of
from .states import EMPTY_LARGE, State

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


_Start = tuple[State, int]
"""The large pool before a part, and what the small pool has in segments."""


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
        self._known: dict[tuple[_Start, Part], list[_Outcome]] = {}

    def failing_part(self, parts: Sequence[Part], limit_bytes: float) -> int | None:
        """Which part of a run does not get through under a limit; None if all do."""
        return next((number for number, each in enumerate(self._play(parts, limit_bytes)) if each.end is None), None)

    def most_together_bytes(self, parts: Sequence[Part]) -> float:
        """Most that both pools have in segments at once, with room enough."""
        return max(each.at_least_bytes for each in self._play(parts, inf))

    def _play(self, parts: Sequence[Part], limit_bytes: float) -> Iterator[_Outcome]:
        start: _Start | None = (EMPTY_LARGE, 0)
        for part in parts:
            assert start is not None
            if (start, part) not in self._known:
                self._known[start, part] = [self._with_room(start, part)]
            known = self._known[start, part]
            outcome = next((each for each in known if each.at_least_bytes <= limit_bytes < each.below_bytes), None)
            if outcome is None:
                outcome = self._under_limit(start, part, limit_bytes)
                known.append(outcome)
            yield outcome
            start = outcome.end

    def _with_room(self, start: _Start, part: Part) -> _Outcome:
        """With room enough the pools are played apart; the small one grows before the large one does."""
        state, small_bytes = start
        outcome = state.after(part.large.requests)
        large_bytes, held_bytes = state.pool.reserved_bytes, 0
        most = large_bytes + small_bytes
        held = ((first, 0, held_bytes) for held_bytes, first, _ in self._small.beside(part))
        for _, is_large, value in sorted([*held, *((place, 1, change) for place, change in outcome.changes)]):
            if not is_large:
                held_bytes = value
                small_bytes = max(small_bytes, held_bytes)
            else:
                large_bytes += value
                if value <= 0:  # the cache was emptied
                    small_bytes = min(small_bytes, held_bytes)
            most = max(most, large_bytes + small_bytes)
        return _Outcome(most, inf, (outcome.state, small_bytes))

    def _under_limit(self, start: _Start, part: Part, limit_bytes: float) -> _Outcome:
        state, small_bytes = start
        requests, pool = part.large.requests, state.pool.copy()
        addresses = requests.addresses(state.left)
        card = _Card(pool, small_bytes, limit_bytes)
        end: _Start | None = None
        with suppress(_LimitReachedError):
            for held_bytes, first, last in self._small.beside(part):
                card.small_pool_holds(held_bytes)
                pool.play(requests.codes[first:last], addresses)
            end = state.end(requests, pool.copy(), addresses), card.small_bytes
        return _Outcome(card.together_bytes, card.refused_bytes, end)


class _LimitReachedError(Exception):
    """A pool needs a segment beyond the limit."""


class _Card:
    """A card with a limit, on which the large pool is played and the small one takes what it takes.

    Where the limit is reached, both give wholly free segments back and it is tried again, as `malloc` does by
    `release_cached_blocks` (`c10/cuda/CUDACachingAllocator.cpp`).
    """

    def __init__(self, large: Pool, small_bytes: int, limit_bytes: float) -> None:
        self._large = large
        large.device = self
        self.small_bytes = small_bytes
        """In segments of the small pool."""
        self._small_held_bytes = 0
        self._limit_bytes = limit_bytes
        self.together_bytes = large.reserved_bytes + small_bytes
        """Most in segments of both pools."""
        self.refused_bytes = inf
        """Least that would have been in segments of both, and was refused."""

    def small_pool_holds(self, held_bytes: int) -> None:
        """Let the small pool have that much in segments that are not wholly free.

        Raises _LimitReachedError where that is too much.
        """
        self._small_held_bytes = held_bytes
        if held_bytes > self.small_bytes:
            self.before_segment(held_bytes - self.small_bytes)
            self.small_bytes = held_bytes

    def before_segment(self, segment_bytes: int) -> None:
        """Make room for a segment of either pool.

        Raises _LimitReachedError where there is none.
        """
        if not self._has_room(segment_bytes):
            self._large.empty_cache()
            if not self._has_room(segment_bytes):
                raise _LimitReachedError

    def emptied(self) -> None:
        """Let the small pool give back its wholly free segments, too."""
        self.small_bytes = min(self.small_bytes, self._small_held_bytes)

    def _has_room(self, segment_bytes: int) -> bool:
        together_bytes = self._large.reserved_bytes + self.small_bytes + segment_bytes
        if together_bytes > self._limit_bytes:
            self.refused_bytes = min(self.refused_bytes, together_bytes)
            return False
        self.together_bytes = max(self.together_bytes, together_bytes)
        return True
