"""A smaller card on a larger one: the memory cap, and the cuBLAS workspace and attention of the card planned for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..inputs.gpu_profiles import GpuProfile

WORKSPACE_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
"""Read by PyTorch when a thread first needs a workspace (`CublasHandlePool.cpp`)."""

BACKENDS = ("cudnn", "flash", "mem_efficient", "math")
"""PyTorch's backends of scaled dot product attention, by the names of its switches in `torch.backends.cuda`."""

_CUDNN_FIRST = (9, 10)
"""Major compute capabilities on which PyTorch prefers cuDNN's attention (`check_prefer_cudnn_attention`)."""


class MemoryCap:
    """Keeps PyTorch's caching allocator to what a card of the budget's size would leave it.

    The cap counts reserved segments. The CUDA context lies outside them, so it is subtracted from the budget. What
    does not fit then runs out of memory as it would there: PyTorch gives cached segments back and tries again first.
    """

    def __init__(self, cuda: Any, memory_mib: float, budget_mib: float) -> None:
        """`cuda` is `torch.cuda`; `memory_mib` is all of the card's memory as PyTorch tells it."""
        self._cuda = cuda
        self._memory_mib = memory_mib
        self._budget_mib = budget_mib
        self._before: float = cuda.get_per_process_memory_fraction()
        self.limit_mib: float | None = None
        """Most that may be reserved; None on a card no larger than the budget, which needs no cap."""

    def fit(self, context_mib: float) -> None:
        """Set the cap beside a context of this size; it grows a little as kernels are loaded."""
        if self._memory_mib > self._budget_mib:
            fraction = min(self._before, max(0.0, self._budget_mib - context_mib) / self._memory_mib)
            self.limit_mib = fraction * self._memory_mib
            self._cuda.set_per_process_memory_fraction(fraction)

    def lift(self) -> None:
        """Put back what was in force before."""
        self._cuda.set_per_process_memory_fraction(self._before)


@contextmanager
def settings_of(profile: GpuProfile, capability: tuple[int, int], switches: Any) -> Iterator[None]:
    """Take the workspace and the attention path that PyTorch has on another card, as far as this one can.

    `capability` is the present card's; `switches` is `torch.backends.cuda`. Enter it before the first matrix product.
    Afterwards all is as it was.
    """
    workspace = os.environ.get(WORKSPACE_VARIABLE)
    enabled = {name: getattr(switches, f"{name}_sdp_enabled")() for name in BACKENDS}
    os.environ[WORKSPACE_VARIABLE] = f":{profile.cublas_workspace_bytes // 1024}:1"
    for name in BACKENDS:
        getattr(switches, f"enable_{name}_sdp")(enabled[name] and _takes(name, profile, capability))
    try:
        yield
    finally:
        for name in BACKENDS:
            getattr(switches, f"enable_{name}_sdp")(enabled[name])
        if workspace is None:
            del os.environ[WORKSPACE_VARIABLE]
        else:
            os.environ[WORKSPACE_VARIABLE] = workspace


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
