"""A pool's states between parts, and what parts make of them: what is alike is played once.

The large pool has few blocks and soon comes back to a layout it has been in; a part that begins in such a layout ends
as it ended then. Variants often differ in small blocks alone, and then share all that the large pool does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from .allocator import Pool
from .parts import Addresses, Requests


@dataclass(frozen=True, eq=False)
class Outcome:
    """How requests went on a card with room enough."""

    state: State
    """The one after them."""
    levels: NDArray[np.int64]
    """After each, as `Pool.play` returns them."""
    changes: list[tuple[int, int]]
    """As `Pool.changes`."""
    peak_reserved_bytes: int
    """Most in segments."""


class State:
    """A pool between two parts."""

    def __init__(self, pool: Pool, left: Addresses = ()) -> None:
        self.pool = pool
        """Not to be played itself."""
        self.left = left
        """Addresses of what the part before has left to the next one."""
        self._after: WeakKeyDictionary[Requests, Outcome] = WeakKeyDictionary()
        self._ends: WeakKeyDictionary[Requests, set[State]] = WeakKeyDictionary()

    def after(self, requests: Requests) -> Outcome:
        """What requests come to."""
        if requests not in self._after:
            pool, addresses = self.pool.copy(), requests.addresses(self.left)
            levels = np.frombuffer(pool.play(requests.codes, addresses), dtype=np.int64)
            state = self.end(requests, pool, addresses)
            self._after[requests] = Outcome(state, levels, pool.changes, pool.peak_reserved_bytes)
        return self._after[requests]

    def end(self, requests: Requests, pool: Pool, addresses: Sequence[int | None]) -> State:
        """The state of a pool that has played requests from here, and is not played any more.

        It is known as long as this one and the requests are: plays of other variants and limits come to it again.
        """
        left = requests.left_behind(addresses)
        key = pool.is_small, pool.layout(), left
        state = _STATES.get(key) or _STATES.setdefault(key, State(pool, left))
        self._ends.setdefault(requests, set()).add(state)
        return state


_STATES: WeakValueDictionary[tuple[bool, object, Addresses], State] = WeakValueDictionary()
EMPTY_SMALL, EMPTY_LARGE = State(Pool(is_small=True)), State(Pool(is_small=False))
"""The pools before a run."""
