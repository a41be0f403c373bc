"""pytest-xdist: which GPU and which cases each worker gets, and what its controller tells it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from . import cases
from .options import SETTINGS

_TOLD = "ohlora"
"""Where it stands among what pytest-xdist hands to a worker."""


@dataclass(frozen=True)
class Worker:
    """What a worker process knows from its controller."""

    place: int
    """Which of the visible GPUs is its own, counted from 0."""
    kept: list[str]


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


def candidate_scheduling(config: pytest.Config, log: Any) -> Any:
    """pytest-xdist's `--dist loadgroup`, with two things it does not do by itself.

    It groups by a suffix of the node id, which pytest-xdist 3.8 cannot put there with pytest 9.2; so a candidate's
    cases are known here by their ids. And it hands a case that ended its worker to the next worker, and the next.
    """
    from xdist.scheduler import LoadGroupScheduling

    settings = config.stash[SETTINGS]

    class CandidateScheduling(LoadGroupScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            """The group that an item with this id belongs to."""
            case = cases.parsed(nodeid, settings)
            return str(case.candidate if case else super()._split_scope(nodeid))

        def remove_node(self, node: Any) -> str | None:
            """When a worker is gone: the case it died of, if it did; the rest of its cases are handed out anew."""
            for unit in self.assigned_work[node].values():
                for nodeid, is_completed in unit.items():
                    if not is_completed:
                        unit[nodeid] = True
                        super().remove_node(node)
                        return str(nodeid)
            super().remove_node(node)
            return None

    return CandidateScheduling(config, log)
