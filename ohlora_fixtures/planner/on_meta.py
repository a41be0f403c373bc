"""Makes the measured workloads run on meta tensors the way they would run on a CUDA device.

Meta tensors have shapes and no bytes. Where PyTorch or a library takes another path for them than for
CUDA, the path is put right here, for the duration of a `with` block and without touching the workloads.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from unittest.mock import patch

import accelerate.state
import accelerate.utils.memory
import torch
from torch import library
from torch.utils import _foreach_utils
from transformers import TrainingArguments

from .cuda_kernels import fused_dropout

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
