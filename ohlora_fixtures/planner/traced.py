"""One candidate's workloads, traced on meta tensors: the functions that the benches measure."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader
from transformers import Trainer

from ..inputs.variants import Variant, rank_of
from ..workloads.adapters import attach_adapter, detach_adapter, trainable_parameters
from ..workloads.fine_tuning import fine_tune
from ..workloads.inference import answer
from .allocator import Category, Trace
from .attention import fused_attention
from .attention_kernels import temporaries
from .batches import EstimatedTokenizer
from .cuda_kernels import CudaKernels, Workspaces
from .meta_kernels import MetaKernels
from .on_meta import cuda_order, workloads_on_meta
from .rwkv_loop import Recordings, loops_recorded
from .tracer import StorageTracer
from .work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.dataset import Example
    from ..inputs.gpu_profiles import GpuProfile
    from ..inputs.protocol import Protocol

Batch = Sequence["Example"]


@dataclass(frozen=True)
class TracedRun:
    """A traced run of several steps."""

    trace: Trace
    """From placing the model to the end of the last step or answer."""
    ends: tuple[int, ...]
    """Where each training step ends, or the drawing of each token begins: positions in the trace's events."""
    work_until: tuple[Work, ...]
    """What had been computed and moved by then."""

    @property
    def work_each(self) -> tuple[Work, ...]:
        """What each training step, or each token's forward pass, computes and moves."""
        return tuple(end - begin for begin, end in pairwise((Work(), *self.work_until)))


class _Marks:
    """Where a run's steps end, as it is traced."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self._work: list[Work] = []

    def set(self, tracer: StorageTracer) -> None:
        self.ends.append(len(tracer.trace.events))
        self._work.append(tracer.work)

    def run(self, trace: Trace) -> TracedRun:
        return TracedRun(trace, tuple(self.ends), tuple(self._work))


class TracedCandidate:
    """Traces one candidate's workloads; what traces have in common is worked out once."""

    def __init__(
        self,
        candidate: Candidate,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        protocol: Protocol,
        profile: GpuProfile,
    ) -> None:
        """Take the candidate's full-size model on meta."""
        self._candidate = candidate
        self._model = model
        self._tokenizer = tokenizer
        self._protocol = protocol
        self._profile = profile
        self._kernels = MetaKernels()
        self._recordings: Recordings = {}
        self._trainable: dict[Variant, int] = {}

    def checkpoints(self, variant: Variant) -> bool:
        """Whether a variant recomputes activations."""
        return variant.protocol(self._protocol).gradient_checkpointing

    def placing(self) -> Trace:
        """The model reaching the device."""
        with self._tracing(self._protocol) as tracer:
            return tracer.trace

    def fine_tuning(self, variant: Variant, batches: Sequence[Batch], **changes: Any) -> TracedRun:
        """Placing the model, attaching the adapter, and one step for each batch in the order given.

        `changes` are protocol settings that differ from the variant's own.
        """
        protocol = replace(variant.protocol(self._protocol), epochs=1, **changes)
        marks = _Marks()
        with ExitStack() as stack:
            tracer = stack.enter_context(self._tracing(protocol))
            with tracer.labelled(Category.ADAPTERS):
                adapted = attach_adapter(self._model, variant, self._candidate.target_modules, protocol)
            stack.callback(detach_adapter, adapted)
            self._trainable[variant] = trainable_parameters(adapted)
            stack.enter_context(_gradients_labelled(adapted, tracer))
            stack.enter_context(_optimizer_labelled(tracer))
            stack.enter_context(_given_batches(batches))
            rows = [row for batch in batches for row in batch]
            fine_tune(adapted, self._tokenizer, rows, protocol, lambda: marks.set(tracer))
            return marks.run(_shortened(tracer.trace, marks.ends[-1]))

    def trainable_parameters(self, variant: Variant, ends: tuple[Variant, Variant] | None) -> int:
        """Parameters of a traced variant's adapter; of one between two traced `ends`, on the line through theirs."""
        if ends is None or variant in self._trainable:
            return self._trainable[variant]
        (low, high), (first, last) = ends, (self._trainable[end] for end in ends)
        return first + (last - first) * (rank_of(variant) - rank_of(low)) // (rank_of(high) - rank_of(low))

    def generation(self, prompt_tokens: int, max_length: int) -> TracedRun:
        """Placing the model, and a prompt answered up to a length in tokens, the prompt's included."""
        protocol = replace(self._protocol, max_length=max_length)
        marks = _Marks()
        with self._tracing(protocol) as tracer:
            tracer.before[torch.ops.aten.multinomial.default] = lambda: marks.set(tracer)
            answer(self._model, EstimatedTokenizer(1), ["x" * prompt_tokens], protocol, lambda: None)
        return marks.run(tracer.trace)

    def one_after_the_other(
        self, prompt_tokens: int, kept_bytes: Sequence[int], variants: Sequence[Variant], batches: Sequence[Batch]
    ) -> dict[str, Trace]:
        """As a notebook runs it: answering, then each variant's adapter in place of the last; traces up to each end.

        `kept_bytes` are blocks that stay from the answering on. A trainer is let go when the next one begins.
        """
        protocol = replace(self._protocol, epochs=1)
        ends: dict[str, int] = {}
        rows = [row for batch in batches for row in batch]
        alive: list[Any] = []
        with warnings.catch_warnings(), self._tracing(protocol) as tracer, _given_batches(batches):
            warnings.simplefilter("ignore")  # peft's, of an adapter in place of another
            for size in kept_bytes:
                tracer.trace.allocate(size, Category.ACTIVATIONS)
            answer(self._model, EstimatedTokenizer(1), ["x" * prompt_tokens], protocol, lambda: None)
            for variant in variants:
                adapted = attach_adapter(self._model, variant, self._candidate.target_modules, protocol)
                alive.clear()  # what cycles hold goes only when `Trainer.train` collects garbage
                alive.append(fine_tune(adapted, self._tokenizer, rows, protocol, lambda: None))
                ends[variant.name] = len(tracer.trace.events)
            detach_adapter(adapted)
        return {name: _shortened(tracer.trace, end) for name, end in ends.items()}

    @contextmanager
    def _tracing(self, protocol: Protocol) -> Iterator[StorageTracer]:
        trace = Trace()
        is_fused = self._profile.attention == "fused"
        tracer = StorageTracer(
            trace,
            self._model.config.get_text_config().vocab_size,
            meta_kernels=self._kernels,
            cuda_kernels=CudaKernels(
                Workspaces(self._profile.cublas_workspace_bytes),
                partial(temporaries, compute_capability=self._profile.capability) if is_fused else None,
            ),
        )
        with ExitStack() as stack:
            stack.enter_context(_garbage_kept())
            stack.enter_context(workloads_on_meta(trace.empty_cache))
            if not protocol.gradient_checkpointing:  # it runs a layer twice, and lets go of it in between
                stack.enter_context(loops_recorded(tracer, self._recordings))
            if is_fused:
                fused = fused_attention(self._profile.capability)
                stack.enter_context(patch.object(torch.nn.functional, "scaled_dot_product_attention", fused))
            stack.enter_context(tracer)
            tracer.adopt(cuda_order(self._model), Category.BASE_WEIGHTS)
            yield tracer


