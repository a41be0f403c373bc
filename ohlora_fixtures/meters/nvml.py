"""NVIDIA's management library, as far as the suite asks it; whatever it cannot tell is None."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from ..base.units import MIB
from ..inputs.gpu_profiles import Gpu
from .condition import Condition


@dataclass(frozen=True)
class Use:
    """What is on a card at one moment; None where NVML does not tell."""

    used_mib: float | None = None
    """Memory in use by all processes, the driver's own included, MiB."""
    processes: frozenset[int] = frozenset()
    """Process ids of those that compute or draw on it; in many containers they are the host's, or none is shown."""
    busy_percent: int | None = None
    """Share of the last moments, a second at most, in which a kernel ran."""


class Nvml:
    """The library's questions. Cards are named by UUID (`GPU-...`), which no setting renumbers.

    Without a driver, the library or the permission every answer is None or empty. So is a single answer that a card,
    a driver or a container refuses: Windows tells no process's memory, containers show no processes or the host's
    ids, consumer cards have no ECC.
    """

    def __init__(self) -> None:
        self._nvml: Any = None
        with contextlib.suppress(Exception):  # no driver, no library, no permission: nothing to read
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml

    def device_count(self) -> int:
        """GPUs the driver sees; 0 without a driver."""
        return int(self._ask(lambda nvml: nvml.nvmlDeviceGetCount()) or 0)

    def driver_version(self) -> str | None:
        """The driver's version."""
        version = self._ask(lambda nvml: nvml.nvmlSystemGetDriverVersion())
        return None if version is None else str(version)

    def gpu_names(self) -> list[str]:
        """The cards' names."""
        return self._ask(self._names) or []

    def gpu(self, visible: str | None) -> Gpu | None:
        """The first card that CUDA_VISIBLE_DEVICES shows, an index or a UUID; without the variable, the first."""
        first = "0" if visible is None else visible.partition(",")[0].strip()
        found: Gpu | None = self._ask(lambda nvml: self._describe(nvml, first)) if first else None
        return found

    def use(self, uuid: str) -> Use:
        """What is on a card now."""
        ask = self._asking(uuid)
        used = ask(lambda nvml, card: nvml.nvmlDeviceGetMemoryInfo(card).used)
        return Use(
            used_mib=None if used is None else used / MIB,
            processes=_ids(ask(lambda nvml, card: nvml.nvmlDeviceGetComputeRunningProcesses(card)))
            | _ids(ask(lambda nvml, card: nvml.nvmlDeviceGetGraphicsRunningProcesses(card))),
            busy_percent=ask(lambda nvml, card: nvml.nvmlDeviceGetUtilizationRates(card).gpu),
        )

    def use_by_uuid(self) -> dict[str, Use]:
        """What is on each card now."""
        return {uuid: self.use(uuid) for uuid in self._ask(self._uuids) or ()}

    def process_used_mib(self, uuid: str) -> float | None:
        """Memory that this process holds on a card, MiB; None where NVML lists it without a figure, or not at all."""
        used_mib: float | None = self._asking(uuid)(self._own_use)
        return used_mib

    def condition(self, uuid: str) -> Condition:
        """How a card is now."""
        ask = self._asking(uuid)
        return Condition(
            # By their older name, which every release of the library has.
            clock_reasons=ask(lambda nvml, card: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)),
            temperature_c=ask(lambda nvml, card: nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU)),
            slowdown_temperature_c=ask(
                lambda nvml, card: nvml.nvmlDeviceGetTemperatureThreshold(
                    card, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
                )
            ),
            power_limit_w=_watts(ask(lambda nvml, card: nvml.nvmlDeviceGetEnforcedPowerLimit(card))),
            default_power_limit_w=_watts(ask(lambda nvml, card: nvml.nvmlDeviceGetPowerManagementDefaultLimit(card))),
            sm_clock_mhz=ask(lambda nvml, card: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM)),
            corrected_ecc_errors=ask(lambda nvml, card: self._ecc(nvml, card, nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED)),
            uncorrected_ecc_errors=ask(
                lambda nvml, card: self._ecc(nvml, card, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
            ),
        )

    @staticmethod
    def _describe(nvml: Any, name: str) -> Gpu:
        by_index = name.isdigit()
        handle = nvml.nvmlDeviceGetHandleByIndex(int(name)) if by_index else nvml.nvmlDeviceGetHandleByUUID(name)
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        return Gpu(
            str(nvml.nvmlDeviceGetName(handle)), (major, minor), nvml.nvmlDeviceGetMemoryInfo(handle).total / MIB
        )

    @staticmethod
    def _names(nvml: Any) -> list[str]:
        return [
            str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(i))) for i in range(nvml.nvmlDeviceGetCount())
        ]

    @staticmethod
    def _uuids(nvml: Any) -> list[str]:
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return [str(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]

    @staticmethod
    def _own_use(nvml: Any, card: Any) -> float | None:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(card)
        own = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
        return own[0] / MIB if own and own[0] is not None else None

    @staticmethod
    def _ecc(nvml: Any, card: Any, kind: int) -> int:
        return int(nvml.nvmlDeviceGetTotalEccErrors(card, kind, nvml.NVML_VOLATILE_ECC))

    def _asking(self, uuid: str) -> Any:
        """Asks about one card: takes a function of the library and the card's handle."""
        handle = self._ask(lambda nvml: nvml.nvmlDeviceGetHandleByUUID(uuid))
        return lambda question: None if handle is None else self._ask(lambda nvml: question(nvml, handle))

    def _ask(self, question: Any) -> Any:
        if self._nvml is None:
            return None
        try:
            return question(self._nvml)
        except self._nvml.NVMLError:
            return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _ids(processes: Any) -> frozenset[int]:
    return frozenset(process.pid for process in processes or ())
