"""A training or inference loop of one's own, traced: what it would take of a card, mark by mark.

    with tracing(model, profile) as trace:
        ...  # the loop, on a model and batches on the device "meta"
        trace.mark("first step")
        ...
    print(trace.peak(), trace.peak(since="first step"), trace.needs_mib())

`docs/planning.md` says what such a loop may do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from ..base.errors import InputError
from ..base.units import MIB
from .allocator import EMPTY_CACHE, SMALL_REQUEST_MAX_BYTES, Category, Pool, Trace
from .on_meta import label_gradients, place_by_device_map, storages_traced
from .player import play
from .quantised import bitsandbytes_on_meta
from .seconds import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..inputs.gpu_profiles import GpuProfile
    from .tracer import StorageTracer


class Level(NamedTuple):
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
        return self._levels[self._position(name)]

    def peak(self, since: str | None = None, until: str | None = None) -> Level:
        """Most that it has at once, in all or between two marks, as after `reset_peak_memory_stats` at the first.

        Each figure is the most of its own kind. Raises InputError for a mark that is not set.
        """
        begin = 0 if since is None else self._position(since)
        end = len(self._tracer.trace.events) if until is None else self._position(until)
        return Level(*map(max, zip(*self._levels[begin : end + 1], strict=True)))

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

    def _position(self, name: str) -> int:
        if name not in self._marks:
            raise InputError(f"there is no mark {name!r}: set are {', '.join(self._marks) or 'none'}")
        return self._marks[name][0]

    @cached_property
    def _levels(self) -> list[Level]:
        return _levels(self._tracer.trace)


def _levels(trace: Trace) -> list[Level]:
    """What PyTorch's allocator has before the first event of a trace, and after each."""
    small, large = Pool(is_small=True), Pool(is_small=False)
    blocks: list[tuple[Pool, int]] = []
    levels = [Level(0.0, 0.0)]
    for event in trace.events:
        if event > 0:
            pool = small if event <= SMALL_REQUEST_MAX_BYTES else large
            blocks.append((pool, pool.malloc(event)))
        elif event == EMPTY_CACHE:
            small.empty_cache()
            large.empty_cache()
        else:
            pool, address = blocks[-1 - event]
            pool.free(address)
        allocated_bytes = small.allocated_bytes + large.allocated_bytes
        reserved_bytes = small.reserved_bytes + large.reserved_bytes
        levels.append(Level(allocated_bytes / MIB, reserved_bytes / MIB))
    return levels


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
        storages_traced(model, profile, begin) as tracer,
    ):
        loop = TracedLoop(tracer)
        yield loop
        label_gradients(model.parameters(), tracer)
        for parameter in model.parameters():
            if parameter not in base:
                tracer.relabel(parameter, Category.ADAPTERS)
        tracer.trace = tracer.trace.until(len(tracer.trace.events))
