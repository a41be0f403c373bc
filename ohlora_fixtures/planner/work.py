"""How much a run computes and moves: what a card's peaks are held against.

Counted are the matrix products and attention that PyTorch's FLOP counter knows (`torch.utils.flop_counter`), while
the workload is traced. Element by element operators are left out, so both figures are lower bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from .steps import NotComposableError, whole_at


@dataclass(frozen=True)
class Work:
    """What operators did."""

    flops: int = 0
    """Floating-point operations, a multiplication and an addition counted as two."""
    moved_bytes: int = 0
    """Bytes they must move at least: each argument read once, each result written once."""

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.moved_bytes + other.moved_bytes)

    def __sub__(self, other: Work) -> Work:
        return Work(self.flops - other.flops, self.moved_bytes - other.moved_bytes)


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
            known[key] = Work(int(formula(*shapes, **kwargs, out_val=out)), sum(map(_bytes, tensors)))
        return known[key]

    return count


def work_at(x: int, known: Mapping[int, Work]) -> Work:
    """Work at `x` on the polynomial through the work at known points: two give a line, three a parabola.

    Raises NotComposableError unless it comes out whole.
    """
    flops = whole_at(x, {point: work.flops for point, work in known.items()})
    return Work(flops, whole_at(x, {point: work.moved_bytes for point, work in known.items()}))


def mean_work(each: Sequence[Work]) -> Work:
    """The mean of what steps do; raises NotComposableError unless it comes out whole."""
    total = sum(each, Work())
    if total.flops % len(each) or total.moved_bytes % len(each):
        raise NotComposableError("a step's work is no mean of others' work")
    return Work(total.flops // len(each), total.moved_bytes // len(each))


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
