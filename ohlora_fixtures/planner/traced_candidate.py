"""One candidate's workloads, traced on meta tensors: the functions that the benches measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import Trainer

from ..workloads.fine_tuning import (
    attach_adapter,
    detach_adapter,
    fine_tune,
    forget_optimizers,
    trainable_parameters,
)
from ..workloads.inference import answer
from .allocator import Category, Trace
from .batches import padding_tokenizer
from .meta_kernels import MetaKernels
from .on_meta import META, storages_traced
from .quantised import bitsandbytes_on_meta, load_quantised
from .seconds import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.gpu_profiles import GpuProfile
    from ..inputs.protocol import Protocol
    from ..inputs.templates import Example
    from ..inputs.variants import Variant
    from .recordings import Recordings
    from .tracer import StorageTracer

Batch = Sequence["Example"]


@dataclass(frozen=True)
class TracedRun:
    """A traced run of several steps."""

    trace: Trace
    """From placing the model to the end of the last step or answer."""
    begin: int
    """Where training or answering begins, after loading: a position in the trace's events."""
    ends: tuple[int, ...]
    """Where each training step ends, or the drawing of each token begins: positions in the trace's events."""
    work_each: tuple[Work, ...]
    """What each training step, or each token's forward pass, does."""


@dataclass(frozen=True)
class States:
    """What an optimizer keeps between steps, in bytes."""

    size_bytes: int | None
    """All of it that is not on the host; None where nothing is trained."""
    paged_bytes: int | None = None
    """What of it a paged optimizer has in CUDA's managed memory, outside PyTorch's allocator; None for another."""

    @classmethod
    def of(cls, optimizer: Any) -> States:
        """Those of an optimizer that has made a step."""
        kept = [each for state in optimizer.state.values() for each in state.values() if isinstance(each, torch.Tensor)]
        size_of = {
            (each.untyped_storage()._cdata, getattr(each, "is_paged", False)): each.untyped_storage().nbytes()
            for each in kept
            if each.device.type == META.type
        }
        pages = getattr(getattr(optimizer, "optimizer", optimizer), "is_paged", False)
        paged_bytes = sum(size for (_, is_paged), size in size_of.items() if is_paged)
        return cls(sum(size_of.values()), paged_bytes if pages else None)


@dataclass(frozen=True)
class _Placed:
    """A model on meta."""

    model: PreTrainedModel
    begin: Callable[[StorageTracer], None] | None = None
    """Brings it to the device; None for a plain one, which is moved there."""
    recordings: Recordings = field(default_factory=dict)


class _Given:
    """A batch sampler of given batches, as many each epoch."""

    def __init__(self, batches: Sequence[list[int]], each_epoch: int) -> None:
        self._left = iter(batches)
        self._each_epoch = each_epoch

    def __len__(self) -> int:
        return self._each_epoch

    def __iter__(self) -> Iterator[list[int]]:
        return islice(self._left, self._each_epoch)


