"""A GPU while a case runs: how it is, and what of that makes the case's figures doubtful."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..base.messages import Message, message
from .memory import CudaContext
from .nvml import Condition, Nvml

_SECONDS_BETWEEN = 0.5
_DRIVERS_OWN_MIB = 1024
"""An idle card without a display shows some hundred MiB in use: the driver's."""
_MOST_IDLE_PERCENT = 10
"""A card that was busy for a larger share of the time before the session began is somebody else's too."""

_CAUSES_OF_LOW_CLOCKS = {
    0x4: "cause.power_cap",
    0x8: "cause.hardware",
    0x10: "cause.group",
    0x20: "cause.heat",
    0x40: "cause.heat_guard",
    0x80: "cause.power_brake",
}
"""NVML's clock event reasons that slow a card down (`nvmlClocksEventReason*` in nvml.h).

Idle (0x1) is no reason to doubt a figure, and clocks that somebody set (0x2, 0x100) stay as they are.
"""


@dataclass(frozen=True)
class CardReading:
    """What was seen of a card during one run."""

    taints: tuple[Message, ...] | None = None
    """What makes the run's figures doubtful; empty if nothing was seen, None without a card."""
    highest_temperature_c: int | None = None
    lowest_sm_clock_mhz: int | None = None


@dataclass
class CardWatch:
    """Samples a card's condition at a run's start, at its end, and between at steps half a second apart."""

    nvml: Nvml
    context: CudaContext
    """Knows the card, and what was on it before."""
    memory_mib: float
    """All of the card's memory."""
    budget_mib: float
    now: Callable[[], float] = time.perf_counter

    def start(self) -> None:
        """Begin anew."""
        self._samples = [self._sample()]
        self._last = self.now()

    def tick(self) -> None:
        """At the end of a step or prompt: sample, if the last one is some time ago."""
        if self.now() - self._last >= _SECONDS_BETWEEN:
            self._last = self.now()
            self._samples.append(self._sample())

    def stop(self) -> CardReading:
        """What was seen."""
        samples = [*self._samples, self._sample()]
        before = self.context.before
        # A budget of all that the card has leaves room for what the driver itself keeps.
        wanted_mib = min(self.budget_mib, self.memory_mib - _DRIVERS_OWN_MIB)
        free_mib = None if before.used_mib is None else self.memory_mib - before.used_mib
        others = self.context.other_processes()
        # At the first sample and the last the card may be idle.
        clocks_mhz = [each.sm_clock_mhz for each in samples[1:-1] if each.sm_clock_mhz is not None]
        return CardReading(
            taints=(*taints_of_condition(samples), *taints_of_use(others, before.busy_percent, free_mib, wanted_mib)),
            highest_temperature_c=_highest_temperature_c(samples),
            lowest_sm_clock_mhz=min(clocks_mhz, default=None),
        )

    def _sample(self) -> Condition:
        return self.nvml.condition(self.context.uuid or "")


def taints_of_condition(samples: Sequence[Condition]) -> list[Message]:
    """What of a card's condition makes a measurement doubtful; at least one sample."""
    hottest_c, slows_from_c = _highest_temperature_c(samples), samples[0].slowdown_temperature_c
    lowest_w = min((each.power_limit_w for each in samples if each.power_limit_w is not None), default=None)
    usual_w = samples[0].default_power_limit_w
    found = _low_clocks(samples)
    if hottest_c is not None and slows_from_c and hottest_c >= slows_from_c:
        found.append(message("taint.heat", count1=hottest_c, count2=slows_from_c))
    if lowest_w is not None and usual_w is not None and lowest_w < usual_w:
        found.append(message("taint.power_cap", count1=lowest_w, count2=usual_w))
    return [*found, *_ecc_errors(samples)]


def taints_of_use(
    others: int | None, busy_percent: int | None, free_mib: float | None, budget_mib: float
) -> list[Message]:
    """What of others' work on it does: `others` counts their processes now, the rest is of before the session."""
    found = []
    if others:
        found.append(message("taint.other_process" if others == 1 else "taint.other_processes", count=others))
    if busy_percent is not None and busy_percent > _MOST_IDLE_PERCENT:
        found.append(message("taint.busy", count=busy_percent))
    if free_mib is not None and free_mib < budget_mib:
        found.append(message("taint.little_free", count=free_mib))
    return found


def _highest_temperature_c(samples: Sequence[Condition]) -> int | None:
    return max((each.temperature_c for each in samples if each.temperature_c is not None), default=None)


def _low_clocks(samples: Sequence[Condition]) -> list[Message]:
    reasons = [each.clock_reasons for each in samples if each.clock_reasons is not None]
    return [
        message("taint.throttled", cause=message(cause), count1=count, count2=len(reasons))
        for bit, cause in _CAUSES_OF_LOW_CLOCKS.items()
        if (count := sum(bool(each & bit) for each in reasons))
    ]


def _ecc_errors(samples: Sequence[Condition]) -> list[Message]:
    found = []
    for name in ("corrected", "uncorrected"):
        known = [count for each in samples if (count := getattr(each, f"{name}_ecc_errors")) is not None]
        if known and (count := known[-1] - known[0]) > 0:
            found.append(message(f"taint.{name}_error" if count == 1 else f"taint.{name}_errors", count=count))
    return found
