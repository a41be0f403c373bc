"""Memory: PyTorch's CUDA allocator, its cap and the card, or the process's resident set on the CPU."""

import contextlib
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.units import MIB
from .nvml import Nvml, Use

_LEAK_MIB = 16
"""What may stay on the device after a case: less than any part of a model or an optimizer."""


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
        """The card that the process uses, by NVML's UUID (`GPU-...`); for the session to set, once it is known."""

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


@dataclass
class CudaMemory:
    """The CUDA caching allocator's own statistics and the context outside it."""

    cuda: Any
    """`torch.cuda`."""
    context: CudaContext
    drop_workspaces: Callable[[], None]
    """Gives cuBLAS's workspaces back to PyTorch's allocator."""
    cap: MemoryCap | None = None

    def settle(self) -> float:
        """Give back all that nobody uses, as if no run had been; live bytes left on the device, MiB.

        cuBLAS keeps its workspaces from the first matrix product on: without dropping them, a case would count those
        of the one before.
        """
        gc.collect()
        self.cuda.synchronize()
        self.drop_workspaces()
        self.cuda.empty_cache()
        return self.now_mib()

    def start(self) -> float:
        """Begin as a fresh process would; live bytes at the start, MiB.

        The cache is emptied before the peaks are reset: a peak reset earlier would keep the last run's segments.
        """
        self._allocated_before_mib = self.settle()
        context_mib = self._context_mib()
        if self.cap is not None and context_mib is not None:
            self.cap.fit(context_mib)
        self.cuda.reset_peak_memory_stats()
        return self._allocated_before_mib

    def now_mib(self) -> float:
        """Bytes in live blocks, for a progress line."""
        allocated_mib: float = self.cuda.memory_allocated() / MIB
        return allocated_mib

    def stop(self) -> MemoryReading:
        """All four figures once the device is idle, also of a run that broke off."""
        self.cuda.synchronize()
        peak_reserved_mib = self.cuda.max_memory_reserved() / MIB
        context_mib = self._context_mib()
        return MemoryReading(
            allocated_before_mib=self._allocated_before_mib,
            allocated_after_mib=self.now_mib(),
            peak_allocated_mib=self.cuda.max_memory_allocated() / MIB,
            peak_reserved_mib=peak_reserved_mib,
            context_mib=context_mib,
            peak_device_mib=None if context_mib is None else peak_reserved_mib + context_mib,
        )

    def _context_mib(self) -> float | None:
        return self.context.mib(reserved_mib=self.cuda.memory_reserved() / MIB)


class HostMemory:
    """The process's resident set, read from Linux's `/proc`; nothing elsewhere.

    Writing 5 to `clear_refs` sets the kernel's peak back to the present level (proc(5)).
    """

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._process = process
        self._start_mib: float | None = None

    def settle(self) -> float | None:
        """Nothing: there is no device."""
        return None

    def start(self) -> float | None:
        """Set the peak back to the present level; nothing is live on a device."""
        self._start_mib = None
        with contextlib.suppress(OSError):
            (self._process / "clear_refs").write_text("5")
            self._start_mib = self._status_mib("VmRSS")
        return None

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


Memory = CudaMemory | HostMemory
"""Reads the memory of one run."""


def leaked_mib(before_mib: float | None, after_mib: float | None) -> float | None:
    """How much more is live after a case than before it; None where there is no device."""
    return None if before_mib is None or after_mib is None else after_mib - before_mib


def is_leak(mib: float | None) -> bool:
    """Whether so much left behind is worth a word."""
    return mib is not None and mib > _LEAK_MIB
