"""The device: which one this process uses, and what it holds on it outside PyTorch's allocator."""

from __future__ import annotations

import os
import platform

from .nvml import Nvml, Use


class CudaContext:
    """What this process holds on its card outside PyTorch's allocator: context, kernels, library workspaces.

    Make it before CUDA is initialised. Where NVML tells this process's own memory, the context is that less what
    PyTorch reserves. Elsewhere (Windows, many containers) it is what the card's use has grown by since then less what
    PyTorch reserves, which is right only while nobody else starts or stops using the card.
    """

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._before = nvml.use_by_uuid()
        self.uuid: str | None = None
        """The card, once `bind` has said which."""

    def bind(self, uuid: str) -> None:
        """Say which card the process uses, by NVML's UUID (`GPU-...`)."""
        self.uuid = uuid

    @property
    def before(self) -> Use:
        """What was on the card before this process used it."""
        return self._before.get(self.uuid or "", Use())

    def mib(self, reserved_mib: float) -> float | None:
        """The context's size at present, given what PyTorch reserves at present; None if it cannot be read."""
        if self.uuid is None:
            return None
        held_mib = self._nvml.process_used_mib(self.uuid)
        if held_mib is None:
            used_mib, before_mib = self._nvml.use(self.uuid).used_mib, self.before.used_mib
            held_mib = None if used_mib is None or before_mib is None else used_mib - before_mib
        return None if held_mib is None or held_mib < reserved_mib else held_mib - reserved_mib

    def other_processes(self) -> int | None:
        """How many processes of others are on the card; None if NVML shows none at all, not even this one.

        Process ids can be the host's. So where this one's is not among them, one that has come since is taken for it.
        """
        now = self._nvml.use(self.uuid).processes if self.uuid else None
        if not now:
            return None
        has_own = os.getpid() in now or now - self.before.processes
        return len(now) - (1 if has_own else 0)


def choose_gpu(environment: dict[str, str] | os._Environ[str], gpu_count: int, worker: int) -> None:
    """Show PyTorch one GPU alone, the `worker`-th of those visible, through CUDA_VISIBLE_DEVICES.

    GPUs are numbered as NVML and nvidia-smi number them, where CUDA by itself would put the fastest first. It must
    come before CUDA is initialised. Without GPUs, or with CUDA_VISIBLE_DEVICES empty, nothing changes.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = (
        [str(index) for index in range(gpu_count)] if visible is None else [n for n in visible.split(",") if n.strip()]
    )
    if gpu_count and names:
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        environment["CUDA_VISIBLE_DEVICES"] = names[worker % len(names)].strip()


def describe_cpu() -> str:
    """The processor's name, such as `cpu (x86_64, 2 cores)`."""
    return f"cpu ({platform.machine()}, {available_cores()} cores)"


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
