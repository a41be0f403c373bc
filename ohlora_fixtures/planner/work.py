"""How much a run computes and moves: what a card's peaks are held against, and what its seconds are planned from.

While the workload is traced, matrix products and attention are counted that PyTorch's FLOP counter knows
(`torch.utils.flop_counter`), and every operator that the host calls. What other kernels write, the trace's allocations
tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from .curves import Weights, on_polynomial
from .seconds import Work
from .steps import NotComposableError, whole

Counter = Callable[[Sequence[Any], Mapping[str, Any], Any], Work]
"""Takes an operator's arguments, keyword arguments and result."""


def counter_of(func: torch._ops.OpOverload) -> Counter | None:
    """How to count an operator; None for one that the FLOP counter does not know."""
    formula = flop_registry.get(func.overloadpacket)
    if formula is None:
        return None
    is_attention = "scaled_dot_product" in func.overloadpacket.__name__

    known: dict[Any, Work] = {}

    def count(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
        key = tuple(map(_key, args))
        if key not in known:
            shapes = _with_all_heads(func, args) if is_attention else args
            tensors = [each for each in (*args, *_several(out)) if isinstance(each, torch.Tensor)]
            flops = int(formula(*shapes, **kwargs, out_val=out))
            is_fp32 = tensors[0].dtype is torch.float32
            known[key] = Work(flops, sum(map(_bytes, tensors)), flops if is_fp32 else 0)
        return known[key]

    return count


def work_at(x: int, known: Mapping[int, Work]) -> Work:
    """Work at `x` on the polynomial through the work at known points: two give a line, three a parabola.

    Raises NotComposableError as `work_between` does.
    """
    return work_between(on_polynomial(x, [*known]), [*known.values()])


def work_between(weights: Weights, known: Sequence[Work]) -> Work:
    """Work at a point, by that at known points.

    Raises NotComposableError unless what matrix products do comes out whole.
    """
    flops, moved_bytes, fp32_flops, *others = zip(*(vars(work).values() for work in known), strict=True)
    exact = (whole(weights.sum(values)) if any(values) else 0 for values in (flops, moved_bytes, fp32_flops))
    return Work(*exact, *(round(weights.sum(values)) for values in others))


def mean_work(each: Sequence[Work]) -> Work:
    """The mean of what steps do; raises NotComposableError unless what matrix products do comes out whole."""
    total, count = sum(each, Work()), len(each)
    if any(value % count for value in total.products):
        raise NotComposableError("a step's work is no mean of others' work")
    return Work(*(round(value / count) for value in vars(total).values()))


def _with_all_heads(func: torch._ops.OpOverload, args: Sequence[Any]) -> list[Any]:
    """The arguments with as many key and value heads as the query has: older formulas refuse grouped ones."""
    names = [argument.name for argument in func._schema.arguments]
    heads = args[names.index("query")].shape[1]
    changed = list(args)
    for place in (names.index("key"), names.index("value")):
        changed[place] = changed[place][:, :1].expand(-1, heads, -1, -1)
    return changed


def _key(argument: Any) -> Any:
    """All of an argument that the count depends on."""
    if isinstance(argument, torch.Tensor):
        return argument.shape, argument.stride(), argument.dtype
    return tuple(argument) if isinstance(argument, list) else argument


def _several(out: Any) -> Sequence[Any]:
    return out if isinstance(out, (tuple, list)) else (out,)


def _bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor's different elements: what is expanded is there once."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else min(size, 1)
    return elements * tensor.dtype.itemsize
