"""One candidate's workloads, traced on meta tensors: the functions that the benches measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch.utils.data import DataLoader
from transformers import Trainer

from ..workloads.fine_tuning import attach_adapter, detach_adapter, fine_tune, trainable_parameters
from ..workloads.inference import answer
from .allocator import Category, Trace
from .batches import EstimatedTokenizer
from .meta_kernels import MetaKernels
from .on_meta import gradients_labelled, storages_traced
from .work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.dataset import Example
    from ..inputs.gpu_profiles import GpuProfile
    from ..inputs.protocol import Protocol
    from ..inputs.variants import Variant
    from .recordings import Recordings
    from .tracer import StorageTracer

Batch = Sequence["Example"]


@dataclass(frozen=True)
class TracedRun:
    """A traced run of several steps."""

    trace: Trace
    """From placing the model to the end of the last step or answer."""
    ends: tuple[int, ...]
    """Where each training step ends, or the drawing of each token begins: positions in the trace's events."""
    work_each: tuple[Work, ...]
    """What each training step, or each token's forward pass, computes and moves."""


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
        self.trainable_parameters: dict[Variant, int] = {}
        """Parameters that training changes, of each variant traced so far."""

    def checkpoints(self, variant: Variant) -> bool:
        """Whether a variant recomputes activations."""
        return variant.protocol(self._protocol).gradient_checkpointing

    def placing(self) -> Trace:
        """The model reaching the device."""
        with storages_traced(self._model, self._profile, self._kernels, self._recordings) as tracer:
            return tracer.trace

    def fine_tuning(self, variant: Variant, batches: Sequence[Batch], **changes: Any) -> TracedRun:
        """Placing the model, attaching the adapter, and one step for each batch in the order given.

        `changes` are protocol settings that differ from the variant's own.
        """
        protocol = replace(variant.protocol(self._protocol), epochs=1, **changes)
        with ExitStack() as stack:
            tracer = stack.enter_context(storages_traced(self._model, self._profile, self._kernels, self._recordings))
            with tracer.labelled(Category.ADAPTERS):
                adapted = attach_adapter(self._model, variant, self._candidate.target_modules, protocol)
            stack.callback(detach_adapter, adapted)
            self.trainable_parameters[variant] = trainable_parameters(adapted)
            stack.enter_context(gradients_labelled(adapted, tracer))
            stack.enter_context(given_batches(batches))
            rows = [row for batch in batches for row in batch]
            fine_tune(adapted, self._tokenizer, rows, protocol, tracer.mark)
            return _marked(tracer, tracer.trace.until(tracer.marks[-1][0]))

    def generation(self, prompt_tokens: int, max_length: int) -> TracedRun:
        """Placing the model, and a prompt answered up to a length in tokens, the prompt's included."""
        protocol = replace(self._protocol, max_length=max_length)
        with storages_traced(self._model, self._profile, self._kernels, self._recordings) as tracer:
            tracer.before[torch.ops.aten.multinomial.default] = tracer.mark
            answer(self._model, EstimatedTokenizer(1), ["x" * prompt_tokens], protocol, lambda: None)
        return _marked(tracer, tracer.trace)


def _marked(tracer: StorageTracer, trace: Trace) -> TracedRun:
    ends, work_until = zip(*tracer.marks, strict=True)
    return TracedRun(trace, ends, tuple(end - begin for begin, end in pairwise((Work(), *work_until))))


@contextmanager
def given_batches(batches: Sequence[Batch]) -> Iterator[None]:
    """Let `Trainer` take the batches given instead of drawing its own."""
    borders = [sum(map(len, batches[:count])) for count in range(len(batches) + 1)]
    indices = [list(range(start, stop)) for start, stop in pairwise(borders)]

    def get_train_dataloader(trainer: Trainer) -> Any:
        loader = DataLoader(trainer.train_dataset, batch_sampler=indices, collate_fn=trainer.data_collator)  # type: ignore[arg-type]
        return trainer.accelerator.prepare(loader)

    with patch.object(Trainer, "get_train_dataloader", get_train_dataloader):
        yield
