"""Time: the whole run and each step or prompt, synchronised with the device."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, Protocol


class Clock(Protocol):
    """Times one run that ticks at the end of each step or prompt."""

    def start(self) -> None:
        """Begin."""

    def tick(self) -> None:
        """Mark the end of one step or prompt."""

    def stop(self) -> tuple[float, tuple[float, ...]]:
        """Seconds of the whole run, and of each step or prompt."""


class WallClock:
    """For work that is done when the call returns, as on the CPU."""

    def start(self) -> None:
        """Begin."""
        self._marks = [time.perf_counter()]

    def tick(self) -> None:
        """Mark the end of one step or prompt."""
        self._marks.append(time.perf_counter())

    def stop(self) -> tuple[float, tuple[float, ...]]:
        """Seconds of the whole run, and of each step or prompt."""
        seconds = time.perf_counter() - self._marks[0]
        return seconds, tuple(end - begin for begin, end in pairwise(self._marks))


class CudaClock:
    """For work that is queued on a GPU.

    The whole run is wall time between two synchronisations. Ticks are CUDA events in the queue, so
    taking them never makes the CPU wait.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda

    def start(self) -> None:
        """Begin once the device is idle."""
        self._cuda.synchronize()
        self._began = time.perf_counter()
        self._events = [self._event()]

    def tick(self) -> None:
        """Mark the end of one step or prompt."""
        self._events.append(self._event())

    def stop(self) -> tuple[float, tuple[float, ...]]:
        """Seconds of the whole run, and of each step or prompt, once the device is idle again."""
        self._cuda.synchronize()
        seconds = time.perf_counter() - self._began
        return seconds, tuple(begin.elapsed_time(end) / 1000 for begin, end in pairwise(self._events))

    def _event(self) -> Any:
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event
