"""A run as its memory sees it: allocations and frees, in order."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import IntEnum


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
