"""Values of small whole-number meta tensors, kept on the host beside them.

Masks, positions and token counts start from the data, which a plan knows. Libraries look into them
(`if mask.all(): ...`) and take another path for another answer, so the answer must be the real one.
"""

from __future__ import annotations

from typing import Any

import torch

MAX_ELEMENTS = 1 << 16
"""Larger tensors are not followed: nothing that decides a path is so large."""

_KINDS = frozenset({torch.bool, torch.uint8, torch.int32, torch.int64})
_HOST = torch.device("cpu")


class _UnknownError(Exception):
    pass


def follow(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
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


def value_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The tensor's value on the host, or None where it is not known."""
    known: torch.Tensor | None = getattr(tensor, "_known_value", None)
    if known is None or getattr(known.untyped_storage(), "_is_stale", False):
        return None
    return known


def _on_host(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        if argument.device.type != "meta" and argument.dtype in _KINDS:
            return argument
        known = value_of(argument)
        if known is None:
            raise _UnknownError
        return known
    if isinstance(argument, (list, tuple)):
        return [_on_host(each) for each in argument]
    return argument
