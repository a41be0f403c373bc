"""What CUDA kernels do with memory where meta kernels do something else, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .allocator import Category, Trace

_aten = torch.ops.aten

CUBLAS_OPERATORS = frozenset(
    {
        _aten.mm.default,
        _aten.addmm.default,
        _aten.bmm.default,
        _aten.baddbmm.default,
        _aten.mv.default,
        _aten.addmv.default,
        _aten.dot.default,
    }
)
"""Operators that ask for a cuBLAS handle (`aten/src/ATen/native/cuda/Blas.cpp`)."""

FILLS = frozenset({_aten.uniform_.default, _aten.normal_.default, _aten.fill_.Scalar, _aten.zero_.default})
"""Fills of tensors on the host, of which a plan needs no values."""


class Workspaces:
    """cuBLAS workspaces: one a handle, taken from the caching allocator and never given back.

    A handle belongs to a thread (`CublasHandlePool.cpp`): the main thread gets one at its first matrix
    product, and autograd's device thread another at its first one in a backward pass. The operator's
    output is allocated before.
    """

    def __init__(self, size_bytes: int) -> None:
        """Take the size of one workspace, in bytes."""
        self._size_bytes = size_bytes
        self._is_there: set[bool] = set()

    def enter(self, trace: Trace) -> None:
        """Allocate the present thread's workspace unless it has one."""
        in_backward = torch._C._current_graph_task_id() != -1
        if in_backward not in self._is_there:
            self._is_there.add(in_backward)
            trace.allocate(self._size_bytes, Category.WORKSPACE)


Temporaries = Callable[[torch._ops.OpOverload, Sequence[Any]], Sequence[int]]
"""Sizes in bytes of what an operator's kernel allocates beyond its results, given its arguments."""


@dataclass(frozen=True)
class CudaKernels:
    """What a card's kernels add to the allocations of meta kernels."""

    workspaces: Workspaces
    """cuBLAS's."""
    temporaries: Temporaries | None = None
    """Those of other operators; None for no others."""

    def add_to(self, trace: Trace, func: torch._ops.OpOverload, args: Sequence[Any], category: Category) -> None:
        """Append what an operator on the device allocates besides its results."""
        if func in CUBLAS_OPERATORS:
            self.workspaces.enter(trace)
        if self.temporaries is not None:
            made = [trace.allocate(size, category) for size in self.temporaries(func, args)]
            for allocation in reversed(made):
                trace.free(allocation)


def fused_dropout(input: torch.Tensor, p: float, train: bool) -> torch.Tensor:  # noqa: A002, FBT001 - as in the schema
    """`dropout` as CUDA has it: one kernel, and a mask of a byte an element (`aten/src/ATen/native/Dropout.cpp`)."""
    if not train or p == 0 or input.numel() == 0:
        return input
    result: torch.Tensor = torch.native_dropout(input, p, train)[0]
    return result
