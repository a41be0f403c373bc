"""In which order a model's tensors reach the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def cuda_order(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """A module's tensors in the order in which `.to(device)` copies them: children, parameters, buffers.

    That is `Module._apply` in `torch/nn/modules/module.py`. A tied weight comes up twice; the second time
    it is on the device already.
    """
    for child in module.children():
        yield from cuda_order(child)
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