def _shortened(trace: Trace, length: int) -> Trace:
    events = trace.events[:length]
    return Trace(events, trace.categories[: sum(event > 0 for event in events)])


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


@contextmanager
def _given_batches(batches: Sequence[Batch]) -> Iterator[None]:
    """Let `Trainer` take the batches given instead of drawing its own."""
    borders = [sum(map(len, batches[:count])) for count in range(len(batches) + 1)]
    indices = [list(range(start, stop)) for start, stop in pairwise(borders)]

    def get_train_dataloader(trainer: Trainer) -> Any:
        loader = DataLoader(trainer.train_dataset, batch_sampler=indices, collate_fn=trainer.data_collator)  # type: ignore[arg-type]
        return trainer.accelerator.prepare(loader)

    with patch.object(Trainer, "get_train_dataloader", get_train_dataloader):
        yield


@contextmanager
def _gradients_labelled(model: torch.nn.Module, tracer: StorageTracer) -> Iterator[None]:
    """Tell the blocks that end up as a parameter's gradient from other results of the backward pass."""

    def relabel(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        tracer.relabel(parameter.grad, Category.GRADIENTS)

    trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
    hooks = [parameter.register_post_accumulate_grad_hook(relabel) for parameter in trained]
    yield
    for hook in hooks:
        hook.remove()


@contextmanager
def _optimizer_labelled(tracer: StorageTracer) -> Iterator[None]:
    """Label what an optimizer's step allocates: its states and its temporaries."""

    def labels(category: Category) -> Callable[..., None]:
        def begin(*_: Any) -> None:
            tracer.category = category

        return begin

    hooks = (
        register_optimizer_step_pre_hook(labels(Category.OPTIMIZER)),
        register_optimizer_step_post_hook(labels(Category.ACTIVATIONS)),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
