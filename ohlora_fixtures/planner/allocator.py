"""Allocations and frees in order, and PyTorch's CUDA caching allocator as plain bookkeeping."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

import numpy as np


class Category(IntEnum):
    """What a block of memory is for."""

    BASE_WEIGHTS = 0
    ADAPTERS = 1
    GRADIENTS = 2
    OPTIMIZER = 3
    ACTIVATIONS = 4
    LOGITS_AND_LOSS = 5
    WORKSPACE = 6


EMPTY_CACHE = 0
"""The event that gives cached segments back, as `torch.cuda.empty_cache` does."""


@dataclass
class Trace:
    """A sequence of allocations and frees."""

    events: array[int] = field(default_factory=lambda: array("q"))
    """A size in bytes for an allocation, `-1 - id` for the free of an allocation, or `EMPTY_CACHE`.

    Ids count allocations from 0.
    """
    categories: bytearray = field(default_factory=bytearray)
    """`Category` of each allocation, by id."""

    def allocate(self, size_bytes: int, category: Category) -> int:
        """Append an allocation and return its id."""
        self.events.append(size_bytes)
        self.categories.append(category)
        return len(self.categories) - 1

    def free(self, allocation: int) -> None:
        """Append the free of an allocation."""
        self.events.append(-1 - allocation)

    def empty_cache(self) -> None:
        """Append a release of the cached segments."""
        self.events.append(EMPTY_CACHE)

    def until(self, position: int) -> Trace:
        """A copy of what came before a position in its events."""
        events = self.events[:position]
        return Trace(events, self.categories[: int((np.frombuffer(events, dtype=np.int64) > 0).sum())])


MIN_BLOCK_BYTES = 512
"""`kMinBlockSize`: every request is rounded up to a multiple of it."""
SMALL_REQUEST_MAX_BYTES = 1 << 20
"""`kSmallSize`: requests up to this size are served from the small pool."""
SMALL_SEGMENT_BYTES = 2 << 20
"""`kSmallBuffer`: size of a segment of the small pool."""
LARGE_SEGMENT_BYTES = 20 << 20
"""`kLargeBuffer`: size of a segment for large requests below `LARGE_REQUEST_MIN_BYTES`."""
LARGE_REQUEST_MIN_BYTES = 10 << 20
"""`kMinLargeAlloc`: requests from this size on get a segment of their own size ..."""
LARGE_ROUND_BYTES = 2 << 20
"""`kRoundLarge`: ... rounded up to a multiple of this."""

_ADDRESS_BITS = 52
_ADDRESS_MASK = (1 << _ADDRESS_BITS) - 1


class Pool:
    """One of the two pools: its segments, and the blocks they are split into.

    A block is known by its address. Segments get rising addresses with a gap between them: the real ones
    are unknown, and they decide only between free blocks of the very same size.
    """

    def __init__(self, *, is_small: bool) -> None:
        self.is_small = is_small
        """Whether it serves requests up to 1 MiB."""
        self.allocated_bytes = 0
        """In live blocks, rounding and unsplit rests included."""
        self.reserved_bytes = 0
        """In segments."""
        self.held_bytes = 0
        """Of the small pool: in segments that are not wholly free."""
        self.peak_reserved_bytes = 0
        """Most `reserved_bytes` so far."""
        self._least_rest_bytes = MIN_BLOCK_BYTES if is_small else SMALL_REQUEST_MAX_BYTES + 1
        """A block is split where at least so much is left (`should_split`)."""
        self._next_address = LARGE_ROUND_BYTES
        self._segments: dict[int, int] = {}
        self._live: dict[int, int] = {}
        self._free: dict[int, int] = {}
        self._free_ending_at: dict[int, int] = {}
        self._free_keys: list[int] = []  # size and address in one int, so that sorting them sorts by both

    def malloc(self, size_bytes: int) -> int:
        """Allocate at least one byte; returns the block's address."""
        addresses: list[int | None] = []
        self.play([-(-size_bytes // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES], addresses)
        assert addresses[0] is not None
        return addresses[0]

    def free(self, address: int) -> None:
        """Make a block free and join it with free neighbours.

        Raises KeyError for an address at which no live block begins.
        """
        self.play([-1], [address])

    def play(self, events: Iterable[int], addresses: list[int | None]) -> list[int]:  # noqa: C901 - calls cost as much
        """Play events in order; a run has hundreds of thousands.

        An event is the size of a block in bytes, a multiple of `MIN_BLOCK_BYTES`, whose address is appended to
        `addresses`; or `-1 - n` for the free of the n-th of these, where that is not None; or `EMPTY_CACHE`. Returns
        the pool's level after each: `held_bytes` of the small pool, `allocated_bytes` of the large one. Raises KeyError
        for the free of what is not live.
        """
        is_small, least_rest_bytes = self.is_small, self._least_rest_bytes
        live, free, ending_at, keys = self._live, self._free, self._free_ending_at, self._free_keys
        allocated, held = self.allocated_bytes, self.held_bytes
        levels = []
        for event in events:
            if event > 0:
                position = bisect_left(keys, event << _ADDRESS_BITS)
                if position < len(keys):
                    key = keys.pop(position)
                    address, found = key & _ADDRESS_MASK, key >> _ADDRESS_BITS
                    del free[address]
                else:
                    address, found = self._new_segment(event)
                if found == SMALL_SEGMENT_BYTES:
                    held += found
                rest = found - event
                if rest >= least_rest_bytes:
                    begin = address + event
                    free[begin] = rest
                    ending_at[begin + rest] = begin
                    insort(keys, rest << _ADDRESS_BITS | begin)
                    found = event
                else:
                    ending_at.pop(address + found, None)
                live[address] = found
                allocated += found
                addresses.append(address)
            elif event == EMPTY_CACHE:
                self.empty_cache()
            elif (freed := addresses[-1 - event]) is not None:
                address = freed
                size = live.pop(address)
                allocated -= size
                end = address + size
                following = free.pop(end, 0)
                if following:
                    del keys[bisect_left(keys, following << _ADDRESS_BITS | end)]
                    end += following
                if address in ending_at:
                    preceding = ending_at.pop(address)
                    del keys[bisect_left(keys, address - preceding << _ADDRESS_BITS | preceding)]
                    address = preceding
                free[address] = size = end - address
                ending_at[end] = address
                insort(keys, size << _ADDRESS_BITS | address)
                if size == SMALL_SEGMENT_BYTES:
                    held -= size
            levels.append(held if is_small else allocated)
        self.allocated_bytes, self.held_bytes = allocated, held
        return levels

    def empty_cache(self) -> None:
        """Give wholly free segments back to the device."""
        for address, size in list(self._segments.items()):
            if self._free.get(address) == size:
                del self._free[address], self._free_ending_at[address + size], self._segments[address]
                self._free_keys.remove(size << _ADDRESS_BITS | address)
                self.reserved_bytes -= size

    def before_segment(self, segment_bytes: int) -> None:
        """Called before a segment is taken from the device: where that is short of memory, the place to make room."""

    def layout(self) -> tuple[object, ...]:
        """All that decides what the pool does next: two equal layouts behave the same ever after."""
        return tuple(self._free_keys), frozenset(self._live), self.reserved_bytes

    def copy(self) -> Self:
        """An independent pool in the same state; its peak begins at the present level."""
        twin = copy(self)
        twin.peak_reserved_bytes = self.reserved_bytes
        twin._segments, twin._live = self._segments.copy(), self._live.copy()
        twin._free, twin._free_ending_at = self._free.copy(), self._free_ending_at.copy()
        twin._free_keys = self._free_keys.copy()
        return twin

    def _new_segment(self, size: int) -> tuple[int, int]:
        if self.is_small:
            segment_bytes = SMALL_SEGMENT_BYTES
        elif size < LARGE_REQUEST_MIN_BYTES:
            segment_bytes = LARGE_SEGMENT_BYTES
        else:
            segment_bytes = -(-size // LARGE_ROUND_BYTES) * LARGE_ROUND_BYTES
        self.before_segment(segment_bytes)
        address = self._next_address
        self._segments[address] = segment_bytes
        self._next_address += segment_bytes + MIN_BLOCK_BYTES
        self.reserved_bytes += segment_bytes
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        return address, segment_bytes
