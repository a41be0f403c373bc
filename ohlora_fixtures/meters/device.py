"""The device: which one, what it is, and what a process holds on it outside PyTorch's allocator."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass
from typing import Any

from ..budget import MIB


@dataclass(frozen=True)
class Gpu:
    """A card, as NVML describes it."""

    name: str
    """Its name."""
    capability: tuple[int, int]
    """CUDA compute capability, major and minor."""
    memory_mib: float
    """All of its memory, MiB."""


class Nvml:
    """NVIDIA's management library, as far as the suite asks it; every answer may be None."""

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

    def used_mib(self, uuid: str) -> float | None:
        """Memory in use on a card by all processes, MiB."""
        used = self._ask(lambda nvml: nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(uuid)).used)
        return None if used is None else used / MIB

    def process_used_mib(self, uuid: str) -> float | None:
        """Memory that this process holds on a card, MiB; None in many containers, where PIDs are the host's."""
        used_mib: float | None = self._ask(lambda nvml: self._own_use(nvml, uuid))
        return used_mib

    def used_mib_by_uuid(self) -> dict[str, float]:
        """Memory in use on each card, MiB."""
        return self._ask(self._use_of_all) or {}

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
    def _own_use(nvml: Any, uuid: str) -> float | None:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByUUID(uuid))
        own = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
        return own[0] / MIB if own and own[0] is not None else None

    @staticmethod
    def _use_of_all(nvml: Any) -> dict[str, float]:
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return {
            str(nvml.nvmlDeviceGetUUID(handle)): nvml.nvmlDeviceGetMemoryInfo(handle).used / MIB for handle in handles
        }

    def _ask(self, question: Any) -> Any:
        if self._nvml is None:
            return None
        try:
            return question(self._nvml)
        except self._nvml.NVMLError:
            return None


class CudaContext:
    """What this process holds on its card outside PyTorch's allocator: context, kernels, library workspaces.

    Make it before CUDA is initialised: where NVML does not list this process (in many containers, on
    Windows), the context is the card's use since then less what PyTorch reserves, which is right only
    while nobody else starts or stops using the card.
    """

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._used_before_mib = nvml.used_mib_by_uuid()
        self._uuid: str | None = None

    def bind(self, uuid: str) -> None:
        """Say which card the process uses, by NVML's UUID (`GPU-...`)."""
        self._uuid = uuid

    def mib(self, reserved_mib: float) -> float | None:
        """The context's size at present, given what PyTorch reserves at present; None if it cannot be read."""
        if self._uuid is None:
            return None
        held_mib = self._nvml.process_used_mib(self._uuid)
        if held_mib is None:
            used_mib = self._nvml.used_mib(self._uuid)
            before_mib = self._used_before_mib.get(self._uuid)
            held_mib = None if used_mib is None or before_mib is None else used_mib - before_mib
        return None if held_mib is None or held_mib < reserved_mib else held_mib - reserved_mib


def choose_gpu(environment: dict[str, str] | os._Environ[str], gpu_count: int, worker: int) -> None:
    """Show PyTorch one GPU alone, the `worker`-th of those visible, through CUDA_VISIBLE_DEVICES.

    It must come before CUDA is initialised. Without GPUs, or with CUDA_VISIBLE_DEVICES empty, nothing changes.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = (
        [str(index) for index in range(gpu_count)] if visible is None else [n for n in visible.split(",") if n.strip()]
    )
    if gpu_count and names:
        environment["CUDA_VISIBLE_DEVICES"] = names[worker % len(names)].strip()


def describe_cpu() -> str:
    """The processor's name, such as `cpu (x86_64, 2 cores)`."""
    return f"cpu ({platform.machine()}, {available_cores()} cores)"


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
