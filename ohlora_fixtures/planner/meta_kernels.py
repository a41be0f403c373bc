"""Meta kernels run once per signature.

On meta tensors an operator's result is a shape, strides and a dtype, and it depends on nothing but those
of its arguments. So a functional operator seen before with the same ones needs no kernel: a step's trace
then costs a fifth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Kernel = Callable[..., Any]

_CHANGES_METADATA = frozenset(
    ("as_strided_", "detach_", "resize_", "resize_as_", "set_", "squeeze_", "swapaxes_", "swapdims_", "t_",
     "transpose_", "unsqueeze_")
)  # fmt: skip
"""In-place operators that do change what meta tensors have."""


class MetaKernels:
    """Runs operators on meta tensors, remembering the metadata of what functional ones return."""

    def __init__(self) -> None:
        self._results: dict[Any, Kernel] = {}
        self._aliasing: set[torch._ops.OpOverload] = set()

    def kernel(self, func: torch._ops.OpOverload) -> Kernel:
        """How to run an operator: as it is, through the memory of results, or not at all if it is in place."""
        schema = func._schema
        if func.namespace != "aten" or torch.Tag.dynamic_output_shape in func.tags:
            return func
        returned = [each.alias_info for each in schema.returns]
        written = [argument.name for argument in schema.arguments if argument.alias_info is not None]
        if all(alias is not None and alias.is_write for alias in returned):
            return _in_place(func) if written == ["self"] else func
        if any(returned) or written:
            return func
        return lambda *args, **kwargs: self._run(func, args, kwargs)

    def _run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func in self._aliasing:
            return func(*args, **kwargs)
        try:
            key = func, _signature(args), _signature(tuple(kwargs.items())) if kwargs else None
            remembered = self._results.get(key)
        except (TypeError, RuntimeError):  # an argument that cannot be hashed
            return func(*args, **kwargs)
        if remembered is not None:
            return remembered()
        out = func(*args, **kwargs)
        if _shares_storage(out, args):
            self._aliasing.add(func)
        else:
            maker = _maker(out)
            if maker is not None:
                self._results[key] = maker
        return out


def _in_place(func: torch._ops.OpOverload) -> Kernel:
    name = func._schema.name.rpartition("::")[2]
    if name in _CHANGES_METADATA:
        return func
    if len(func._schema.returns) == 1:
        return lambda self, *args, **kwargs: self if _is_meta(self) else func(self, *args, **kwargs)
    if name.startswith("_foreach_") and not func._schema.returns:
        return lambda self, *args, **kwargs: None if _is_meta(self[0]) else func(self, *args, **kwargs)
    return func


def _is_meta(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "meta"


def _signature(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([_signature_of(value) for value in values])


def _signature_of(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype, value.device.type
    if isinstance(value, (tuple, list)):
        return _signature(value)
    return type(value), value


def _shares_storage(out: Any, args: Sequence[Any]) -> bool:
    """Whether an operator returns an alias that its schema does not tell of, as `_unsafe_view` does."""
    if not isinstance(out, torch.Tensor):
        return False
    storage = out.untyped_storage()._cdata
    return any(isinstance(each, torch.Tensor) and each.untyped_storage()._cdata == storage for each in args)


def _maker(out: Any) -> Kernel | None:
    """What makes such a result again; None if it is not on meta."""
    if out is None:
        return lambda: None
    if isinstance(out, torch.Tensor):
        size, stride, dtype = out.shape, out.stride(), out.dtype
        return (lambda: torch.empty_strided(size, stride, dtype=dtype, device="meta")) if _is_meta(out) else None
    if type(out) in (tuple, list):
        kind = type(out)
        makers = [_maker(each) for each in out]
        if None not in makers:
            return lambda: kind([maker() for maker in makers if maker])
    return None
