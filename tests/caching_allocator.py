"""PyTorch's CUDA caching allocator as a whole, made of the planner's pools: to hold against the real one."""

from math import inf

from ohlora_fixtures.planner.allocator import SMALL_REQUEST_MAX_BYTES, Pool


class OutOfMemoryError(Exception):
    """The limit does not allow for a segment."""


class CachingAllocator:
    """Both pools together, as `torch.cuda.memory_stats` sees them."""

    def __init__(self, limit_bytes: float = inf) -> None:
        self._limit_bytes = limit_bytes
        self.small, self.large = Pool(is_small=True), Pool(is_small=False)
        self.small.device = self.large.device = self
        self.peak_allocated_bytes = 0
        """Most bytes in live blocks so far (`allocated_bytes.all.peak`)."""
        self.peak_reserved_bytes = 0
        """Most bytes in segments so far (`reserved_bytes.all.peak`)."""

    def malloc(self, size_bytes: int) -> int:
        """Allocate at least one byte; returns a handle.

        Raises OutOfMemoryError where the limit does not allow for it, once both pools have given back what they can.
        """
        pool = self.small if size_bytes <= SMALL_REQUEST_MAX_BYTES else self.large
        handle = pool.malloc(size_bytes) << 1 | pool.is_small
        self.peak_allocated_bytes = max(self.peak_allocated_bytes, self.allocated_bytes)
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        return handle

    def free(self, handle: int) -> None:
        """Free what a handle stands for.

        Raises KeyError for one that is not live.
        """
        (self.small if handle & 1 else self.large).free(handle >> 1)

    def emptied(self) -> None:
        """Nothing is kept of that."""

    def empty_cache(self) -> None:
        """Give wholly free segments back to the device."""
        self.small.empty_cache()
        self.large.empty_cache()

    @property
    def allocated_bytes(self) -> int:
        """Bytes in live blocks (`allocated_bytes.all.current`)."""
        return self.small.allocated_bytes + self.large.allocated_bytes

    @property
    def reserved_bytes(self) -> int:
        """Bytes in segments (`reserved_bytes.all.current`)."""
        return self.small.reserved_bytes + self.large.reserved_bytes

    def before_segment(self, segment_bytes: int) -> None:
        """Give back what can be, where the limit is reached."""
        if self.reserved_bytes + segment_bytes > self._limit_bytes:
            self.empty_cache()
            if self.reserved_bytes + segment_bytes > self._limit_bytes:
                raise OutOfMemoryError
