"""How a card was while a case ran, and what of it taints the measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..base.messages import Message, message

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

MOST_IDLE_PERCENT = 10
"""A card that was busy for a larger share of the time before the session began is somebody else's too."""


@dataclass(frozen=True)
class Condition:
    """A card at one moment; None where NVML does not tell."""

    clock_reasons: int | None = None
    """Bits of NVML's clock event reasons."""
    temperature_c: int | None = None
    """Of the chip."""
    slowdown_temperature_c: int | None = None
    """From where on the card slows itself down."""
    power_limit_w: float | None = None
    """Most power it may draw at present."""
    default_power_limit_w: float | None = None
    """The card's own limit."""
    sm_clock_mhz: int | None = None
    """Of its multiprocessors."""
    corrected_ecc_errors: int | None = None
    """Memory errors since the driver started, mended."""
    uncorrected_ecc_errors: int | None = None
    """And not mended."""


def taints_of_condition(samples: Sequence[Condition]) -> list[Message]:
    """What of a card's condition makes a measurement doubtful; at least one sample."""
    return [*_low_clocks(samples), *_heat(samples), *_lowered_power(samples), *_ecc_errors(samples)]


def taints_of_use(
    others: int | None, busy_percent: int | None, free_mib: float | None, budget_mib: float
) -> list[Message]:
    """What of other people's work on the card does.

    `others` counts their processes at present; `busy_percent` and `free_mib` are of the time before the session used
    the card.
    """
    found = []
    if others:
        found.append(message("taint.other_process" if others == 1 else "taint.other_processes", count=others))
    if busy_percent is not None and busy_percent > MOST_IDLE_PERCENT:
        found.append(message("taint.busy", count=busy_percent))
    if free_mib is not None and free_mib < budget_mib:
        found.append(message("taint.little_free", count=free_mib))
    return found


def highest_temperature_c(samples: Sequence[Condition]) -> int | None:
    """The hottest sample."""
    return max((each.temperature_c for each in samples if each.temperature_c is not None), default=None)


def lowest_clock_mhz(samples: Sequence[Condition]) -> int | None:
    """The slowest sample between the first and the last, at which the card may be idle."""
    clocks = [each.sm_clock_mhz for each in samples[1:-1] if each.sm_clock_mhz is not None]
    return min(clocks, default=None)


def _low_clocks(samples: Sequence[Condition]) -> list[Message]:
    reasons = [each.clock_reasons for each in samples if each.clock_reasons is not None]
    found = []
    for bit, cause in _CAUSES_OF_LOW_CLOCKS.items():
        count = sum(bool(each & bit) for each in reasons)
        if count:
            found.append(message("taint.throttled", cause=message(cause), count1=count, count2=len(reasons)))
    return found


def _heat(samples: Sequence[Condition]) -> list[Message]:
    hottest, limit = highest_temperature_c(samples), samples[0].slowdown_temperature_c
    if hottest is None or not limit or hottest < limit:
        return []
    return [message("taint.heat", count1=hottest, count2=limit)]


def _lowered_power(samples: Sequence[Condition]) -> list[Message]:
    limits = [each.power_limit_w for each in samples if each.power_limit_w is not None]
    usual = samples[0].default_power_limit_w
    if usual is None or not limits or min(limits) >= usual:
        return []
    return [message("taint.power_cap", count1=min(limits), count2=usual)]


def _ecc_errors(samples: Sequence[Condition]) -> list[Message]:
    found = []
    for name in ("corrected", "uncorrected"):
        counts = [getattr(each, f"{name}_ecc_errors") for each in samples]
        known = [count for count in counts if count is not None]
        if known and known[-1] > known[0]:
            count = known[-1] - known[0]
            found.append(message(f"taint.{name}_error" if count == 1 else f"taint.{name}_errors", count=count))
    return found
