"""The session's device: which one this process gets, and the instruments for it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from ..base.installation import versions
from ..base.units import MIB
from ..inputs.gpu_profiles import Peaks
from ..inputs.settings import Settings
from ..meters.card import CardWatch
from ..meters.device import WORKSPACE_VARIABLE, available_cores, choose_gpu, describe_cpu, enabled_backends, settings_of
from ..meters.memory import CudaContext, CudaMemory, HostMemory, Memory, MemoryCap
from ..meters.meter import CudaClock, WallClock
from ..meters.nvml import Nvml
from ..results.environment import Environment, allocator_settings, unknown_environment
from ..workloads.models import ModelSource, quieten_libraries
from .preflight import model_source

CUDA_CONTEXT = pytest.StashKey[CudaContext]()
"""Where, on the config, stands what was on the cards before this process used one."""

DEVICE = pytest.StashKey[Environment]()
"""Where, on the config, stands what measured cases run on and with."""


@dataclass(frozen=True)
class Device:
    """The session's device and the instruments for it."""

    source: ModelSource
    clock: WallClock
    memory: Memory
    card: CardWatch | None = None
    cap: MemoryCap | None = None
    peaks: Peaks = field(default_factory=Peaks)
    environment: Environment = field(default_factory=unknown_environment)

    @property
    def cap_mib(self) -> float | None:
        """What the allocator's segments are capped at; None where nothing is capped."""
        return self.cap.limit_mib if self.cap else None


def choose_device(place: int) -> CudaContext:
    """Give this process one GPU: for place 0 the first of those visible, for 1 the second, and so on.

    Returns what was on the cards before. It must come before anything initialises CUDA.
    """
    nvml = Nvml()
    choose_gpu(os.environ, nvml.device_count(), worker=place)
    return CudaContext(nvml)


def environment_ahead(settings: Settings) -> Environment:
    """Scale, weights and, if known, device of the cases about to be measured.

    NVML is asked for its name: PyTorch would put a CUDA context on it, also from a process that only waits.
    """
    source = model_source(settings)
    gpu = Nvml().gpu(os.environ.get("CUDA_VISIBLE_DEVICES"))
    name = describe_cpu() if source.device == "cpu" else gpu and gpu.name
    return Environment(dict(versions()), source.scale, source.weights, name or None)


@contextmanager
def opened_device(settings: Settings, context: CudaContext) -> Iterator[Device]:
    """Make the device ready; afterwards PyTorch's settings of the GPU are as they were."""
    import torch

    quieten_libraries()
    source = model_source(settings)
    if source.device == "cpu":
        # A replica's operations are too small to share, and at full size two threads on one physical core
        # (or on a core that another process holds) wait for each other: half of the logical cores is safe.
        torch.set_num_threads(1 if source.scale == "mini" else max(1, available_cores() // 2))
        environment = Environment(dict(versions()), source.scale, source.weights, describe_cpu())
        yield Device(source, WallClock(), HostMemory(), environment=environment)
        return
    properties = torch.cuda.get_device_properties(0)
    capability = (properties.major, properties.minor)
    memory_mib = properties.total_memory / MIB
    context.uuid = f"GPU-{properties.uuid}"
    with ExitStack() as stack:
        profile, limit_mib = settings.gpu_profile, settings.budget_mib
        imitated = None if properties.name in profile.card else profile
        if imitated:  # of the present card, the card itself says what can be had
            stack.enter_context(settings_of(imitated, capability, torch.backends.cuda))
            limit_mib = imitated.limit_mib(settings.budget_mib)
        cap = MemoryCap(torch.cuda, memory_mib, limit_mib)
        stack.callback(cap.lift)
        torch.cuda.synchronize()  # the context is there from now on
        cap.fit(context.mib(torch.cuda.memory_reserved() / MIB) or profile.context_mib)
        present = next((each for each in settings.known_profiles if each.is_of(properties.name, memory_mib)), None)
        drop_workspaces = torch._C._cuda_clearCublasWorkspaces  # noqa: SLF001 - has no public name
        yield Device(
            source=source,
            clock=CudaClock(torch.cuda),
            memory=CudaMemory(torch.cuda, context, drop_workspaces, cap),
            card=CardWatch(Nvml(), context, memory_mib, limit_mib),
            cap=cap,
            peaks=present.peaks if present else Peaks(),
            environment=Environment(
                versions=dict(versions()),
                scale=source.scale,
                weights=source.weights,
                device=properties.name,
                native_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
                allocator_settings=allocator_settings(),
                cublas_workspace_config=os.environ.get(WORKSPACE_VARIABLE),
                attention_backends=tuple(enabled_backends(torch.backends.cuda)),
                usable_mib=imitated.usable_mib if imitated else None,
                usable_basis=imitated.usable_basis if imitated else None,
            ),
        )
