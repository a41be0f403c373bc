"""What the CUDA kernels of fused attention allocate besides their results.

Sources, in PyTorch 2.11 to 2.13 under `aten/src/ATen/native/transformers`: `cuda/flash_attn/flash_api.cpp`,
`cuda/attention_backward.cu` and `cuda/mem_eff_attention/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from .attention import LOW_PRECISION, Capability, is_small_chip

FP32_BYTES = 4
LARGEST_CUTLASS_HEAD_IN_REGISTERS = 128
FLASH_QUERIES_A_BLOCK = 64
FLASH_MULTIPROCESSORS = 132
FLASH_MOST_SPLITS = 128


def temporaries(operator: Callable[..., Any], args: Sequence[Any], compute_capability: Capability) -> list[int]:
    """What an attention operator's CUDA kernel allocates besides its results, in bytes; freed when it returns.

    Args:
        operator: The operator, such as `torch.ops.aten._scaled_dot_product_flash_attention_backward.default`.
        args: Its positional arguments, as a dispatch mode sees them.
        compute_capability: Of the card, which decides the kernel.

    Returns:
        A size for each allocation, in their order; empty for every other operator. Flash attention's split of the keys
        and cuDNN's workspace depend on what only the card knows: these two are upper estimates.
    """
    aten = torch.ops.aten
    if operator == aten._scaled_dot_product_flash_attention.default:
        return _flash_forward(*args[:2])
    if operator == aten._scaled_dot_product_flash_attention_backward.default:
        return _flash_backward(*args[:5])
    if operator == aten._scaled_dot_product_efficient_attention.default:
        return _efficient_forward(args[0], args[2])
    if operator == aten._scaled_dot_product_efficient_attention_backward.default:
        return _efficient_backward(compute_capability, *args[:4])
    if operator == aten._scaled_dot_product_cudnn_attention_backward.default:
        return _cudnn_backward(*args[:5])
    return []


def _rounded(size: int, multiple: int) -> int:
    return ceil(size / multiple) * multiple


def _copies(*tensors: Tensor) -> list[int]:
    """The copies of those that are not contiguous as batch x tokens x heads x head dimension."""
    return [tensor.nbytes for tensor in tensors if not tensor.transpose(1, 2).is_contiguous()]


def _flash_forward(query: Tensor, key: Tensor) -> list[int]:
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


def _flash_backward(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor) -> list[int]:
    """`_flash_attention_backward` and `mha_bwd`: softmax_d, dq_accum, and dk and dv for all heads where shared."""
    batch, heads, queries, head_size = query.shape
    rows = batch * heads * _rounded(queries, 128)
    sizes = [*_copies(grad, output), rows * FP32_BYTES, rows * _rounded(head_size, 32) * FP32_BYTES]
    if key.shape[1] != heads:
        sizes += [tensor.nbytes // key.shape[1] * heads for tensor in (key, value)]
    return sizes


def _efficient_forward(query: Tensor, value: Tensor) -> list[int]:
    """`kNeedsOutputAccumulatorBuffer`: an fp32 output where a head does not fit into registers."""
    head_size = max(query.shape[-1], value.shape[-1])
    if query.dtype not in LOW_PRECISION or head_size <= LARGEST_CUTLASS_HEAD_IN_REGISTERS:
        return []
    return [query.shape[:3].numel() * value.shape[-1] * FP32_BYTES]


def _efficient_backward(capability: Capability, grad: Tensor, query: Tensor, key: Tensor, value: Tensor) -> list[int]:
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


def _cudnn_backward(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor) -> list[int]:
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
