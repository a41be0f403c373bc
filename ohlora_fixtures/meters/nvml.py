"""NVIDIA's management library, as far as the suite asks it; whatever it cannot tell is None."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..base.units import MIB
from ..inputs.gpu_profiles import Gpu, cores_of


@dataclass(frozen=True)
class Use:
    """What is on a card at one moment; None where NVML does not tell."""

    used_mib: float | None = None
    """Memory in use by all processes, the driver's own included, MiB."""
    processes: frozenset[int] = frozenset()
    """Process ids of those that compute or draw on it; in many containers they are the host's, or none is shown."""
    busy_percent: int | None = None
    """Share of the last moments, a second at most, in which a kernel ran."""


@dataclass(frozen=True)
class Condition:
    """A card at one moment, its memory errors since the driver started; None where NVML does not tell."""

    clock_reasons: int | None = None
    """Bits of NVML's clock event reasons."""
    temperature_c: int | None = None
    slowdown_temperature_c: int | None = None
    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    sm_clock_mhz: int | None = None
    corrected_ecc_errors: int | None = None
    uncorrected_ecc_errors: int | None = None


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
        return self._of_each("nvmlDeviceGetName")

    def gpu(self, visible: str | None) -> Gpu | None:
        """The first card that CUDA_VISIBLE_DEVICES shows, an index or a UUID; without the variable, the first."""
        first = "0" if visible is None else visible.partition(",")[0].strip()

        def describe(nvml: Any) -> Gpu:
            by_index = first.isdigit()
            card = nvml.nvmlDeviceGetHandleByIndex(int(first)) if by_index else nvml.nvmlDeviceGetHandleByUUID(first)
            major, minor = nvml.nvmlDeviceGetCudaComputeCapability(card)
            memory_mib = nvml.nvmlDeviceGetMemoryInfo(card).total / MIB
            count_cores = getattr(nvml, "nvmlDeviceGetNumGpuCores", None)  # some releases of the library lack it
            cores = count_cores and self._ask(lambda _: count_cores(card))
            multiprocessors = cores and cores // cores_of((major, minor))
            return Gpu(str(nvml.nvmlDeviceGetName(card)), (major, minor), memory_mib, multiprocessors)

        found: Gpu | None = self._ask(describe) if first else None
        return found

    def use(self, uuid: str) -> Use:
        """What is on a card now."""
        ask = self._asking(uuid)
        memory, rates = ask("nvmlDeviceGetMemoryInfo"), ask("nvmlDeviceGetUtilizationRates")
        computing, drawing = (ask(f"nvmlDeviceGet{kind}RunningProcesses") or () for kind in ("Compute", "Graphics"))
        return Use(
            used_mib=memory and memory.used / MIB,
            processes=frozenset(process.pid for process in (*computing, *drawing)),
            busy_percent=rates and rates.gpu,
        )

    def use_by_uuid(self) -> dict[str, Use]:
        """What is on each card now."""
        return {uuid: self.use(uuid) for uuid in self._of_each("nvmlDeviceGetUUID")}

    def process_used_mib(self, uuid: str) -> float | None:
        """Memory that this process holds on a card, MiB; None where NVML lists it without a figure, or not at all."""
        processes = self._asking(uuid)("nvmlDeviceGetComputeRunningProcesses") or ()
        own = next((process.usedGpuMemory for process in processes if process.pid == os.getpid()), None)
        return None if own is None else own / MIB

    def condition(self, uuid: str) -> Condition:
        """How a card is now."""
        ask = self._asking(uuid)
        ecc_errors = "nvmlDeviceGetTotalEccErrors"
        return Condition(
            # By their older name, which every release of the library has.
            clock_reasons=ask("nvmlDeviceGetCurrentClocksThrottleReasons"),
            temperature_c=ask("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
            slowdown_temperature_c=ask("nvmlDeviceGetTemperatureThreshold", "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"),
            power_limit_w=_watts(ask("nvmlDeviceGetEnforcedPowerLimit")),
            default_power_limit_w=_watts(ask("nvmlDeviceGetPowerManagementDefaultLimit")),
            sm_clock_mhz=ask("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
            corrected_ecc_errors=ask(ecc_errors, "NVML_MEMORY_ERROR_TYPE_CORRECTED", "NVML_VOLATILE_ECC"),
            uncorrected_ecc_errors=ask(ecc_errors, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED", "NVML_VOLATILE_ECC"),
        )

    def _of_each(self, function: str) -> list[str]:
        """What a function of the library says of each card; nothing where it refuses one."""

        def ask(nvml: Any) -> list[str]:
            cards = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
            return [str(getattr(nvml, function)(card)) for card in cards]

        return self._ask(ask) or []

    def _asking(self, uuid: str) -> Callable[..., Any]:
        """Asks about one card: takes the names of a function of the library and of the constants it needs."""
        card = self._ask(lambda nvml: nvml.nvmlDeviceGetHandleByUUID(uuid))

        def ask(function: str, *constants: str) -> Any:
            if card is None:
                return None
            return self._ask(lambda nvml: getattr(nvml, function)(card, *(getattr(nvml, name) for name in constants)))

        return ask

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        if self._nvml is None:
            return None
        try:
            return question(self._nvml)
        except self._nvml.NVMLError:
            return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
