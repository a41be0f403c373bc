"""Attention as a CUDA build computes it, for tensors without data.

On meta tensors PyTorch's scaled dot product attention takes the quadratic "math" path, which is what CUDA does with
bf16 below compute capability 8.0. Newer cards take a fused kernel. The stand-in of this module calls, on meta tensors,
the operators a CUDA build calls there; `cuda_kernels.py` says what their kernels allocate besides.

Sources, in PyTorch 2.11 to 2.13 under `aten/src/ATen/native/transformers`: `cuda/sdp_utils.cpp` and `sdp_utils_cpp.h`
(which backend) and `attention.cpp` (what is done to the inputs first). The default build is assumed: CUDA 13 with
cuDNN 9.15.1 or later (torch 2.13.0 asks for 9.20), and no backend switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Backend = Literal["cudnn", "flash", "efficient", "math"]
"""The backends of scaled dot product attention, named as in `torch.nn.attention.SDPBackend`."""

Capability = tuple[int, int]
"""A card's CUDA compute capability, major and minor."""

LOW_PRECISION = (torch.float16, torch.bfloat16)

LARGEST_FLASH_HEAD = 256
LARGEST_CUDNN_HEAD = 128
LARGEST_CUDNN_HEAD_ON_HOPPER = 256
LARGEST_CUDNN_DIMENSION = 65535
LARGEST_FLASH_HEAD_TRAINED_ANYWHERE = 192
UNTRAINABLE_FLASH_HEADS_ON_SMALL_CHIPS = 224


@dataclass(frozen=True)
class Call:
    """One call of scaled dot product attention: what its choice of a backend looks at (`sdp_params`)."""

    query: Tensor
    """Batch x heads x queries x head dimension."""
    key: Tensor
    """Batch x key heads x keys x head dimension."""
    value: Tensor
    """Batch x key heads x keys x value dimension."""
    mask: Tensor | None
    """Boolean or additive, broadcastable to batch x heads x queries x keys."""
    dropout: float
    """Probability of dropping an attention weight."""
    causal: bool
    """Whether a query sees only the keys up to its own position."""
    grouped: bool
    """`enable_gqa`: several heads of the query may share a key head."""

    @property
    def trains(self) -> bool:
        """Whether a backward pass may follow (`input_requires_grad`)."""
        tensors = (self.query, self.key, self.value)
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)

    @property
    def regular(self) -> bool:
        """What every fused backend asks: 4 dimensions, one dtype and batch, tokens, contiguous heads and mask rows."""
        tensors = (self.query, self.key, self.value)
        return (
            all(tensor.dim() == 4 for tensor in tensors)  # noqa: PLR2004
            and len({tensor.dtype for tensor in tensors}) == 1
            and len({tensor.shape[0] for tensor in tensors}) == 1
            and self.query.shape[2] > 0
            and self.key.shape[2] > 0
            and all(tensor.stride(-1) == 1 for tensor in tensors)
            and (self.mask is None or self.mask.stride(-1) == 1)
        )

    @property
    def heads_match(self) -> bool:
        """Whether query, key and value have as many heads (`check_batch_size_and_num_heads_dense`)."""
        return self.query.shape[1] == self.key.shape[1] == self.value.shape[1]

    @property
    def heads_fit(self) -> bool:
        """The same, or as many heads of the query to each key head where groups are allowed."""
        heads, key_heads, value_heads = (tensor.shape[1] for tensor in (self.query, self.key, self.value))
        return self.heads_match or (self.grouped and heads % key_heads == 0 and heads % value_heads == 0)

    @property
    def broadcastable_mask(self) -> bool:
        """Whether cuDNN can take the mask (`check_attn_mask_shape`)."""
        if self.mask is None:
            return True
        if self.mask.dim() not in {2, 4} or self.mask.requires_grad:
            return False
        batch, heads, queries, _ = self.query.shape
        sizes = (batch, heads, queries, self.key.shape[2])[-self.mask.dim() :]
        return all(size in {1, wanted} for size, wanted in zip(self.mask.shape, sizes, strict=True))


def is_small_chip(capability: Capability) -> bool:
    """Whether a block has 99 KiB of shared memory, where an A100 has 163 and an H100 has 227."""
    return (8, 6) <= capability <= (8, 9) or capability[0] == 12  # noqa: PLR2004


def _can_use_cudnn(call: Call, capability: Capability) -> bool:
    """`can_use_cudnn_attention`."""
    largest_head = LARGEST_CUDNN_HEAD_ON_HOPPER if capability == (9, 0) else LARGEST_CUDNN_HEAD
    head_sizes = (call.query.shape[-1], call.value.shape[-1])
    return (
        call.query.dtype in LOW_PRECISION
        and call.heads_fit
        and call.broadcastable_mask
        and all(size <= largest_head and size % 8 == 0 for size in head_sizes)
        and max(call.query.shape[:2]) <= LARGEST_CUDNN_DIMENSION
        and (call.dropout * 16).is_integer()
        and call.key.shape[2] != 1
        and not (call.dropout and call.query.shape[2] == 1)
    )


