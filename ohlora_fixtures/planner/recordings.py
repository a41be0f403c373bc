"""What a model does again and again with tensors of the same shapes is traced once.

The layers of a model allocate and free in the very same way, and each runs some hundred operators a step; RWKV's loop
over time steps runs some 90 for each of them. The first call is recorded, forward and backward, and those like it play
the recording back into the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_flatten, tree_unflatten
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.rwkv import modeling_rwkv

from .allocator import Trace
from .seconds import Work
from .tracer import Layout, StorageTracer

Events = NDArray[np.int64]
_INCOMING = 1 << 60
"""Stands in a recording for the id of the output's gradient."""
_INDEX_NAMES = frozenset({"layer_idx", "layer_id"})
"""Attributes by which layers differ and that change nothing of what they allocate."""


@dataclass(frozen=True)
class Recording:
    """What one call allocates and frees; ids count from 0 over both passes."""

    forward: Events
    """Events of the call, its inputs' excepted."""
    backward: tuple[Events, ...]
    """Events of the backward pass, cut where an input that was kept for it is let go."""
    categories: bytes
    """Category of each allocation, forward and backward."""
    forward_allocations: int
    """How many of the allocations are the forward pass's."""
    forward_work: Work
    """What the forward pass computes and moves."""
    backward_work: Work
    """What the backward pass computes and moves."""
    kept: tuple[int, ...]
    """Which inputs are kept for the backward pass, in the order in which they are let go."""
    output: tuple[int, Layout]
    """Id and layout of the returned tensor."""
    gradients: tuple[tuple[int, Layout] | None, ...]
    """Id and layout of the gradient of each input and each trained parameter; None for one that gets none."""
    wrap: Callable[[torch.Tensor], Any]
    """Makes what the call returns of that tensor."""


Recordings = dict[Any, Recording | None]
"""By what is called and the layouts of its arguments; None for a call that cannot be recorded."""


@contextmanager
def calls_recorded(tracer: StorageTracer, recordings: Recordings) -> Iterator[None]:
    """Trace the layers of `transformers` models, and RWKV's loop over time steps, once a shape."""
    plain_layer, plain_loop = GradientCheckpointingLayer.__call__, modeling_rwkv.rwkv_linear_attention
    call_once = partial(_call_once, tracer, recordings)
    known: dict[torch.nn.Module, _Called] = {}
    recomputes = False

    def layer(self: GradientCheckpointingLayer, *args: Any, **kwargs: Any) -> Any:
        nonlocal recomputes
        recomputes = self.gradient_checkpointing and self.training
        is_first = not known  # what a trace allocates only once, it may allocate here: cuBLAS's workspace
        if self not in known:
            trained = tuple(each for each in self.parameters() if each.requires_grad)
            known[self] = _Called(partial(plain_layer, self), _kind(self), trained)
        return plain_layer(self, *args, **kwargs) if is_first else call_once(known[self], args, kwargs)

    def loop(*args: Any, **kwargs: Any) -> Any:
        if recomputes:  # PyTorch holds what the second run saves against the first: both must be the same function
            return plain_loop(*args, **kwargs)  # type: ignore[no-untyped-call]
        return call_once(_Called(plain_loop), args, kwargs)

    with (
        patch.object(GradientCheckpointingLayer, "__call__", layer),
        patch.object(modeling_rwkv, "rwkv_linear_attention", loop),
    ):
        yield


def _kind(layer: torch.nn.Module) -> tuple[Any, ...]:
    """All that decides what a layer does but its arguments: its modules, their settings, their parameters' layouts."""
    return tuple(
        (
            type(module),
            *(item for item in vars(module).items() if _is_setting(item[1]) and item[0] not in _INDEX_NAMES),
            *((_layout(each), each.requires_grad) for each in module.parameters(recurse=False)),
            *map(_layout, module.buffers(recurse=False)),
        )
        for module in layer.modules()
    )


