"""How operators run on meta tensors: once per signature, and with the values that follow from the data.

On meta tensors an operator's result is a shape, strides and a dtype, and it depends on nothing but those
of its arguments. So a functional operator seen before with the same ones needs no kernel: a step's trace
then costs a fifth.

Masks, positions and token counts start from the data, which a plan knows. Libraries look into them
(`if mask.all(): ...`) and take another path for another answer, so the answer must be the real one: values of small
whole-number tensors are kept on the host beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

_aten = torch.ops.aten

Kernel = Callable[..., Any]

FILLS = frozenset({_aten.uniform_.default, _aten.normal_.default, _aten.fill_.Scalar, _aten.zero_.default})
"""Fills of tensors on the host, of which a plan needs no values."""
MAX_ELEMENTS = 1 << 16
"""Values of larger tensors are not followed: nothing that decides a path is so large."""

_KINDS = frozenset({torch.bool, torch.uint8, torch.int32, torch.int64})
_HOST, _META = torch.device("cpu"), torch.device("meta")

_CHANGES_METADATA = frozenset(
    ("as_strided_", "detach_", "resize_", "resize_as_", "set_", "squeeze_", "swapaxes_", "swapdims_", "t_",
     "transpose_", "unsqueeze_")
)  # fmt: skip
"""In-place operators that do change what meta tensors have."""


class _UnknownError(Exception):
    pass


def follow_value(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """Compute the value of `out`, an operator's result on meta, if those of all its arguments are known."""
    if type(out) is not torch.Tensor or out.dtype not in _KINDS or out.numel() > MAX_ELEMENTS:
        return
    try:
        known = [_on_host(each) for each in args]
        named = {name: _HOST if name == "device" else _on_host(each) for name, each in kwargs.items()}
        out._known_value = func(*known, **named)  # type: ignore[attr-defined]
    except _UnknownError:
        if args and args[0] is out and hasattr(out, "_known_value"):  # overwritten by what is not known, views too
            out._known_value.untyped_storage()._is_stale = True


def kernel_with_values(func: torch._ops.OpOverload, kernel: Kernel) -> Kernel:
    """An operator's kernel, where the operator reads or copies values that a meta tensor does not have."""
    if func in FILLS:
        return lambda tensor, *args, **kwargs: kernel(tensor, *args, **kwargs) if tensor.is_meta else tensor
    if func is _aten._local_scalar_dense.default:
        return lambda tensor: _scalar(tensor) if tensor.is_meta else kernel(tensor)
    if func is _aten._to_copy.default:
        return lambda source, **kwargs: (
            _host_copy(source, kwargs) if _goes_to_host(source, kwargs) else kernel(source, **kwargs)
        )
    return kernel


class MetaKernels(dict[torch._ops.OpOverload, Kernel]):
    """How each operator runs on meta: as it is, through the memory of its results, or not at all if it is in place."""

    def __missing__(self, func: torch._ops.OpOverload) -> Kernel:
        return self.setdefault(func, _kernel(func))


def _kernel(func: torch._ops.OpOverload) -> Kernel:
    schema = func._schema
    if func.namespace != "aten" or torch.Tag.dynamic_output_shape in func.tags:
        return func
    returned = [each.alias_info for each in schema.returns]
    written = [argument.name for argument in schema.arguments if argument.alias_info is not None]
    if all(alias is not None and alias.is_write for alias in returned):
        return _in_place(func) if written == ["self"] else func
    return func if any(returned) or written else _remembering(func)


def _remembering(func: torch._ops.OpOverload) -> Kernel:
    results: dict[Any, Kernel] = {}
    is_aliasing = False

    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_aliasing
        if is_aliasing:
            return func(*args, **kwargs)
        try:
            key = _signature(args), _signature(kwargs.items()) if kwargs else None
            remembered = results.get(key)
        except (TypeError, RuntimeError):  # an argument that cannot be hashed
            return func(*args, **kwargs)
        if remembered is not None:
            return remembered()
        out = func(*args, **kwargs)
        is_aliasing = _shares_storage(out, args)
        maker = None if is_aliasing else _maker(out)
        if maker is not None:
            results[key] = maker
        return out

    return run


def _in_place(func: torch._ops.OpOverload) -> Kernel:
    name = func._schema.name.rpartition("::")[2]
    if name in _CHANGES_METADATA:
        return func
    if len(func._schema.returns) == 1:
        return lambda self, *args, **kwargs: self if self.is_meta else func(self, *args, **kwargs)
    if name.startswith("_foreach_") and not func._schema.returns:
        return lambda self, *args, **kwargs: None if self[0].is_meta else func(self, *args, **kwargs)
    return func


def _signature(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(
        [
            (value.shape, value.stride(), value.dtype, value.is_meta)
            if isinstance(value, torch.Tensor)
            else _signature(value)
            if isinstance(value, (tuple, list))
            else (type(value), value)
            for value in values
        ]
    )


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
        return (lambda: torch.empty_strided(size, stride, dtype=dtype, device=_META)) if out.is_meta else None
    if type(out) in (tuple, list):
        kind = type(out)
        makers = [_maker(each) for each in out]
        if None not in makers:
            return lambda: kind([maker() for maker in makers if maker])
    return None


def _value_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The tensor's value on the host, or None where it is not known."""
    known: torch.Tensor | None = getattr(tensor, "_known_value", None)
    if known is None or getattr(known.untyped_storage(), "_is_stale", False):
        return None
    return known


def _on_host(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        if argument.device.type != "meta" and argument.dtype in _KINDS:
            return argument
        known = _value_of(argument)
        if known is None:
            raise _UnknownError
        return known
    if isinstance(argument, (list, tuple)):
        return [_on_host(each) for each in argument]
    return argument


def _scalar(tensor: torch.Tensor) -> Any:
    """A meta tensor's value: the real one where it follows from the data, else an unremarkable one.

    That is a loss that is a number, or an answer that is not finished.
    """
    known = _value_of(tensor)
    if known is not None:
        return known.item()
    return False if tensor.dtype is torch.bool else torch.ones((), dtype=tensor.dtype).item()


def _goes_to_host(source: torch.Tensor, kwargs: dict[str, Any]) -> bool:
    target = kwargs.get("device")
    return target is not None and target.type != "meta" and source.is_meta


def _host_copy(source: torch.Tensor, kwargs: dict[str, Any]) -> torch.Tensor:
    known = _value_of(source)
    values = torch.ones(source.shape, dtype=source.dtype) if known is None else known
    return values.to(device=kwargs["device"], dtype=kwargs.get("dtype") or source.dtype)