def _can_use_flash(call: Call, capability: Capability) -> bool:
    """`can_use_flash_attention`."""
    head_size = call.query.shape[-1]
    too_large_to_train = head_size > LARGEST_FLASH_HEAD_TRAINED_ANYWHERE and (
        head_size <= UNTRAINABLE_FLASH_HEADS_ON_SMALL_CHIPS or call.dropout > 0
    )
    return (
        (8, 0) <= capability <= (12, 1)
        and call.query.dtype in LOW_PRECISION
        and call.mask is None
        and head_size == call.key.shape[-1] == call.value.shape[-1] <= LARGEST_FLASH_HEAD
        and not (is_small_chip(capability) and call.trains and too_large_to_train)
        and (not call.causal or call.query.shape[2] == call.key.shape[2])
        and call.heads_fit
        and call.key.shape[1] == call.value.shape[1]
    )


def _can_use_efficient(call: Call, capability: Capability) -> bool:
    """`can_use_mem_efficient_attention`; up to 2.13 it takes no grouped heads."""
    major = capability[0]
    dtypes = (torch.float16, torch.float32, *((torch.bfloat16,) if major >= 8 else ()))  # noqa: PLR2004
    itemsize = call.query.dtype.itemsize
    alignment = 4 if major >= 8 else 1  # noqa: PLR2004
    if major >= 8 or (major == 7 and itemsize == 2):  # noqa: PLR2004
        alignment = max(alignment, 16 // itemsize)
    return (
        (5, 0) <= capability <= (12, 1)
        and call.query.dtype in dtypes
        and call.heads_match
        and call.query.shape[-1] == call.key.shape[-1]
        and all(tensor.shape[-1] % alignment == 0 for tensor in (call.query, call.value))
    )


def backend_of(call: Call, capability: Capability) -> Backend:
    """`select_sdp_backend`: the first of `priority_order` whose conditions hold."""
    if not call.regular:
        return "math"
    cudnn_preferred = capability[0] in {9, 10}  # Hopper, and data centres' Blackwell (`check_prefer_cudnn_attention`)
    if cudnn_preferred and _can_use_cudnn(call, capability):
        return "cudnn"
    if _can_use_flash(call, capability):
        return "flash"
    return "efficient" if _can_use_efficient(call, capability) else "math"


def fused_attention(compute_capability: Capability) -> Callable[..., Tensor]:
    """A stand-in for `torch.nn.functional.scaled_dot_product_attention`, as it was when this was called.

    On meta tensors it calls the operators that a CUDA build calls on such a card; other tensors, and what CUDA would
    leave to the quadratic path, it hands on.
    """
    plain = functional.scaled_dot_product_attention

    def scaled_dot_product_attention(  # noqa: PLR0913, PLR0917
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,  # noqa: FBT001, FBT002
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        call = Call(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
        backend = backend_of(call, compute_capability) if query.is_meta else "math"
        if backend == "math":
            return plain(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        if backend == "flash":
            return _flash(call, scale)
        if backend == "cudnn":
            operator, bias = torch.ops.aten._scaled_dot_product_cudnn_attention, _cudnn_bias(call)
        else:
            operator, bias = torch.ops.aten._scaled_dot_product_efficient_attention, _efficient_bias(call)
        output: Tensor = operator(query, key, value, bias, call.trains, dropout_p, is_causal, scale=scale)[0]
        return output

    return scaled_dot_product_attention


def _flash(call: Call, scale: float | None) -> Tensor:
    """The flash case of `scaled_dot_product_attention`: heads padded to a multiple of 8 (`pad_last_dim`)."""
    head_size = call.query.shape[-1]
    padding = -head_size % 8
    tensors = [call.query, call.key, call.value]
    if padding:
        tensors = [functional.pad(tensor, (0, padding)) for tensor in tensors]
    operator = torch.ops.aten._scaled_dot_product_flash_attention
    scale = head_size**-0.5 if scale is None else scale
    output: Tensor = operator(*tensors, call.dropout, call.causal, scale=scale)[0]
    return output[..., :head_size] if padding else output


def _cudnn_bias(call: Call) -> Tensor | None:
    """`convert_boolean_attn_mask_cudnn`."""
    if call.mask is None or call.mask.dtype != torch.bool:
        return call.mask
    zero = torch.scalar_tensor(0.0, dtype=call.query.dtype, device=call.mask.device)
    return torch.where(call.mask.logical_not(), -65504.0, zero)


def _efficient_bias(call: Call) -> Tensor | None:
    """`convert_boolean_attn_mask` and `preprocess_mask`: additive, rows aligned to 8 elements, for all heads."""
    mask = call.mask
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        hidden = torch.scalar_tensor(-torch.inf, dtype=call.query.dtype, device=mask.device)
        mask = torch.where(mask, 0.0, hidden)
    if mask.stride(-1) != 1 or any(stride % 8 for stride in mask.stride()[:-1]):
        keys = mask.shape[-1]
        mask = functional.pad(mask, (0, 8 - keys % 8))[..., :keys]
    batch, heads, queries, _ = call.query.shape
    return mask.expand(batch, heads, queries, call.key.shape[2])
