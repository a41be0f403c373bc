"""How long a session still takes, estimated from the cases that ran."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from . import cases

if TYPE_CHECKING:
    import pytest

_MINUTE, _MINUTES_OF_AN_HOUR = 60, 60
_ROUGHLY = 5
"""Minutes that an estimate of hours is rounded to."""


@dataclass(frozen=True)
class Work:
    """What a case's time depends on."""

    kind: str
    """Cases of one kind take alike."""
    size: float = 1.0
    """How long beside others of its kind."""


def work_of(case: pytest.Item, *, is_full_size: bool) -> Work:
    """A case's kind: its workload, or for a plan, of which one rank does the work of all, its variant, too.

    Measured at full size it takes as long as its model is large; mini replicas are alike.
    """
    found = cases.case_of(case)
    if found.is_planned:
        return Work(f"plan {found.variant}")
    return Work(found.workload, cases.candidate_of(case).parameters if is_full_size else 1.0)


class Remaining:
    """What is left of a session; it is told when a case begins and ends."""

    def __init__(self, works: Mapping[str, Work]) -> None:
        """`works` holds every case of the session, by its node id."""
        self._works = works
        self._waiting: dict[str, float] = {}
        """By kind, the size of all cases that have not begun."""
        for work in works.values():
            self._waiting[work.kind] = self._waiting.get(work.kind, 0) + work.size
        self._found: dict[str, list[float]] = {}
        """By kind, the seconds of each case that has ended, by its size."""
        self._paces: dict[str, float] = {}
        """By kind, their median."""
        self._running: Work | None = None
        self._began = 0.0

    def begin(self, nodeid: str) -> None:
        """A case begins, loading included."""
        self._running, self._began = self._works.get(nodeid), time.perf_counter()
        if self._running:
            self._waiting[self._running.kind] -= self._running.size

    def end(self, *, is_typical: bool) -> None:
        """It has ended; the time of one that broke off says nothing of the others."""
        if self._running and is_typical:
            found = self._found.setdefault(self._running.kind, [])
            found.append((time.perf_counter() - self._began) / self._running.size)
            self._paces[self._running.kind] = median(found)
        self._running = None

    def seconds(self, own: float | None = None) -> float | None:
        """What the session still takes while a case runs; None as long as nothing is known of some kind of case.

        `own` is what the running case still takes by its own pace, if that is known.
        """
        running, so_far = self._running, time.perf_counter() - self._began
        if running is None:
            return None
        paces = dict(self._paces)
        if own is not None:
            paces.setdefault(running.kind, (so_far + own) / running.size)
        waiting = {kind: size for kind, size in self._waiting.items() if size > 0}
        if not paces.keys() >= {running.kind, *waiting}:
            return None
        left = max(own or 0.0, paces[running.kind] * running.size - so_far)
        return left + sum(paces[kind] * size for kind, size in waiting.items())


def in_words(seconds: float) -> str:
    """An estimate as it is told, no more exact than it is."""
    minutes = round(seconds / _MINUTE)
    if minutes < 1:
        return "under a minute left"
    if minutes < _MINUTES_OF_AN_HOUR:
        return f"about {minutes} min left"
    hours, minutes = divmod(_ROUGHLY * round(minutes / _ROUGHLY), _MINUTES_OF_AN_HOUR)
    return f"about {hours} h{f' {minutes} min' if minutes else ''} left"
