"""One meter for a run: what it gave, how long it took, what memory it needed."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .clock import Clock
from .memory import Memory, MemoryReading

Result = TypeVar("Result")
Tick = Callable[[], None]


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


@dataclass(frozen=True)
class Steady:
    """The steady state: steps or prompts after the warm-up."""

    median_seconds: float
    """Median time of one."""
    iqr_seconds: float
    """Interquartile range, inclusive method; 0 for a single one."""


def measure(
    work: Callable[[Tick], Result], clock: Clock, memory: Memory, watch: Tick | None = None
) -> Measurement[Result]:
    """Run `work`, giving it the function to call after each step or prompt; `watch` is called after each, too."""
    tick = clock.tick if watch is None else _both(clock.tick, watch)
    memory.start()
    clock.start()
    result = work(tick)
    seconds, seconds_each = clock.stop()
    return Measurement(result, seconds, seconds_each, memory.stop())


def steady(seconds_each: tuple[float, ...], warm_up: int) -> Steady | None:
    """Median and spread without the first `warm_up`; None if nothing is left."""
    rest = seconds_each[warm_up:]
    if not rest:
        return None
    quartiles = statistics.quantiles(rest, n=4, method="inclusive") if len(rest) > 1 else (0.0, 0.0, 0.0)
    return Steady(statistics.median(rest), quartiles[2] - quartiles[0])


def _both(first: Tick, second: Tick) -> Tick:
    def tick() -> None:
        first()
        second()

    return tick
