"""pytest-xdist's workers: which GPU each gets, and what the controller tells them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

_TOLD = "ohlora"
"""Where it stands among what pytest-xdist hands to a worker."""


@dataclass(frozen=True)
class Worker:
    """What a worker process knows from its controller."""

    place: int
    """Which of the visible GPUs is its own, counted from 0."""
    kept: list[str]
    """The ids of the cases that are not run again."""


class Places:
    """Which GPU each worker gets: the first free one, so that a replacement takes over that of the worker that died."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def give(self, worker: str) -> int:
        """The place of a worker that is about to start."""
        self._taken[worker] = next(place for place in range(len(self._taken) + 1) if place not in self._taken.values())
        return self._taken[worker]

    def free(self, worker: str) -> None:
        """Take back the place of a worker that has ended."""
        self._taken.pop(worker, None)


def tell(workerinput: dict[str, Any], place: int, kept: Iterable[str]) -> None:
    """In the controller: put what a worker must know into what pytest-xdist hands to it."""
    workerinput[_TOLD] = asdict(Worker(place, sorted(kept)))


def this_worker(config: pytest.Config) -> Worker | None:
    """What this process knows as a worker; None if it is none."""
    told = getattr(config, "workerinput", None)
    return None if told is None else Worker(**told[_TOLD])
