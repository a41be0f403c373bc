"""The device: which one this process uses, and PyTorch's settings of another card on it."""

import os
import platform
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ..inputs.gpu_profiles import GpuProfile

WORKSPACE_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
"""Read by PyTorch when a thread first needs a workspace (`CublasHandlePool.cpp`)."""

BACKENDS = ("cudnn", "flash", "mem_efficient", "math")
"""PyTorch's backends of scaled dot product attention, by the names of its switches in `torch.backends.cuda`."""

_CUDNN_FIRST = (9, 10)
"""Major compute capabilities on which PyTorch prefers cuDNN's attention (`check_prefer_cudnn_attention`)."""


def choose_gpu(environment: MutableMapping[str, str], gpu_count: int, worker: int) -> None:
    """Show PyTorch one GPU alone, the `worker`-th of those visible, through CUDA_VISIBLE_DEVICES.

    GPUs are numbered as NVML and nvidia-smi number them, where CUDA by itself would put the fastest first. It must
    come before CUDA is initialised. Without GPUs, or with CUDA_VISIBLE_DEVICES empty, nothing changes.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpu_count))))
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if gpu_count and names:
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        environment["CUDA_VISIBLE_DEVICES"] = names[worker % len(names)]


def describe_cpu() -> str:
    """The processor's name, such as `cpu (x86_64, 2 cores)`."""
    return f"cpu ({platform.machine()}, {available_cores()} cores)"


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def settings_of(profile: GpuProfile, capability: tuple[int, int], switches: Any) -> Iterator[None]:
    """Take the workspace and the attention path that PyTorch has on another card, as far as this one can.

    `capability` is the present card's; `switches` is `torch.backends.cuda`. Enter it before the first matrix product.
    Afterwards all is as it was.
    """
    enabled = enabled_backends(switches)

    def enable(names: Collection[str]) -> None:
        for name in BACKENDS:
            getattr(switches, f"enable_{name}_sdp")(name in names)

    with patch.dict(os.environ, {WORKSPACE_VARIABLE: f":{profile.cublas_workspace_bytes // 1024}:1"}):
        enable([name for name in enabled if _takes(name, profile, capability)])
        try:
            yield
        finally:
            enable(enabled)


def enabled_backends(switches: Any) -> list[str]:
    """The attention backends PyTorch may take at present, in its order of preference on most cards."""
    return [name for name in BACKENDS if getattr(switches, f"{name}_sdp_enabled")()]


def _takes(backend: str, profile: GpuProfile, capability: tuple[int, int]) -> bool:
    """Whether PyTorch would take a backend for bf16 on the other card, given that it chooses for the present one."""
    if backend == "math":
        return True
    if profile.attention == "math":
        return False
    # Where cuDNN is not preferred it is as good as off: flash or memory-efficient attention comes first.
    return backend != "cudnn" or profile.capability[0] in _CUDNN_FIRST or capability[0] not in _CUDNN_FIRST
