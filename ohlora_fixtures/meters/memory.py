"""Memory: PyTorch's CUDA allocator and the card, or the process's resident set on the CPU."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..base.units import MIB

if TYPE_CHECKING:
    from .device import CudaContext


@dataclass(frozen=True)
class MemoryReading:
    """What one run took, MiB; None where it does not apply or could not be read."""

    allocated_before_mib: float | None = None
    """Bytes in live blocks at the start: the study's "max memory" of inference, read after loading."""
    allocated_after_mib: float | None = None
    """Bytes in live blocks at the end, peak or not: the study's "max memory" of fine-tuning."""
    peak_allocated_mib: float | None = None
    """Most bytes in live blocks."""
    peak_reserved_mib: float | None = None
    """Most bytes in the caching allocator's segments."""
    context_mib: float | None = None
    """What the process holds on the card outside the allocator: CUDA context, kernels."""
    peak_device_mib: float | None = None
    """What the card must have: reserved and CUDA context."""
    peak_rss_growth_mib: float | None = None
    """On the CPU: how far the process's resident set grew over its size at the start."""


class Memory(Protocol):
    """Reads the memory of one run."""

    def settle(self) -> float | None:
        """Give back all that nobody uses, as if no run had been; live bytes left on the device, MiB."""

    def start(self) -> float | None:
        """Settle, and begin with the peaks at the present level; what `settle` gives."""

    def now_mib(self) -> float | None:
        """The present level, for a progress line."""

    def stop(self) -> MemoryReading:
        """The run's figures, also of one that broke off."""


LEAK_MIB = 16
"""What may stay on the device after a case: less than any part of a model or an optimizer."""


def leaked_mib(before_mib: float | None, after_mib: float | None) -> float | None:
    """How much more is live after a case than before it; None where there is no device."""
    return None if before_mib is None or after_mib is None else after_mib - before_mib


def is_leak(mib: float | None) -> bool:
    """Whether so much left behind is worth a word."""
    return mib is not None and mib > LEAK_MIB


class Cap(Protocol):
    """Keeps the allocator below a limit."""

    def fit(self, context_mib: float) -> None:
        """Set the limit beside a CUDA context of this size."""


class CudaMemory:
    """The CUDA caching allocator's own statistics and the context outside it."""

    def __init__(
        self, cuda: Any, context: CudaContext, drop_workspaces: Callable[[], None], cap: Cap | None = None
    ) -> None:
        """`drop_workspaces` gives cuBLAS's workspaces back to PyTorch's allocator."""
        self._cuda = cuda
        self._context = context
        self._drop_workspaces = drop_workspaces
        self._cap = cap

    def settle(self) -> float:
        """Give back all that nobody uses, as if no run had been; live bytes left on the device, MiB.

        cuBLAS keeps its workspaces from the first matrix product on: without dropping them, a case would count those
        of the one before.
        """
        gc.collect()
        self._cuda.synchronize()
        self._drop_workspaces()
        self._cuda.empty_cache()
        allocated: float = self._cuda.memory_allocated() / MIB
        return allocated

    def start(self) -> float:
        """Begin as a fresh process would; live bytes at the start, MiB.

        The cache is emptied before the peaks are reset: a peak reset earlier would keep the last run's segments.
        """
        self._allocated_before_mib = self.settle()
        context_mib = self._context_mib()
        if self._cap is not None and context_mib is not None:
            self._cap.fit(context_mib)
        self._cuda.reset_peak_memory_stats()
        return self._allocated_before_mib

    def now_mib(self) -> float | None:
        """Bytes in live blocks."""
        allocated: float = self._cuda.memory_allocated() / MIB
        return allocated

    def stop(self) -> MemoryReading:
        """All four figures once the device is idle, also of a run that broke off."""
        self._cuda.synchronize()
        peak_reserved_mib = self._cuda.max_memory_reserved() / MIB
        context_mib = self._context_mib()
        return MemoryReading(
            allocated_before_mib=self._allocated_before_mib,
            allocated_after_mib=self._cuda.memory_allocated() / MIB,
            peak_allocated_mib=self._cuda.max_memory_allocated() / MIB,
            peak_reserved_mib=peak_reserved_mib,
            context_mib=context_mib,
            peak_device_mib=None if context_mib is None else peak_reserved_mib + context_mib,
        )

    def _context_mib(self) -> float | None:
        return self._context.mib(reserved_mib=self._cuda.memory_reserved() / MIB)


class HostMemory:
    """The process's resident set, read from Linux's `/proc`; nothing elsewhere.

    Writing 5 to `clear_refs` sets the kernel's peak back to the present level (proc(5)).
    """

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._process = process
        self._start_mib: float | None = None

    def settle(self) -> None:
        """Nothing: there is no device."""

    def start(self) -> None:
        """Set the peak back to the present level."""
        self._start_mib = None
        with contextlib.suppress(OSError):
            (self._process / "clear_refs").write_text("5")
            self._start_mib = self._status_mib("VmRSS")

    def now_mib(self) -> float | None:
        """The resident set."""
        return self._status_mib("VmRSS")

    def stop(self) -> MemoryReading:
        """The growth of the peak over the level at the start."""
        peak_mib = self._status_mib("VmHWM")
        if peak_mib is None or self._start_mib is None:
            return MemoryReading()
        return MemoryReading(peak_rss_growth_mib=max(0.0, peak_mib - self._start_mib))

    def _status_mib(self, field: str) -> float | None:
        try:
            lines = (self._process / "status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), None)
