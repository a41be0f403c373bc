"""What CUDA kernels allocate besides their results: cuBLAS's workspaces, and temporaries of fused attention.

Sources of the latter, in PyTorch 2.11 to 2.13 under `aten/src/ATen/native/transformers`:
`cuda/flash_attn/flash_api.cpp`, `cuda/attention_backward.cu` and `cuda/mem_eff_attention/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from .allocator import Category, Trace
from .attention import LOW_PRECISION, Capability, is_small_chip

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

FP32_BYTES = 4
LARGEST_CUTLASS_HEAD_IN_REGISTERS = 128
FLASH_QUERIES_A_BLOCK = 64
FLASH_MULTIPROCESSORS = 132
FLASH_MOST_SPLITS = 128


class CudaKernels:
    """What a card's kernels add to the allocations of meta kernels.

    A cuBLAS handle takes a workspace from the caching allocator and never gives it back. It belongs to a thread
    (`CublasHandlePool.cpp`): the main thread gets one at its first matrix product, and autograd's device thread another
    at its first one in a backward pass. The operator's output is allocated before.
    """

    def __init__(self, workspace_bytes: int, capability: Capability) -> None:
        self._workspace_bytes = workspace_bytes
        self._capability = capability
        self._has_workspace: set[bool] = set()

    def with_workspaces(self) -> CudaKernels:
        """The same once both threads have theirs."""
        twin = CudaKernels(self._workspace_bytes, self._capability)
        twin._has_workspace = {True, False}
        return twin

    @staticmethod
    def concerns(func: torch._ops.OpOverload) -> bool:
        """Whether an operator may allocate anything besides its results."""
        return func in CUBLAS_OPERATORS or func in _TEMPORARIES

    def add_to(self, trace: Trace, func: torch._ops.OpOverload, args: Sequence[Any], category: Category) -> None:
        """Append what an operator on the device allocates besides its results."""
        if func in CUBLAS_OPERATORS:
            in_backward = torch._C._current_graph_task_id() != -1
            if in_backward not in self._has_workspace:
                self._has_workspace.add(in_backward)
                trace.allocate(self._workspace_bytes, Category.WORKSPACE)
        made = [trace.allocate(size, category) for size in temporaries(func, args, self._capability)]
        for allocation in reversed(made):
            trace.free(allocation)


def temporaries(operator: torch._ops.OpOverload, args: Sequence[Any], capability: Capability) -> list[int]:
    """What an attention operator's CUDA kernel allocates besides its results, in bytes; freed when it returns.

    `args` are its positional arguments, as a dispatch mode sees them. Returns a size for each allocation, in their
    order; none for every other operator. Flash attention's split of the keys and cuDNN's workspace depend on what
    only the card knows: these two are upper estimates.
    """
    sizes = _TEMPORARIES.get(operator)
    return [] if sizes is None else sizes(capability, *args)


def _rounded(size: int, multiple: int) -> int:
    return ceil(size / multiple) * multiple


def _copies(*tensors: Tensor) -> list[int]:
    """The copies of those that are not contiguous as batch x tokens x heads x head dimension."""
    return [tensor.nbytes for tensor in tensors if not tensor.transpose(1, 2).is_contiguous()]


def _flash_forward(_: Capability, query: Tensor, key: Tensor, *_args: Any) -> list[int]:
    """`set_params_splitkv`: fp32 sums and outputs of each split of the keys, where blocks would not fill the card."""
    batch, heads, queries, head_size = query.shape
    key_heads, keys = key.shape[1:3]
    keys_a_block = 256 if head_size <= 64 else 128 if head_size <= 128 else 64  # noqa: PLR2004
    splits = min(FLASH_MOST_SPLITS, ceil(keys / keys_a_block))
    blocks = batch * (key_heads if queries == 1 else heads * ceil(queries / FLASH_QUERIES_A_BLOCK))
    if splits == 1 or blocks >= 0.8 * 2 * FLASH_MULTIPROCESSORS:
        return []
    rows = splits * batch * heads * queries
    return [rows * FP32_BYTES, rows * _rounded(head_size, 32) * FP32_BYTES]


def _flash_backward(
    _: Capability, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, *_args: Any
) -> list[int]:
    """`_flash_attention_backward` and `mha_bwd`: softmax_d, dq_accum, and dk and dv for all heads where shared."""
    batch, heads, queries, head_size = query.shape
    rows = batch * heads * _rounded(queries, 128)
    sizes = [*_copies(grad, output), rows * FP32_BYTES, rows * _rounded(head_size, 32) * FP32_BYTES]
    if key.shape[1] != heads:
        sizes += [tensor.nbytes // key.shape[1] * heads for tensor in (key, value)]
    return sizes


def _efficient_forward(_: Capability, query: Tensor, _key: Tensor, value: Tensor, *_args: Any) -> list[int]:
    """`kNeedsOutputAccumulatorBuffer`: an fp32 output where a head does not fit into registers."""
    head_size = max(query.shape[-1], value.shape[-1])
    if query.dtype not in LOW_PRECISION or head_size <= LARGEST_CUTLASS_HEAD_IN_REGISTERS:
        return []
    return [query.shape[:3].numel() * value.shape[-1] * FP32_BYTES]


def _efficient_backward(
    capability: Capability, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_args: Any
) -> list[int]:
    """`_efficient_attention_backward`: delta, and `workspace_size` of the kernel that `dispatch_cutlassB` takes.

    The keys are taken to be split as finely as can be, which is the most the workspace can hold.
    """
    batch, heads, queries, head_size = query.shape
    low_precision = query.dtype in LOW_PRECISION
    rows, columns, in_registers = _cutlass_tile(
        max(head_size, value.shape[-1]), capability, low_precision=low_precision
    )
    elements = ceil(queries / rows) * ceil(head_size / columns) * (rows * columns + 4)
    if not in_registers:
        elements += _rounded(key.shape[2], columns) * (_rounded(head_size, rows) + _rounded(value.shape[-1], rows))
    delta = batch * heads * queries * FP32_BYTES
    deltas = [delta] if low_precision else [grad.nbytes, delta, delta]
    return [*_copies(grad), *deltas, batch * heads * _rounded(elements, 4) * FP32_BYTES]


def _cutlass_tile(head_size: int, capability: Capability, *, low_precision: bool) -> tuple[int, int, bool]:
    """Queries and keys a tile, and whether the gradients of keys and values need no fp32 buffer (`cutlassB.h`)."""
    roomy = not is_small_chip(capability)
    if head_size <= 64:  # noqa: PLR2004
        return 64, 64, True
    if not low_precision:
        return (128 if roomy else 64), 64, True
    if head_size <= 96 and (8, 6) <= capability <= (8, 9):  # noqa: PLR2004
        return 128, 64, True
    if head_size <= 128 and roomy:  # noqa: PLR2004
        return 128, 128, True
    return (128 if roomy else 64), 64, False


def _cudnn_backward(
    _: Capability, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, *_args: Any
) -> list[int]:
    """`run_cudnn_SDP_bprop`: grad in the output's layout, and a workspace.

    The workspace is for cuDNN to say; this is what its open frontend adds up (`scaled_dot_product_flash_attention.h`):
    dQ_accum and softmax_sum, and dK_fullhead and dV_fullhead where heads are shared.
    """
    rows = query.shape[:3].numel()
    workspace = rows * (query.shape[-1] + 1) * FP32_BYTES
    if key.shape[1] != query.shape[1]:
        heads_a_group = query.shape[1] // key.shape[1]
        workspace += (key.numel() + value.numel()) * heads_a_group * FP32_BYTES
    copy = [grad.nbytes] if grad.stride() != output.stride() else []
    return [*copy, workspace]


_TEMPORARIES: dict[torch._ops.OpOverload, Callable[..., list[int]]] = {
    _aten._scaled_dot_product_flash_attention.default: _flash_forward,
    _aten._scaled_dot_product_flash_attention_backward.default: _flash_backward,
    _aten._scaled_dot_product_efficient_attention.default: _efficient_forward,
    _aten._scaled_dot_product_efficient_attention_backward.default: _efficient_backward,
    _aten._scaled_dot_product_cudnn_attention_backward.default: _cudnn_backward,
}