def _is_setting(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _layout(tensor: torch.Tensor) -> Layout:
    return tensor.shape, tensor.stride(), tensor.dtype


def _empty(layout: Layout) -> torch.Tensor:
    size, stride, dtype = layout
    return torch.empty_strided(size, stride, dtype=dtype, device="meta")


@dataclass(frozen=True)
class _Called:
    """What is called."""

    function: Callable[..., Any]
    kind: Any = None
    """All that decides what it does but its arguments."""
    trained: tuple[torch.nn.Parameter, ...] = ()
    """Its parameters that get a gradient."""


def _call_once(
    tracer: StorageTracer, recordings: Recordings, called: _Called, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call, or play back what a call like it did."""
    leaves, spec = tree_flatten((args, kwargs))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    inputs = [leaves[place] for place in places]
    others = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
    has_backward = torch.is_grad_enabled() and any(each.requires_grad for each in (*inputs, *called.trained))
    if not has_backward or not all(map(_is_setting, others)):
        return called.function(*args, **kwargs)
    layouts = tuple((_layout(each), each.requires_grad) for each in inputs)
    key = called.kind, spec, tuple(others), layouts, tuple(each.grad is None for each in called.trained)
    if key not in recordings:

        def call(tensors: list[torch.Tensor]) -> Any:
            given = others.copy()
            for place in reversed(places):
                given[place] = tensors.pop()
            again, named = tree_unflatten(given, spec)
            del given
            return called.function(*again, **named)

        recordings[key] = _record(tracer, call, inputs, called.trained)
    recording = recordings[key]
    if recording is None:
        return called.function(*args, **kwargs)
    return recording.wrap(_PlayedBack.apply(tracer, recording, *inputs, *called.trained))  # type: ignore[no-untyped-call]


def _record(
    tracer: StorageTracer,
    call: Callable[[list[torch.Tensor]], Any],
    inputs: Sequence[torch.Tensor],
    trained: Sequence[torch.nn.Parameter],
) -> Recording | None:
    """Run a call and its backward pass aside, on tensors like the inputs; `call` empties the list it is given.

    Returns None for a call that returns anything but one tensor, or that keeps more than its backward pass lets go.
    """
    with tracer.aside() as trace, _gradients_aside(trained):
        leaves = [_empty(_layout(each)).requires_grad_() if each.requires_grad else None for each in inputs]
        copies = [
            leaf.clone() if leaf is not None else _empty(_layout(each))
            for leaf, each in zip(leaves, inputs, strict=True)
        ]
        inputs_at = [tracer.allocation_of(copy) for copy in copies]
        begin, first, done = len(trace.events), len(trace.categories), tracer.done()
        results, spec = tree_flatten(call(copies))
        places = [place for place, each in enumerate(results) if isinstance(each, torch.Tensor)]
        if len(places) != 1 or not results[places[0]].requires_grad:
            return None
        output, results[places[0]] = results[places[0]], None
        output_at, output_layout = tracer.allocation_of(output), _layout(output)
        returned, made_forward = len(trace.events), len(trace.categories) - first
        forward_work = tracer.done() - done
        until_gradient: list[Work] = []
        output.register_hook(lambda _: until_gradient.append(tracer.done()))
        factor = torch.empty_like(output)
        product = output * factor
        del output
        seed = torch.empty_like(product)
        ready, incoming = len(trace.events), len(trace.categories)  # the product's backward makes the output's gradient
        torch.autograd.backward(product, seed)
        found = [None if each is None else each.grad for each in (*leaves, *trained)]
        grads = sum(each is not None for each in found)
        handed_over = Work(operators=grads, autograd_operators=grads)  # an operator each, once more in playback
        backward_work = tracer.done() - until_gradient[0] - handed_over
        gradients = [
            None if each is None or tracer.allocation_of(each) < first else (tracer.allocation_of(each), _layout(each))
            for each in found  # what was there before has been added to
        ]
        own = [*range(first, first + made_forward), *range(incoming + 1, len(trace.categories))]
        ids = {old: new for new, old in enumerate(own)} | {incoming: _INCOMING}
        forward = [event for event in trace.events[begin:returned] if event > 0 or -1 - event in ids]
        backward, let_go = _cut(trace.events[ready + 1 :], inputs_at)
        freed = {-1 - event for part in (forward, *backward) for event in part if event < 0}
        if freed | {output_at, *(each[0] for each in gradients if each)} != {*own, incoming} or output_at in freed:
            return None
        gone = {-1 - event for event in trace.events[begin:ready]}
        still = [place for place, at in enumerate(inputs_at) if at not in gone and place not in let_go]
        return Recording(
            forward=_renamed(forward, ids),
            backward=tuple(_renamed(part, ids) for part in backward),
            categories=bytes(trace.categories[old] for old in own),
            forward_allocations=made_forward,
            forward_work=forward_work,
            backward_work=backward_work,
            kept=(*let_go, *still),
            output=(ids[output_at], output_layout),
            gradients=tuple(each and (ids[each[0]], each[1]) for each in gradients),
            wrap=lambda tensor: tree_unflatten(
                [tensor if place in places else each for place, each in enumerate(results)], spec
            ),
        )


def _cut(events: Sequence[int], inputs_at: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Events without the frees of inputs, cut there; and which inputs these were."""
    parts: list[list[int]] = [[]]
    let_go = []
    for event in events:
        if event < 0 and -1 - event in inputs_at:
            let_go.append(inputs_at.index(-1 - event))
            parts.append([])
        else:
            parts[-1].append(event)
    return parts, let_go


def _renamed(events: Sequence[int], ids: dict[int, int]) -> Events:
    return np.array([event if event > 0 else -1 - ids[-1 - event] for event in events], dtype=np.int64)


@contextmanager
def _gradients_aside(trained: Sequence[torch.nn.Parameter]) -> Iterator[None]:
    """Let parameters get gradients anew, or add to others like theirs."""
    before = [each.grad for each in trained]
    for each in trained:
        each.grad = None if each.grad is None else torch.empty_like(each.grad)
    try:
        yield
    finally:
        for each, gradient in zip(trained, before, strict=True):
            each.grad = gradient


class _PlayedBack(torch.autograd.Function):
    """Appends a recording to the trace in place of the call it was made of."""

    @staticmethod
    def forward(ctx: Any, tracer: StorageTracer, recording: Recording, *inputs: torch.Tensor) -> torch.Tensor:
        ctx.tracer, ctx.recording, ctx.first = tracer, recording, len(tracer.trace.categories)
        ctx.kept = [inputs[place] for place in recording.kept]
        tracer.trace.categories += recording.categories[: recording.forward_allocations]
        _append(tracer.trace, recording.forward - ctx.first * (recording.forward < 0))
        tracer.work += recording.forward_work
        output, layout = recording.output
        return tracer.make(layout, ctx.first + output)

    @staticmethod
    def backward(ctx: Any, incoming: torch.Tensor) -> tuple[Any, ...]:
        tracer, recording, made = ctx.tracer, ctx.recording, ctx.recording.forward_allocations
        later = len(tracer.trace.categories) - made
        is_handed_over = tracer.is_whole(incoming)  # else it is a view, as of a sum's gradient, and another's to free
        incoming_at = tracer.allocation_of(incoming) if is_handed_over else None
        if is_handed_over and not any(gradient and gradient[0] == _INCOMING for gradient in recording.gradients):
            tracer.hand_over(incoming)
        tracer.trace.categories += recording.categories[made:]
        for number, part in enumerate(recording.backward):
            if number:
                del ctx.kept[0]
            offsets = np.where(part < -made, later, ctx.first) * (part < 0)
            is_its_free = part == -1 - _INCOMING
            if incoming_at is None:
                _append(tracer.trace, (part - offsets)[~is_its_free])
            else:
                _append(tracer.trace, np.where(is_its_free, -1 - incoming_at, part - offsets))
        tracer.work += recording.backward_work
        gradients = (
            gradient and (incoming if gradient[0] == _INCOMING else tracer.make(gradient[1], gradient[0] + later))
            for gradient in recording.gradients
        )
        return None, None, *gradients


def _append(trace: Trace, events: Events) -> None:
    trace.events.frombytes(events.tobytes())
