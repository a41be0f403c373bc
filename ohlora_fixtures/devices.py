"""The session's device: which one this process gets, and the instruments for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .meters.clock import Clock, CudaClock, WallClock
from .meters.device import CudaContext, Nvml, available_cores, choose_gpu, describe_cpu
from .meters.memory import CudaMemory, HostMemory, Memory
from .models import quieten_libraries
from .preflight import model_source

if TYPE_CHECKING:
    from .models import ModelSource
    from .settings import Settings


@dataclass(frozen=True)
class Device:
    """The session's device and the instruments for it."""

    name: str
    """What records call it."""
    source: ModelSource
    """Where models come from, and onto which device they go."""
    clock: Clock
    """Times a run."""
    memory: Memory
    """Reads a run's memory."""


def choose_device(worker: str | None) -> None:
    """Give this process one GPU: the first, or for pytest-xdist's `gw1` the second, and so on."""
    choose_gpu(os.environ, Nvml().device_count(), worker=int(worker.removeprefix("gw")) if worker else 0)


def open_device(settings: Settings) -> Device:
    """Make the device ready: threads pinned on the CPU, the CUDA context measured on a GPU."""
    context = CudaContext(Nvml())  # before CUDA is initialised
    import torch

    quieten_libraries()
    source = model_source(settings)
    if source.device == "cpu":
        # A replica's operations are too small to share, and at full size two threads on one physical core
        # (or on a core that another process holds) wait for each other: half of the logical cores is safe.
        torch.set_num_threads(1 if source.scale == "mini" else max(1, available_cores() // 2))
        return Device(describe_cpu(), source, WallClock(), HostMemory())
    properties = torch.cuda.get_device_properties(0)
    context.bind(f"GPU-{properties.uuid}")
    memory = CudaMemory(torch.cuda, context, torch._C._cuda_clearCublasWorkspaces)  # noqa: SLF001 - has no public name
    return Device(properties.name, source, CudaClock(torch.cuda), memory)
