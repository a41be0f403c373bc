"""Makes the measured workloads run on meta tensors the way they would run on a CUDA device."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING
from unittest.mock import patch

import accelerate.state
import accelerate.utils.memory
import torch
from torch import library
from torch.utils import _foreach_utils
from transformers import TrainingArguments

from .cuda_kernels import fused_dropout

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


META = torch.device("meta")


@contextmanager
def workloads_on_meta(empty_cache: Callable[[], None]) -> Iterator[None]:
    """Run `transformers`, `accelerate` and `torch.optim` on meta as on one CUDA device.

    `empty_cache` is called where `torch.cuda.empty_cache` would be, as `Trainer.train` does at its start.
    """

    def clear_device_cache(garbage_collection: bool = False) -> None:  # noqa: FBT001, FBT002 - accelerate's signature
        if garbage_collection:
            gc.collect()
        empty_cache()

    kernels = library.Library("aten", "IMPL")
    kernels.impl("dropout", fused_dropout, "AutogradMeta")
    with ExitStack() as stack:
        stack.callback(kernels._destroy)
        stack.enter_context(patch.object(accelerate.state.PartialState, "default_device", META))
        stack.enter_context(patch.object(accelerate.utils.memory, "clear_device_cache", clear_device_cache))
        stack.enter_context(patch.object(TrainingArguments, "device", property(_meta_device)))
        for module in (_foreach_utils, import_module("torch.optim.optimizer")):
            stack.enter_context(patch.object(module, "_get_foreach_kernels_supported_devices", lambda: ["meta"]))
        yield


def _meta_device(arguments: TrainingArguments) -> torch.device:
    """`TrainingArguments.device`, which also sets up the process state that others rely on."""
    arguments._setup_devices  # noqa: B018 - a cached property with effects
    return META
