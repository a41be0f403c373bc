"""Runs and traces workloads on meta tensors the way they would run on a CUDA device."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import accelerate.state
import accelerate.utils.memory
import torch
import transformers.trainer
from torch import library
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils import _foreach_utils
from transformers import TrainingArguments
from transformers.integrations import hub_kernels

from .allocator import Category, Trace
from .attention import fused_attention
from .cuda_kernels import CudaKernels
from .meta_kernels import MetaKernels
from .recordings import Recordings, calls_recorded
from .tracer import StorageTracer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..inputs.gpu_profiles import GpuProfile

META = torch.device("meta")


@contextmanager
def storages_traced(
    model: PreTrainedModel,
    profile: GpuProfile,
    begin: Callable[[StorageTracer], None] | None = None,
    *,
    kernels: MetaKernels | None = None,
    recordings: Recordings | None = None,
) -> Iterator[StorageTracer]:
    """Trace what the block does with a model on meta, as a card would do it; the model is placed first.

    The model is placed as by `.to(device)`, or by `begin`, where that is given. `kernels` and `recordings` have what
    earlier traces of the same model worked out.
    """
    trace = Trace()
    tracer = StorageTracer(
        trace,
        model.config.get_text_config().vocab_size,
        meta_kernels=MetaKernels() if kernels is None else kernels,
        cuda_kernels=CudaKernels(profile.cublas_workspace_bytes, profile.capability),
    )
    with ExitStack() as stack:
        stack.enter_context(_garbage_kept())
        stack.enter_context(workloads_on_meta(trace.empty_cache))
        stack.enter_context(calls_recorded(tracer, {} if recordings is None else recordings))
        if profile.attention == "fused":
            fused = fused_attention(profile.capability)
            stack.enter_context(patch.object(torch.nn.functional, "scaled_dot_product_attention", fused))
        stack.enter_context(_optimizer_labelled(tracer))
        stack.enter_context(tracer.modules_counted())
        stack.enter_context(tracer)
        if begin is None:
            tracer.adopt(cuda_order(model), Category.BASE_WEIGHTS)
        else:
            begin(tracer)
        yield tracer


def place_by_device_map(model: PreTrainedModel, tracer: StorageTracer) -> None:
    """Place a model as `from_pretrained(..., device_map=...)` does: first it has the allocator take one segment.

    That is `caching_allocator_warmup` in `transformers/modeling_utils.py`.
    """
    size_bytes = sum(each.nbytes for each in model.parameters())
    tracer.trace.free(tracer.trace.allocate(size_bytes, Category.BASE_WEIGHTS))
    tracer.adopt(by_name(model), Category.BASE_WEIGHTS)


@contextmanager
def workloads_on_meta(empty_cache: Callable[[], None]) -> Iterator[None]:
    """Run `transformers`, `accelerate` and `torch.optim` on meta as on one CUDA device.

    `empty_cache` is called where `torch.cuda.empty_cache` would be, as `Trainer.train` does at its start. Kernels of
    mamba_ssm, causal_conv1d and fla, which take no meta tensors, are left alone where these packages are installed:
    transformers has its own operators for models that are exported.
    """

    def clear_device_cache(garbage_collection: bool = False) -> None:  # noqa: FBT001, FBT002 - accelerate's signature
        if garbage_collection:
            gc.collect()
        empty_cache()

    with ExitStack() as stack:
        stack.enter_context(library._scoped_library("aten", "IMPL")).impl("dropout", _fused_dropout, "AutogradMeta")
        stack.enter_context(patch.object(accelerate.state.PartialState, "default_device", META))
        stack.enter_context(patch.object(accelerate.utils.memory, "clear_device_cache", clear_device_cache))
        stack.enter_context(patch.object(transformers.trainer, "clear_device_cache", clear_device_cache))
        stack.enter_context(patch.object(torch.cuda, "empty_cache", empty_cache))
        stack.enter_context(patch.object(TrainingArguments, "device", property(_meta_device)))
        stack.enter_context(patch.object(hub_kernels, "is_torchdynamo_exporting", lambda: True))
        for module in (_foreach_utils, import_module("torch.optim.optimizer")):
            for kind in ("foreach", "fused"):
                stack.enter_context(patch.object(module, f"_get_{kind}_kernels_supported_devices", lambda: ["meta"]))
        yield


def cuda_order(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """A module's tensors in the order in which `.to(device)` copies them: children, parameters, buffers.

    That is `Module._apply` in `torch/nn/modules/module.py`. A tied weight comes up twice; the second time
    it is on the device already.
    """
    for child in module.children():
        yield from cuda_order(child)
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def by_name(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """A model's tensors in the order in which `from_pretrained` puts them on a device: by name, buffers last.

    That is `dot_natural_key` in `transformers/core_model_loading.py`.
    """

    def key(named: tuple[str, torch.Tensor]) -> list[tuple[bool, int, str]]:
        return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in named[0].split(".")]

    yield from (each for _, each in sorted(model.named_parameters(), key=key))
    yield from model.buffers()


@contextmanager
def _optimizer_labelled(tracer: StorageTracer) -> Iterator[None]:
    """Label what an optimizer's step allocates, its states and its temporaries, and the gradients that it finds."""

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        tracer.category = Category.OPTIMIZER
        label_gradients((each for group in optimizer.param_groups for each in group["params"]), tracer)

    def after(*_: Any) -> None:
        tracer.category = Category.ACTIVATIONS

    with ExitStack() as stack:
        stack.callback(register_optimizer_step_pre_hook(before).remove)
        stack.callback(register_optimizer_step_post_hook(after).remove)
        yield


def label_gradients(parameters: Iterable[torch.Tensor], tracer: StorageTracer) -> None:
    """Tell the gradients that parameters have from other results of the backward pass."""
    for parameter in parameters:
        if parameter.grad is not None:
            tracer.relabel(parameter.grad, Category.GRADIENTS)


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Collect no garbage but where the code asks for it: when Python does by itself, no two traces are alike."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _fused_dropout(input: torch.Tensor, p: float, train: bool) -> torch.Tensor:  # noqa: A002, FBT001 - as in the schema
    """`dropout` as CUDA has it: one kernel, and a mask of a byte an element (`aten/src/ATen/native/Dropout.cpp`)."""
    if not train or p == 0 or input.numel() == 0:
        return input
    result: torch.Tensor = torch.native_dropout(input, p, train)[0]
    return result


def _meta_device(arguments: TrainingArguments) -> torch.device:
    """`TrainingArguments.device`, which also sets up the process state that others rely on."""
    arguments._setup_devices  # noqa: B018 - a cached property with effects
    return META