@dataclass(eq=False)
class TracedCandidate:
    """Traces one candidate's workloads; what traces have in common is worked out once."""

    candidate: Candidate
    model: PreTrainedModel
    """At full size, on meta."""
    tokenizer: PreTrainedTokenizerBase
    protocol: Protocol
    profile: GpuProfile
    watch: Callable[[str], None] = lambda _: None
    """What to tell what is traced, in a few words."""
    trainable_parameters: dict[Variant, int] = field(default_factory=dict, init=False)
    """Parameters that training changes, of each variant traced so far."""
    states: dict[Variant, States] = field(default_factory=dict, init=False)
    """What the optimizer keeps, of each variant traced so far."""
    _kernels: MetaKernels = field(default_factory=MetaKernels, init=False)

    def __post_init__(self) -> None:
        self._placed = {"{}": _Placed(self.model)}

    @property
    def has_fused_attention(self) -> bool:
        """Whether the card computes attention in one kernel."""
        return self.profile.attention == "fused"

    def checkpoints(self, variant: Variant) -> bool:
        """Whether a variant recomputes activations."""
        return variant.protocol(self.protocol).gradient_checkpointing

    def placing(self) -> Trace:
        """The model reaching the device."""
        with self._tracing(self._placed["{}"]) as tracer:
            return tracer.trace

    def _tracing(self, placed: _Placed) -> AbstractContextManager[StorageTracer]:
        return storages_traced(
            placed.model, self.profile, placed.begin, kernels=self._kernels, recordings=placed.recordings
        )

    def _of(self, variant: Variant) -> _Placed:
        """The model that a variant trains, as it comes to the device."""
        key = json.dumps(dict(variant.base), sort_keys=True)
        if key not in self._placed:
            with self._tracing(_Placed(self.model, lambda _: None)) as tracer:
                model = load_quantised(self.model, variant.base, tracer)
            until = tracer.trace.until(len(tracer.trace.events))
            self._placed[key] = _Placed(model, lambda later: later.go_on_from(tracer, until))
        return self._placed[key]

    def fine_tuning(self, variant: Variant, batches: Sequence[Batch], epochs: int = 1, **changes: Any) -> TracedRun:
        """Placing the model, attaching the adapter, and training on the batches in the order given.

        That is a step for each, unless the variant accumulates gradients, and as many batches in each epoch.
        `changes` are protocol settings that differ from the variant's own.
        """
        protocol = replace(variant.protocol(self.protocol), epochs=epochs, **changes)
        self.watch(f"tracing {variant.name}")
        with ExitStack() as stack:
            stack.enter_context(bitsandbytes_on_meta())
            placed = self._of(variant)
            tracer = stack.enter_context(self._tracing(placed))
            with tracer.labelled(Category.ADAPTERS):
                adapted = attach_adapter(placed.model, variant, self.candidate.target_modules, protocol)
            stack.callback(detach_adapter, adapted)
            self.trainable_parameters[variant] = trainable_parameters(adapted)
            stack.enter_context(given_batches(batches, epochs))
            rows = [row for batch in batches for row in batch]
            begin = len(tracer.trace.events), tracer.done()

            def tick() -> None:
                tracer.mark()
                self.watch(f"tracing {variant.name}, {len(tracer.marks)} steps done")

            tuned = fine_tune(adapted, self.tokenizer, rows, protocol, tick)
            self.states[variant] = States.of(tuned.trainer.optimizer)
            forget_optimizers()
            return _marked(tracer, tracer.trace.until(tracer.marks[-1][0]), begin)

    def generation(self, prompt_tokens: int, max_length: int) -> TracedRun:
        """Placing the model, and a prompt answered up to a length in tokens, the prompt's included."""
        protocol = replace(self.protocol, max_length=max_length)
        with self._tracing(self._placed["{}"]) as tracer:
            tracer.before[torch.ops.aten.multinomial.default] = tracer.mark
            begin = len(tracer.trace.events), tracer.done()
            answer(self.model, padding_tokenizer(), [[1] * prompt_tokens], protocol, lambda: None)
        return _marked(tracer, tracer.trace, begin)


def _marked(tracer: StorageTracer, trace: Trace, begin: tuple[int, Work]) -> TracedRun:
    made = np.frombuffer(trace.events, dtype=np.int64).clip(min=0)
    work_each = tuple(
        replace(done - before, made_bytes=int(made[start:end].sum()))
        for (start, before), (end, done) in pairwise((begin, *tracer.marks))
    )
    return TracedRun(trace, begin[0], tuple(end for end, _ in tracer.marks), work_each)


@contextmanager
def given_batches(batches: Sequence[Batch], epochs: int = 1) -> Iterator[None]:
    """Let `Trainer` take the batches given, as many each epoch, instead of drawing its own."""
    borders = [sum(map(len, batches[:count])) for count in range(len(batches) + 1)]
    indices = [list(range(start, stop)) for start, stop in pairwise(borders)]

    def get_train_dataloader(trainer: Trainer) -> Any:
        sampler = _Given(indices, len(batches) // epochs)
        loader = DataLoader(trainer.train_dataset, batch_sampler=sampler, collate_fn=trainer.data_collator)  # type: ignore[arg-type]
        return trainer.accelerator.prepare(loader)

    with patch.object(Trainer, "get_train_dataloader", get_train_dataloader):
        yield
