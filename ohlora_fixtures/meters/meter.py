"""One meter for a run: what it gave, how long it took, what memory it needed, how near its card's limits it came."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from ..inputs.gpu_profiles import Peaks
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
        return float(end - begin)


class CudaClock(WallClock):
    """For work queued on a GPU: wall time between two synchronisations; ticks are events, for which no CPU waits."""

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
        return float(begin.elapsed_time(end)) / 1000


@dataclass(frozen=True)
class Measurement(Generic[Result]):
    """One measured run."""

    result: Result
    seconds: float
    """Wall time of the whole run, device-synchronised."""
    seconds_each: tuple[float, ...]
    """Time of each step or prompt, warm-up included."""
    memory: MemoryReading
    card: CardReading | None = None
    """How the card was meanwhile; None on the CPU."""


@dataclass(frozen=True)
class Steady:
    """The steady state: one of the steps or prompts after the warm-up."""

    median_seconds: float
    iqr_seconds: float
    """Interquartile range, inclusive method; 0 for a single one."""


@dataclass(frozen=True)
class Utilization:
    """What a run reached after its warm-up, and the share of the card's peak that this is, 0 to 1; None where unknown.

    TFLOP are 10^12 operations, GB 10^9 bytes.
    """

    flops: int | None = None
    """Floating-point operations of the whole run, matrix products and attention alone."""
    tflops_per_second: float | None = None
    matrix_peak_tflops: float | None = None
    flops_utilization: float | None = None
    moved_bytes: int | None = None
    """Bytes that matrix products and attention moved at least in the whole run."""
    gb_per_second: float | None = None
    bandwidth_peak_gb_per_second: float | None = None
    bandwidth_utilization: float | None = None


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
    lower, median, upper = statistics.quantiles(rest, n=4, method="inclusive") if len(rest) > 1 else rest * 3
    return Steady(median, upper - lower)


def training_utilization(
    flops_each: Sequence[int], seconds_each: Sequence[float], warm_up: int, peaks: Peaks
) -> Utilization:
    """Of the steps after the warm-up, against the card's matrix peak; of all if none is left."""
    tflops_per_second = _rate(flops_each, seconds_each, warm_up, 1e12)
    return Utilization(
        flops=sum(flops_each),
        tflops_per_second=tflops_per_second,
        matrix_peak_tflops=peaks.tflops,
        flops_utilization=_share(tflops_per_second, peaks.tflops),
    )


def decoding_utilization(
    moved_bytes_each: Sequence[int], seconds_each: Sequence[float], warm_up: int, peaks: Peaks
) -> Utilization:
    """Of the prompts after the warm-up, against the memory's bandwidth; of all if none is left."""
    gb_per_second = _rate(moved_bytes_each, seconds_each, warm_up, 1e9)
    return Utilization(
        moved_bytes=sum(moved_bytes_each),
        gb_per_second=gb_per_second,
        bandwidth_peak_gb_per_second=peaks.gb_per_second,
        bandwidth_utilization=_share(gb_per_second, peaks.gb_per_second),
    )


def _rate(amounts: Sequence[int], seconds_each: Sequence[float], warm_up: int, unit: float) -> float | None:
    start = warm_up if warm_up < len(seconds_each) else 0
    seconds = sum(seconds_each[start:])
    return sum(amounts[start:]) / unit / seconds if seconds else None


def _share(reached: float | None, peak: float | None) -> float | None:
    return None if reached is None or not peak else reached / peak


def _in_a_row(*ticks: Tick | None) -> Tick:
    """Calls those that there are, one after the other."""

    def tick() -> None:
        for each in ticks:
            if each:
                each()

    return tick
