"""A GPU watched while a case runs: whether its figures can be trusted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..base.messages import Message
from .condition import Condition, highest_temperature_c, lowest_clock_mhz, taints_of_condition, taints_of_use
from .device import CudaContext
from .nvml import Nvml

_SECONDS_BETWEEN = 0.5
_DRIVERS_OWN_MIB = 1024
"""An idle card without a display shows some hundred MiB in use: the driver's."""


@dataclass(frozen=True)
class CardReading:
    """What was seen of a card during one run."""

    taints: tuple[Message, ...] | None = None
    """What makes the run's figures doubtful; empty if nothing was seen, None without a card."""
    highest_temperature_c: int | None = None
    """The hottest sample."""
    lowest_sm_clock_mhz: int | None = None
    """The slowest sample within the run."""


class CardWatch:
    """Samples a card's condition at a run's start, at its end, and at steps half a second apart.

    A sample takes well under a millisecond, while the card's queue goes on.
    """

    def __init__(
        self,
        nvml: Nvml,
        context: CudaContext,
        memory_mib: float,
        budget_mib: float,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`context` knows the card and what was on it before; `memory_mib` is all of its memory."""
        self._nvml = nvml
        self._context = context
        self._memory_mib = memory_mib
        self._budget_mib = budget_mib
        self._now = now

    def start(self) -> None:
        """Begin anew."""
        self._samples = [self._sample()]
        self._last = self._now()

    def tick(self) -> None:
        """At the end of a step or prompt: sample, if the last one is some time ago."""
        if self._now() - self._last >= _SECONDS_BETWEEN:
            self._last = self._now()
            self._samples.append(self._sample())

    def stop(self) -> CardReading:
        """What was seen."""
        samples = [*self._samples, self._sample()]
        before = self._context.before
        # A budget of all that the card has leaves room for what the driver itself keeps.
        wanted_mib = min(self._budget_mib, self._memory_mib - _DRIVERS_OWN_MIB)
        free_mib = None if before.used_mib is None else self._memory_mib - before.used_mib
        others = self._context.other_processes()
        return CardReading(
            taints=(*taints_of_condition(samples), *taints_of_use(others, before.busy_percent, free_mib, wanted_mib)),
            highest_temperature_c=highest_temperature_c(samples),
            lowest_sm_clock_mhz=lowest_clock_mhz(samples),
        )

    def _sample(self) -> Condition:
        return self._nvml.condition(self._context.uuid or "")
