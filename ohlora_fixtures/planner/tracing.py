"""A training or inference loop of one's own, traced: what it would take of a card, mark by mark.

    with tracing(model, profile) as trace:
        ...  # the loop, on a model and batches on the device "meta"
        trace.mark("first step")
        ...
    print(trace.peak(), trace.peak(since="first step"), trace.needs_mib())

`docs/planning.md` says what such a loop may do.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ..base.errors import InputError
from ..base.units import MIB
from .allocator import EMPTY_CACHE, Category, Pool, Trace
from .meta_kernels import MetaKernels
from .on_meta import gradients_labelled, place_by_device_map, storages_traced
from .parts import Part
from .player import play
from .quantised import bitsandbytes_on_meta
from .seconds import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..inputs.gpu_profiles import GpuProfile
    from .tracer import StorageTracer


@dataclass(frozen=True)
class Level:
    """What PyTorch's allocator has, MiB."""

    allocated_mib: float
    """In live blocks (`torch.cuda.memory_allocated`)."""
    reserved_mib: float
    """In segments (`torch.cuda.memory_reserved`)."""


class TracedLoop:
    """What a block under `tracing` allocates and frees."""

    def __init__(self, tracer: StorageTracer) -> None:
        self._tracer = tracer
        self._marks: dict[str, tuple[int, Work]] = {}

    def mark(self, name: str) -> None:
        """Name this moment of the loop; raises InputError for a name that is taken."""
        if name in self._marks:
            raise InputError(f"the mark {name!r} is set already: give each moment a name of its own")
        self._marks[name] = len(self._tracer.trace.events), self._tracer.done()

    def at(self, name: str) -> Level:
        """What the allocator has at a mark; raises InputError for a mark that is not set."""
        return self._levels.at(self._position(name))

    def peak(self, since: str | None = None, until: str | None = None) -> Level:
        """Most that it has at once, in all or between two marks, as after `reset_peak_memory_stats` at the first.

        Each figure is the most of its own kind. Raises InputError for a mark that is not set.
        """
        begin = 0 if since is None else self._position(since)
        end = len(self._tracer.trace.events) if until is None else self._position(until)
        return self._levels.peak(begin, end)

    def at_peak_mib(self) -> dict[str, float]:
        """What is live when most is allocated, by what it is for."""
        return {name: size_bytes / MIB for name, size_bytes in play(self._tracer.trace).at_peak.items()}

    def work(self, since: str, until: str) -> Work:
        """What is done between two marks, for `seconds_of(work, card.pace)`; raises InputError for one not set.

        What an optimizer writes in place is left out: `optimizer_bytes` tells of AdamW's.
        """
        begin, end = self._position(since), self._position(until)
        made = sum(event for event in self._tracer.trace.events[begin:end] if event > 0)
        return replace(self._marks[until][1] - self._marks[since][1], made_bytes=made)

    def needs_mib(self) -> float:
        """Least memory, to 2 MiB, within which the loop gets through, unused segments given back."""
        return play(self._tracer.trace).needs_bytes / MIB

    def events(self) -> array[int]:
        """Allocations and frees in order, coded as in `Trace.events`."""
        return self._tracer.trace.events[:]

    def _position(self, name: str) -> int:
        if name not in self._marks:
            raise InputError(f"there is no mark {name!r}: set are {', '.join(self._marks) or 'none'}")
        return self._marks[name][0]

    @cached_property
    def _levels(self) -> _Levels:
        return _Levels(self._tracer.trace, (position for position, _ in self._marks.values()))


class _Levels:
    """What PyTorch's allocator has during a trace."""

    def __init__(self, trace: Trace, positions: Iterable[int]) -> None:
        """Positions are those at which, and between which, somebody will ask."""
        part = Part(trace)
        emptied = np.flatnonzero(part.events == EMPTY_CACHE)
        self._borders = np.unique([0, *positions, *emptied, *(emptied + 1), len(part.events)])
        pools = [(part.small, Pool(is_small=True)), (part.large, Pool(is_small=False))]
        addresses: dict[Pool, list[int | None]] = {pool: [] for _, pool in pools}
        levels: dict[Pool, list[int]] = {pool: [0] for _, pool in pools}
        self._reserved = [0]
        """At each border, bytes; in between nothing is given back."""
        for begin, end in pairwise(self._borders):
            for own, pool in pools:
                first, last = np.searchsorted(own.places, (begin, end))
                levels[pool] += pool.play(own.codes[first:last].tolist(), addresses[pool])
            self._reserved.append(sum(pool.reserved_bytes for _, pool in pools))
        at_large = np.searchsorted(part.large.places, np.arange(len(part.events)), side="right")
        large = np.array(levels[pools[1][1]])[at_large]
        self._allocated = np.concatenate(([0], part.small_sums + large))
        """Before the first event and after each, bytes."""

    def at(self, position: int) -> Level:
        """What it has before the event at a border."""
        return Level(self._allocated[position] / MIB, self._reserved[self._border(position)] / MIB)

    def peak(self, begin: int, end: int) -> Level:
        """Most that it has from one border to another."""
        reserved = self._reserved[self._border(begin) : self._border(end) + 1]
        return Level(max(self._allocated[begin : end + 1]) / MIB, max(reserved) / MIB)

    def _border(self, position: int) -> int:
        return int(np.searchsorted(self._borders, position))


@contextmanager
def tracing(model: PreTrainedModel, profile: GpuProfile, *, has_device_map: bool = False) -> Iterator[TracedLoop]:
    """Trace what a block does with a `transformers` model on meta as a card would do it; the model is placed first.

    With a device map it is placed as `from_pretrained(..., device_map="cuda")` does, which takes one segment for all
    weights; otherwise as `model.to("cuda")` does, a block for each. Figures can be asked for once the block has ended.
    Raises InputError for a model that is not on meta.
    """
    if any(not each.is_meta for each in model.parameters()):
        raise InputError('build the model on meta: with torch.device("meta"): AutoModelForCausalLM.from_config(...)')
    begin = partial(place_by_device_map, model) if has_device_map else None
    base = set(model.parameters())
    with (
        bitsandbytes_on_meta(),
        storages_traced(model, profile, MetaKernels(), {}, begin) as tracer,
        gradients_labelled(model, tracer),
        _trained_labelled(tracer),
    ):
        loop = TracedLoop(tracer)
        yield loop
        for parameter in model.parameters():
            if parameter not in base:
                tracer.relabel(parameter, Category.ADAPTERS)
        tracer.trace = tracer.trace.until(len(tracer.trace.events))


@contextmanager
def _trained_labelled(tracer: StorageTracer) -> Iterator[None]:
    """Tell gradients also of what has been attached since: of all that an optimizer is about to change."""

    def label(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for parameter in (each for group in optimizer.param_groups for each in group["params"]):
            if parameter.grad is not None:
                tracer.relabel(parameter.grad, Category.GRADIENTS)

    handle = register_optimizer_step_pre_hook(label)
    try:
        yield
    finally:
        handle.remove()
