"""Allocations and frees in order, and PyTorch's CUDA caching allocator as plain bookkeeping."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray


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

Events: TypeAlias = "array[int] | NDArray[np.int64]"
"""Integers of 64 bits."""

_ADDRESS_BITS = 52
_ADDRESS_MASK = (1 << _ADDRESS_BITS) - 1


class Device(Protocol):
    """A device whose memory may be short."""

    def before_segment(self, segment_bytes: int) -> None:
        """Called before a pool takes a segment: the place to make room."""

    def emptied(self) -> None:
        """Called when a pool has emptied its cache."""


class Pool:
    """One of the two pools: its segments, and the blocks they are split into.

    A block is known by its address. Segments get rising addresses with a gap between them: the real ones
    are unknown, and they decide only between free blocks of the very same size.
    """

    def __init__(self, *, is_small: bool) -> None:
        self.is_small = is_small
        """Whether it serves requests up to 1 MiB."""
        self.device: Device | None = None
        """Where its segments come from; None has room enough."""
        self.allocated_bytes = 0
        """In live blocks, rounding and unsplit rests included."""
        self.reserved_bytes = 0
        """In segments."""
        self.held_bytes = 0
        """Of the small pool: in segments that are not wholly free."""
        self.peak_reserved_bytes = 0
        """Most `reserved_bytes` so far."""
        self.changes: list[tuple[int, int]] = []
        """Of the last `play`: at which of its events a segment was taken or the cache emptied, and what that added to
        `reserved_bytes`."""
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
        size = -(-size_bytes // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES
        position = bisect_left(self._free_keys, size << _ADDRESS_BITS)
        if position < len(self._free_keys):
            key = self._free_keys.pop(position)
            address, found = key & _ADDRESS_MASK, key >> _ADDRESS_BITS
            del self._free[address], self._free_ending_at[address + found]
        else:
            address, found = self._new_segment(size)
        if found == SMALL_SEGMENT_BYTES:
            self.held_bytes += found
        if found - size >= self._least_rest_bytes:
            self._add_free(address + size, found - size)
            found = size
        self._live[address] = found
        self.allocated_bytes += found
        return address

    def free(self, address: int) -> None:
        """Make a block free and join it with free neighbours.

        Raises KeyError for an address at which no live block begins.
        """
        size = self._live.pop(address)
        self.allocated_bytes -= size
        if address + size in self._free:
            size += self._take_free(address + size)
        if address in self._free_ending_at:
            address = self._free_ending_at[address]
            size += self._take_free(address)
        if size == SMALL_SEGMENT_BYTES:
            self.held_bytes -= size
        self._add_free(address, size)

    def play(self, events: Events, addresses: list[int | None]) -> bytes:
        """Play events in order.

        An event is the size of a block in bytes, a multiple of `MIN_BLOCK_BYTES`, whose address is appended to
        `addresses`; or `-1 - n` for the free of the n-th of these, where that is not None; or `EMPTY_CACHE`. Returns
        the pool's level after each, as int64: `held_bytes` of the small pool, `allocated_bytes` of the large one.
        Raises KeyError for the free of what is not live.
        """
        self.changes, levels = [], array("q")
        reserved = self.reserved_bytes
        for number, event in enumerate(events.tolist()):
            if event > 0:
                addresses.append(self.malloc(event))
            elif event == EMPTY_CACHE:
                self.empty_cache()
            elif (freed := addresses[-1 - event]) is not None:
                self.free(freed)
            if self.reserved_bytes != reserved or event == EMPTY_CACHE:
                self.changes.append((number, self.reserved_bytes - reserved))
                reserved = self.reserved_bytes
            levels.append(self.held_bytes if self.is_small else self.allocated_bytes)
        return levels.tobytes()

    def empty_cache(self) -> None:
        """Give wholly free segments back to the device."""
        for address, size in list(self._segments.items()):
            if self._free.get(address) == size:
                self._take_free(address)
                del self._segments[address]
                self.reserved_bytes -= size
        if self.device is not None:
            self.device.emptied()

    def layout(self) -> object:
        """All that decides what the pool does next: two equal layouts behave the same ever after."""
        return tuple(self._free_keys), frozenset(self._live), self.reserved_bytes

    def copy(self) -> Self:
        """An independent pool in the same state, with room enough; its peak begins at the present level."""
        twin = copy(self)
        twin.device = None
        twin.peak_reserved_bytes = self.reserved_bytes
        twin._segments, twin._live = self._segments.copy(), self._live.copy()
        twin._free, twin._free_ending_at = self._free.copy(), self._free_ending_at.copy()
        twin._free_keys = self._free_keys.copy()
        return twin

    def _add_free(self, address: int, size: int) -> None:
        self._free[address] = size
        self._free_ending_at[address + size] = address
        insort(self._free_keys, size << _ADDRESS_BITS | address)

    def _take_free(self, address: int) -> int:
        size = self._free.pop(address)
        del self._free_ending_at[address + size]
        del self._free_keys[bisect_left(self._free_keys, size << _ADDRESS_BITS | address)]
        return size

    def _new_segment(self, size: int) -> tuple[int, int]:
        if self.is_small:
            segment_bytes = SMALL_SEGMENT_BYTES
        elif size < LARGE_REQUEST_MIN_BYTES:
            segment_bytes = LARGE_SEGMENT_BYTES
        else:
            segment_bytes = -(-size // LARGE_ROUND_BYTES) * LARGE_ROUND_BYTES
        if self.device is not None:
            self.device.before_segment(segment_bytes)
        address = self._next_address
        self._segments[address] = segment_bytes
        self._next_address += segment_bytes + MIN_BLOCK_BYTES
        self.reserved_bytes += segment_bytes
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        return address, segment_bytes


def _fastest_pool() -> type[Pool]:
    """The compiled one, if it was compiled from the source that lies here."""
    with suppress(ImportError, OSError):
        from . import _pool  # type: ignore[attr-defined]

        if crc32(Path(__file__).with_name("_pool.c").read_bytes()) == _pool.SOURCE_CRC32:
            return _pool.Pool  # type: ignore[no-any-return]
    return Pool


PlainPool = Pool
"""The one above."""
if not TYPE_CHECKING:
    Pool = _fastest_pool()
