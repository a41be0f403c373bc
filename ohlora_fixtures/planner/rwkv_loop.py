"""A function that a model calls once a layer with the same shapes is traced once.

RWKV's attention is a Python loop over time steps: some 90 operators a step and layer. Every layer
allocates and frees in it in the very same way, so the first one is recorded, forward and backward, and
the others play the recording back into the trace.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch

from .allocator import Trace
from .tracer import StorageTracer

Recordings = dict[Any, "Recording"]
"""By shapes, strides and dtypes of the arguments."""

_INCOMING = -(1 << 60)
"""Stands in a backward recording for the free of the output's gradient."""


@dataclass(frozen=True)
class Recording:
    """What one call allocates and frees; ids count from 0 over both passes."""

    forward: array[int]
    """Events of the call, its inputs' excepted."""
    backward: tuple[array[int], ...]
    """Events of the backward pass, cut where an input that was kept for it is let go."""
    categories: bytes
    """Category of each allocation, forward and backward."""
    output: int
    """Id of the returned tensor."""
    gradients: tuple[int, ...]
    """Ids of the inputs' gradients."""
    kept: tuple[int, ...]
    """Which inputs are kept for the backward pass, in the order in which they are let go."""

    @property
    def forward_allocations(self) -> int:
        """How many of the allocations are the forward pass's."""
        return sum(event > 0 for event in self.forward)


@contextmanager
def loops_recorded(tracer: StorageTracer, recordings: Recordings) -> Iterator[None]:
    """Record RWKV's loop over time steps once a shape, instead of running it once a layer and step."""
    from transformers.models.rwkv import modeling_rwkv

    plain = modeling_rwkv.rwkv_linear_attention

    def attention(  # noqa: PLR0913, PLR0917 - transformers' signature
        time_decay: torch.Tensor,
        time_first: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        state: Any = None,
        return_state: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        trains = torch.is_grad_enabled() and key.requires_grad and value.requires_grad
        if state is not None or return_state or not trains or time_decay.requires_grad:
            return plain(time_decay, time_first, key, value, state, return_state)  # type: ignore[no-untyped-call]
        arguments = (time_decay, time_first, key, value)
        shapes = tuple((each.shape, each.stride(), each.dtype) for each in arguments)
        if shapes not in recordings:
            recordings[shapes] = _record(tracer, plain, (time_decay, time_first), (key, value))
        return _PlayedBack.apply(tracer, recordings[shapes], key, value), None  # type: ignore[no-untyped-call]

    with patch.object(modeling_rwkv, "rwkv_linear_attention", attention):
        yield


def _record(
    tracer: StorageTracer, loop: Callable[..., Any], weights: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]
) -> Recording:
    """Run `loop(*weights, *inputs)` and its backward pass aside, for gradients of the inputs alone."""
    with tracer.aside() as trace, torch.enable_grad():
        still = [torch.empty_like(weight) for weight in weights]
        leaves = [torch.empty_like(each).requires_grad_() for each in inputs]
        factor = torch.empty_like(inputs[0])
        copies = [leaf.clone() for leaf in leaves]
        inputs_at = [tracer.allocation_of(copy) for copy in copies]
        begin, first = len(trace.events), len(trace.categories)
        output = loop(*still, *copies)[0]
        del copies
        output_at = tracer.allocation_of(output)
        middle = len(trace.events)
        product = output * factor
        del output
        seed = torch.empty_like(product)
        product_at, seed_at = tracer.allocation_of(product), tracer.allocation_of(seed)
        ready = len(trace.events)
        gradients = torch.autograd.grad(product, leaves, seed)
        end = len(trace.events)
        gradients_at = [tracer.allocation_of(gradient) for gradient in gradients]
        incoming = max(product_at, seed_at) + 1  # the product's backward makes the output's gradient first
        left_out = {product_at, seed_at, incoming}
        ids = {old: new for new, old in enumerate(i for i in range(first, len(trace.categories)) if i not in left_out)}
        backward, kept = _backward(trace.events[ready:end], ids, inputs_at, incoming, {output_at, product_at, seed_at})
        forward = (event for event in trace.events[begin:middle] if event > 0 or -1 - event not in inputs_at)
        return Recording(
            forward=array("q", (_renamed(event, ids) for event in forward)),
            backward=backward,
            categories=bytes(trace.categories[old] for old in ids),
            output=ids[output_at],
            gradients=tuple(ids[each] for each in gradients_at),
            kept=kept,
        )


def _backward(
    events: Sequence[int], ids: dict[int, int], inputs_at: list[int], incoming: int, left_out: set[int]
) -> tuple[tuple[array[int], ...], tuple[int, ...]]:
    parts, kept = [array("q")], []
    first_allocation = next(index for index, event in enumerate(events) if event > 0)  # the output's gradient
    for index, event in enumerate(events):
        freed = None if event > 0 else -1 - event
        if index == first_allocation or freed in left_out:
            continue
        if freed in inputs_at:
            kept.append(inputs_at.index(freed))
            parts.append(array("q"))
        else:
            parts[-1].append(_INCOMING if freed == incoming else _renamed(event, ids))
    return tuple(parts), tuple(kept)


def _renamed(event: int, ids: dict[int, int]) -> int:
    return event if event > 0 else -1 - ids[-1 - event]


class _PlayedBack(torch.autograd.Function):
    """Appends a recording to the trace in place of the function it was made of."""

    @staticmethod
    def forward(ctx: Any, tracer: StorageTracer, recording: Recording, *inputs: torch.Tensor) -> torch.Tensor:
        ctx.tracer, ctx.recording = tracer, recording
        ctx.kept_inputs = [inputs[index] for index in recording.kept]
        ctx.shapes = [(each.shape, each.dtype) for each in inputs]
        trace: Trace = tracer.trace
        first = ctx.first = len(trace.categories)
        trace.events.extend(event if event > 0 else event - first for event in recording.forward)
        trace.categories += recording.categories[: recording.forward_allocations]
        return tracer.make(inputs[0].shape, inputs[0].dtype, first + recording.output)

    @staticmethod
    def backward(ctx: Any, incoming: torch.Tensor) -> tuple[Any, ...]:
        tracer, recording = ctx.tracer, ctx.recording
        trace: Trace = tracer.trace
        incoming_at = tracer.hand_over(incoming)
        made_forward = recording.forward_allocations
        later = len(trace.categories) - made_forward
        trace.categories += recording.categories[made_forward:]
        for number, part in enumerate(recording.backward):
            if number:
                ctx.kept_inputs.pop(0)
            for event in part:
                if event > 0:
                    trace.events.append(event)
                elif event == _INCOMING:
                    trace.free(incoming_at)
                else:
                    allocation = -1 - event
                    trace.free(allocation + (ctx.first if allocation < made_forward else later))
        gradients = [
            tracer.make(shape, dtype, allocation + later)
            for (shape, dtype), allocation in zip(ctx.shapes, recording.gradients, strict=True)
        ]
        return None, None, *gradients
