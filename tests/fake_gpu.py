"""A GPU where there is none: NVIDIA's library and `torch.cuda`'s calls, with figures that a test sets."""

from __future__ import annotations

import os
from types import SimpleNamespace

from ohlora_fixtures.base.units import MIB
from ohlora_fixtures.meters.memory import CudaContext
from ohlora_fixtures.meters.nvml import Nvml

UUID = "GPU-0000-1111"
OTHER = 1
"""The process id of somebody else."""


class NVMLError(Exception):
    """What the library raises where it has no answer."""


class FakeLibrary:
    """The module `pynvml` with one card; None as a figure makes the library refuse it."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 1
    NVML_CLOCK_SM = 1
    NVML_MEMORY_ERROR_TYPE_CORRECTED = 0
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0

    def __init__(self, **figures):
        self.figures = {
            "name": "NVIDIA T4",
            "capability": (7, 5),
            "total_mib": 15360,
            "cores": 2560,
            "used_mib": 50.0,
            "processes": {},
            "drawing": {},
            "busy_percent": 0,
            "clock_reasons": 0,
            "temperature_c": 60,
            "slowdown_temperature_c": 90,
            "power_limit_mw": 70_000,
            "default_power_limit_mw": 70_000,
            "sm_clock_mhz": 1590,
            "ecc": {0: 0, 1: 0},
        } | figures

    def set(self, **figures):
        self.figures |= figures

    def _figure(self, name):
        if self.figures[name] is None:
            raise NVMLError(name)
        return self.figures[name]

    def _processes(self, name):
        found = self._figure(name).items()
        return [SimpleNamespace(pid=pid, usedGpuMemory=mib and mib * MIB) for pid, mib in found]

    def nvmlDeviceGetCount(self):  # noqa: N802 - the library's names, here and below
        return 1

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return "580.1"

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return UUID

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if uuid != UUID:
            raise NVMLError(uuid)
        return uuid

    def nvmlDeviceGetUUID(self, card):  # noqa: N802
        return card

    def nvmlDeviceGetName(self, card):  # noqa: N802
        return self._figure("name")

    def nvmlDeviceGetCudaComputeCapability(self, card):  # noqa: N802
        return self._figure("capability")

    def nvmlDeviceGetNumGpuCores(self, card):  # noqa: N802
        return self._figure("cores")

    def nvmlDeviceGetMemoryInfo(self, card):  # noqa: N802
        return SimpleNamespace(used=self._figure("used_mib") * MIB, total=self._figure("total_mib") * MIB)

    def nvmlDeviceGetComputeRunningProcesses(self, card):  # noqa: N802
        return self._processes("processes")

    def nvmlDeviceGetGraphicsRunningProcesses(self, card):  # noqa: N802
        return self._processes("drawing")

    def nvmlDeviceGetUtilizationRates(self, card):  # noqa: N802
        return SimpleNamespace(gpu=self._figure("busy_percent"))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card):  # noqa: N802
        return self._figure("clock_reasons")

    def nvmlDeviceGetTemperature(self, card, sensor):  # noqa: N802
        return self._figure("temperature_c")

    def nvmlDeviceGetTemperatureThreshold(self, card, threshold):  # noqa: N802
        return self._figure("slowdown_temperature_c")

    def nvmlDeviceGetEnforcedPowerLimit(self, card):  # noqa: N802
        return self._figure("power_limit_mw")

    def nvmlDeviceGetPowerManagementDefaultLimit(self, card):  # noqa: N802
        return self._figure("default_power_limit_mw")

    def nvmlDeviceGetClockInfo(self, card, kind):  # noqa: N802
        return self._figure("sm_clock_mhz")

    def nvmlDeviceGetTotalEccErrors(self, card, kind, counter):  # noqa: N802
        return self._figure("ecc")[kind]


def nvml_of(library):
    """The suite's view of a library; None for a machine without one."""
    nvml = Nvml()
    nvml._nvml = library
    return nvml


def bound(library):
    """The CUDA context on the library's card, looked at before this process used it."""
    context = CudaContext(nvml_of(library))
    context.uuid = UUID
    return context


class FakeCuda:
    """The module `torch.cuda`: an allocator with set figures, in MiB, and a queue that takes 10 ms for each event."""

    def __init__(self, library=None):
        self.calls = []
        self.recorded = 0
        self.fraction = 1.0
        self.allocated, self.peak_allocated, self.reserved, self.peak_reserved = 100, 300, 200, 400
        self.pynvml = library

    def Event(self, *, enable_timing):  # noqa: N802 - torch's name
        assert enable_timing
        cuda = self

        class Event:
            def record(self):
                cuda.recorded += 1
                self.at_ms = cuda.recorded * 10.0

            def elapsed_time(self, end):
                return end.at_ms - self.at_ms

        return Event()

    def synchronize(self):
        """CUDA is initialised from the first call on: this process is on the card, with a context of 500 MiB."""
        self.calls.append("synchronize")
        if self.pynvml is not None:
            self.pynvml.figures["processes"][os.getpid()] = 500 + self.reserved

    def empty_cache(self):
        self.calls.append("empty_cache")

    def drop_workspaces(self):
        self.calls.append("drop_workspaces")

    def reset_peak_memory_stats(self):
        self.calls.append("reset_peak_memory_stats")

    def memory_allocated(self):
        return self.allocated * MIB

    def max_memory_allocated(self):
        return self.peak_allocated * MIB

    def memory_reserved(self):
        return self.reserved * MIB

    def max_memory_reserved(self):
        return self.peak_reserved * MIB

    def get_per_process_memory_fraction(self):
        return self.fraction

    def set_per_process_memory_fraction(self, fraction):
        self.fraction = fraction


class FakeSwitches:
    """The module `torch.backends.cuda`: every attention backend on."""

    def __init__(self):
        self.on = dict.fromkeys(("cudnn", "flash", "mem_efficient", "math"), True)

    def __getattr__(self, name):
        if name.startswith("enable_"):
            return lambda value: self.on.__setitem__(name.removeprefix("enable_").removesuffix("_sdp"), value)
        return lambda: self.on[name.removesuffix("_sdp_enabled")]
