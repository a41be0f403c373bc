"""bitsandbytes on meta tensors: quantised models as a card loads them, and what its CUDA kernels do.

The library's own loader, layers and optimizers run. Its operators have meta implementations of their own; where a CUDA
kernel is made of several operators, or looks at the data, the same operators run here (`backends/cuda/ops.py` and
`backends/default/ops.py` of bitsandbytes 0.50).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula
from transformers.modeling_utils import get_total_byte_count

from ..workloads.models import quantise, untied_weights
from .allocator import Category

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .tracer import StorageTracer

FUSED_ROWS = 4
"""Up to so many rows every card multiplies 4-bit weights as they are (`_GEMM_4BIT_CUSTOM_FLOOR_M`)."""
_NESTED_BLOCK = 256


class _OnHost:
    """A weight in a file: indexing it, as the loader does, brings it to the device."""

    def __init__(self, weight: Tensor) -> None:
        self._layout = weight.shape, weight.dtype

    def __getitem__(self, _: Any) -> Tensor:
        shape, dtype = self._layout
        return torch.empty(shape, dtype=dtype, device="meta")


def load_quantised(model: PreTrainedModel, base: Mapping[str, Any], tracer: StorageTracer) -> PreTrainedModel:
    """A model on meta, quantised as a card does it: each weight comes to the device in bfloat16 first.

    Before, transformers has the allocator take as much as it thinks that all weights will need, in one block
    (`caching_allocator_warmup`). Call it while tracing.
    """
    import transformers.modeling_utils as of_transformers

    outside = ExitStack()
    outside.enter_context(tracer.aside())  # what is on meta on a card, too, until weights come to the device

    def warm_up(skeleton: Any, device_map: Mapping[str, Any], quantizer: Any) -> None:
        outside.close()
        (size_bytes,) = get_total_byte_count(skeleton, dict(device_map), quantizer).values()
        tracer.trace.free(tracer.trace.allocate(2 * int(size_bytes // 2), Category.BASE_WEIGHTS))

    weights = {name: _OnHost(weight) for name, weight in untied_weights(model).items()}
    with tracer.labelled(Category.BASE_WEIGHTS), patch.object(of_transformers, "caching_allocator_warmup", warm_up):
        loaded = quantise(type(model), model.config, weights, base, "meta")
    loaded.generation_config = model.generation_config
    return loaded


@contextmanager
def bitsandbytes_on_meta() -> Iterator[None]:
    """Let bitsandbytes take meta tensors as a card's, if it is installed."""
    if find_spec("bitsandbytes") is None:
        yield
        return
    from bitsandbytes import functional
    from bitsandbytes.nn import Int8Params, Params4bit

    _count_flops()
    plain_4bit, plain_8bit, plain_code = Params4bit.to, Int8Params.to, functional.get_4bit_type

    def code(*args: Any, **kwargs: Any) -> Tensor:
        found: Tensor = plain_code(*args, **kwargs).clone()  # what is made of a list on meta is not seen being made
        return found

    def to_4bit(weight: Any, *args: Any, **kwargs: Any) -> Any:  # the library's own passes over meta
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        is_due = device is not None and not weight.bnb_quantized
        return weight._quantize(device) if is_due else plain_4bit(weight, *args, **kwargs)

    def to_8bit(weight: Any, *args: Any, **kwargs: Any) -> Any:
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is None or weight.device.type != "cpu":
            return plain_8bit(weight, *args, **kwargs)
        return Int8Params(weight.data.to(device=device, dtype=torch.float16), requires_grad=False)._quantize(device)

    with ExitStack() as stack:
        stack.enter_context(patch.object(Params4bit, "to", to_4bit))
        stack.enter_context(patch.object(Int8Params, "to", to_8bit))
        stack.enter_context(patch.dict(functional.name2qmap, clear=True))  # keeps tensors of the first device it sees
        stack.enter_context(patch.object(functional, "get_4bit_type", code))
        stack.enter_context(patch.object(functional, "get_paged", _managed))
        for name in ("fill", "prefetch_tensor"):
            stack.enter_context(patch.object(functional, name, lambda *_args, **_kwargs: None))
        yield


