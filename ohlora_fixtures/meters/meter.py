"""One meter for a run: what it gave, how long it took, what memory it needed."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .card import CardReading, CardWatch
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
    clock: Clock,
    memory: Memory,
    card: CardWatch | None = None,
    watch: Tick | None = None,
) -> Measurement[Result]:
    """Run `work`, giving it the function to call after each step or prompt; `watch` is called after each, too."""
    ticks = [clock.tick, *([card.tick] if card else []), *([watch] if watch else [])]

    def tick() -> None:
        for each in ticks:
            each()

    memory.start()
    if card:
        card.start()
    clock.start()
    result = work(tick if len(ticks) > 1 else clock.tick)
    seconds, seconds_each = clock.stop()
    return Measurement(result, seconds, seconds_each, memory.stop(), card.stop() if card else None)


def timed(work: Callable[[Tick], Result], clock: Clock, watch: Tick | None = None) -> tuple[Result, tuple[float, ...]]:
    """Run `work` with the clock alone: what it gives, and the seconds of each step or prompt."""

    def tick() -> None:
        clock.tick()
        if watch:
            watch()

    clock.start()
    result = work(tick)
    return result, clock.stop()[1]


def steady(seconds_each: tuple[float, ...], warm_up: int) -> Steady | None:
    """Median and spread without the first `warm_up`; None if nothing is left."""
    rest = seconds_each[warm_up:]
    if not rest:
        return None
    quartiles = statistics.quantiles(rest, n=4, method="inclusive") if len(rest) > 1 else (0.0, 0.0, 0.0)
    return Steady(statistics.median(rest), quartiles[2] - quartiles[0])
