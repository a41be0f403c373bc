"""One meter for a run: what it gave, how long it took, what memory it needed."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from .card import CardReading, CardWatch
from .memory import Memory, MemoryReading

Result = TypeVar("Result")
Tick = Callable[[], None]


class WallClock:
    """Times one run that ticks at the end of each step or prompt: for work that is done when the call returns."""

    def start(self) -> None:
        """Begin."""
        self._began = time.perf_counter()
        self._marks = [self._mark()]

    def tick(self) -> None:
        """Mark the end of one step or prompt."""
        self._marks.append(self._mark())

    def stop(self) -> tuple[float, tuple[float, ...]]:
        """Seconds of the whole run, and of each step or prompt."""
        seconds = time.perf_counter() - self._began
        return seconds, tuple(self._seconds(begin, end) for begin, end in pairwise(self._marks))

    def _mark(self) -> Any:
        return time.perf_counter()

    def _seconds(self, begin: Any, end: Any) -> float:
        seconds: float = end - begin
        return seconds


class CudaClock(WallClock):
    """For work that is queued on a GPU.

    The whole run is wall time between two synchronisations. Ticks are CUDA events in the queue, so
    taking them never makes the CPU wait.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda

    def start(self) -> None:
        """Begin once the device is idle."""
        self._cuda.synchronize()
        super().start()

    def stop(self) -> tuple[float, tuple[float, ...]]:
        """Seconds of the whole run, and of each step or prompt, once the device is idle again."""
        self._cuda.synchronize()
        return super().stop()

    def _mark(self) -> Any:
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def _seconds(self, begin: Any, end: Any) -> float:
        seconds: float = begin.elapsed_time(end) / 1000
        return seconds


@dataclass(frozen=True)
class Measurement(Generic[Result]):
    """One measured run."""

    result: Result
    """What the work returned."""
    seconds: float
    """Wall time of the whole run, device-synchronised."""
    seconds_each: tuple[float, ...]
    """Time of each step or prompt, warm-up included."""
    memory: MemoryReading
    """Memory of the run."""
    card: CardReading | None = None
    """How the card was meanwhile; None on the CPU."""


@dataclass(frozen=True)
class Steady:
    """The steady state: steps or prompts after the warm-up."""

    median_seconds: float
    """Median time of one."""
    iqr_seconds: float
    """Interquartile range, inclusive method; 0 for a single one."""


def measure(
    work: Callable[[Tick], Result],
    clock: WallClock,
    memory: Memory,
    card: CardWatch | None = None,
    watch: Tick | None = None,
) -> Measurement[Result]:
    """Run `work`, giving it the function to call after each step or prompt; `watch` is called after each, too."""
    memory.start()
    if card:
        card.start()
    clock.start()
    result = work(_in_a_row(clock.tick, card.tick if card else None, watch))
    seconds, seconds_each = clock.stop()
    return Measurement(result, seconds, seconds_each, memory.stop(), card.stop() if card else None)


def timed(
    work: Callable[[Tick], Result], clock: WallClock, watch: Tick | None = None
) -> tuple[Result, tuple[float, ...]]:
    """Run `work` with the clock alone: what it gives, and the seconds of each step or prompt."""
    clock.start()
    result = work(_in_a_row(clock.tick, watch))
    return result, clock.stop()[1]


def steady(seconds_each: tuple[float, ...], warm_up: int) -> Steady | None:
    """Median and spread without the first `warm_up`; None if nothing is left."""
    rest = seconds_each[warm_up:]
    if not rest:
        return None
    quartiles = statistics.quantiles(rest, n=4, method="inclusive") if len(rest) > 1 else (0.0, 0.0, 0.0)
    return Steady(statistics.median(rest), quartiles[2] - quartiles[0])


def _in_a_row(*ticks: Tick | None) -> Tick:
    """Calls those that there are, one after the other."""
    wanted = [tick for tick in ticks if tick]

    def tick() -> None:
        for each in wanted:
            each()

    return tick