def _managed(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A paged tensor: CUDA's managed memory, of which PyTorch's allocator knows nothing (`cget_managed_ptr`)."""
    with torch._C._DisableTorchDispatch():
        paged = torch.empty(shape, dtype=dtype, device=device)
    paged.is_paged = True  # type: ignore[attr-defined]
    paged.page_deviceid = device.index  # type: ignore[attr-defined]
    return paged


def gemm_4bit(  # noqa: PLR0913, PLR0917 - the operator's schema
    activations: Tensor,
    weight: Tensor,
    shape: list[int],
    absmax: Tensor,
    blocksize: int,
    quant_type: str,
    bias: Tensor | None = None,
    absmax_8bit: Tensor | None = None,
    absmax_code: Tensor | None = None,
    absmax_offset: Tensor | None = None,
) -> Tensor:
    """`_dequant_linear_fallback`: the weight in full, and a matrix product.

    Between `FUSED_ROWS` and some hundred rows it depends on the card whether it does that or multiplies the weight as
    it is (`_gemm_4bit_use_custom_cuda`): this is the larger of the two. The backward pass always has the whole weight.
    """
    operators = torch.ops.bitsandbytes
    if activations.numel() // activations.shape[-1] <= FUSED_ROWS:
        result: Tensor = operators.gemv_4bit(activations, weight, shape, absmax, absmax, blocksize)
        return result
    if absmax_8bit is not None:
        levels = operators.dequantize_blockwise(absmax_8bit, absmax, absmax_code, _NESTED_BLOCK, torch.float32)
        absmax = levels + absmax_offset
    whole = operators.dequantize_4bit(weight, absmax, blocksize, quant_type, shape, activations.dtype)
    return torch.nn.functional.linear(activations, whole, bias)


def int8_vectorwise_quant(values: Tensor, threshold: float = 0.0) -> tuple[Tensor, Tensor, Tensor | None]:
    """The operator of that name; outliers above the threshold are for the data to say: none are planned."""
    row_stats = values.new_empty(values.numel() // values.shape[-1], dtype=torch.float32)
    rows = values.new_empty(values.shape, dtype=torch.int8)
    if threshold == 0.0:
        return rows, row_stats, None
    outliers = values.abs() >= threshold
    return rows, row_stats, outliers.new_empty(0, dtype=torch.int64)


def int8_mixed_scaled_mm(  # noqa: PLR0913, PLR0917 - the operator's schema
    activations: Tensor,
    rows: Tensor,
    weight: Tensor,
    row_stats: Tensor,
    column_stats: Tensor,
    _outlier_columns: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The operator of that name, without outliers."""
    none = activations.new_empty(0)
    return int8_scaled_mm(rows, weight, row_stats, column_stats, bias, activations.dtype), none


def int8_scaled_mm(
    rows: Tensor,
    weight: Tensor,
    _row_stats: Tensor,
    _column_stats: Tensor,
    bias: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The operator of that name: sums in int32, scaled to fp16, then in the dtype asked for."""
    sums = torch.ops.bitsandbytes.int8_linear_matmul(rows, weight)
    scaled = torch.empty_like(sums, dtype=torch.float16)
    if bias is not None and bias.dtype != torch.float16:
        scaled.add_(bias)
    return scaled.to(dtype or torch.float16)


DECOMPOSED: dict[str, Callable[..., Any]] = {
    f"bitsandbytes::{function.__name__}": function
    for function in (gemm_4bit, int8_vectorwise_quant, int8_mixed_scaled_mm, int8_scaled_mm)
}
"""By the name in an operator's schema: what its CUDA kernel does, in other operators."""


@cache
def _count_flops() -> None:
    """Tell PyTorch's FLOP counter of the products that are operators of bitsandbytes."""
    operators = torch.ops.bitsandbytes

    @register_flop_formula(operators.gemv_4bit)
    def _(activations: tuple[int, ...], _weight: Any, shape: list[int], *_: Any, **__: Any) -> int:
        return 2 * prod(activations[:-1]) * shape[0] * shape[1]

    @register_flop_formula(operators.int8_linear_matmul)
    def _(rows: tuple[int, ...], weight: tuple[int, ...], *_: Any, **__: Any) -> int:
        return 2 * prod(rows) * weight[0]
