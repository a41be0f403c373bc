"""What else would fit: the largest batch, the largest LoRA rank, and what gradient checkpointing saves.

Found by planning a few steps of the longest batch, its rows repeated as often as needed. The sizes of blocks
are lines in the batch size and in the rank, so two traces give all others, and the answer is traced itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..base.units import MIB
from ..inputs.variants import rank_of
from .allocator import Trace
from .candidate_planner import CandidatePlanner, Run, shape_of
from .plan import Advice
from .player import Played, play
from .steps import CutTrace, NotComposableError, Step, cut, events_at

if TYPE_CHECKING:
    from ..inputs.variants import Variant
    from .traced import Batch, TracedCandidate

LARGEST_BATCH = 4096
LARGEST_RANK = 8192
"""Where the search ends: more would be no answer to anybody."""
RANK_STEP = 8
"""Ranks are searched in multiples of it, as people choose them."""


class _OnLine(Protocol):
    def __call__(self, x: int, /, *, is_rough: bool) -> Played:
        """The outcome at a batch size, or at a multiple of the rank step."""


class Advisor:
    """Finds a candidate's advice."""

    def __init__(self, planner: CandidatePlanner, traced: TracedCandidate, limit_mib: float) -> None:
        """`limit_mib` is what the allocator may reserve: the budget without the CUDA context."""
        self._planner = planner
        self._traced = traced
        self._limit_bytes = limit_mib * MIB
        self._rows, self._tokens = shape_of(planner.longest_batch)

    def advise(self) -> Advice:
        """Plan around the planner's advised variant and its longest batch.

        Raises NotComposableError for a candidate whose runs cannot be put together from steps.
        """
        variant = self._planner.advised
        is_on, run = self._traced.checkpoints(variant), self._planner.run(variant)
        as_it_is = play(run.beginning, run.left_behind, [run.step_of[self._rows, self._tokens]]).peak_reserved_bytes
        two = [self._planner.batches[0], self._planner.longest_batch]
        changed = play(self._traced.fine_tuning(variant, two, gradient_checkpointing=not is_on).trace)
        saved_bytes = as_it_is - changed.peak_reserved_bytes
        return Advice(
            variant=variant.name,
            batch_size=self._rows,
            row_tokens=self._tokens,
            largest_batch=self._largest_batch(variant, run),
            largest_rank=self._largest_rank(variant, run),
            checkpointing_saves_mib=(-saved_bytes if is_on else saved_bytes) / MIB,
        )

    def _largest_batch(self, variant: Variant, run: Run) -> int:
        usual, doubled = (run.step_of[rows, self._tokens] for rows in (self._rows, 2 * self._rows))

        def played(step: Step, *, is_rough: bool = False) -> Played:
            return play(run.beginning, run.left_behind, [usual, step, step], is_rough=is_rough)

        def on_line(rows: int, *, is_rough: bool) -> Played:
            events = events_at(rows, {self._rows: usual.events, 2 * self._rows: doubled.events})
            return played(usual.with_events(events), is_rough=is_rough)

        def traced(rows: int) -> Played:
            longest = self._planner.longest_batch
            return played(self._cut(variant, [longest[row % self._rows] for row in range(rows)]).steps[0])

        return self._largest(on_line, traced, self._rows, LARGEST_BATCH)

    def _largest_rank(self, variant: Variant, run: Run) -> int | None:
        other_variant = self._planner.other
        if other_variant is None:
            return None
        other, rank, other_rank = self._planner.run(other_variant), rank_of(variant), rank_of(other_variant)
        usual = run.step_of[self._rows, self._tokens]
        beginnings = {rank: run.beginning.events, other_rank: other.beginning.events}
        steps = {rank: usual.events, other_rank: other.step_of[self._rows, self._tokens].events}

        def on_line(multiple: int, *, is_rough: bool) -> Played:
            beginning = Trace(events_at(RANK_STEP * multiple, beginnings), run.beginning.categories)
            step = usual.with_events(events_at(RANK_STEP * multiple, steps))
            return play(beginning, run.left_behind, [step, step], is_rough=is_rough)

        def traced(multiple: int) -> Played:
            found = self._cut(variant.at_rank(RANK_STEP * multiple), self._planner.longest_batch)
            return play(found.beginning, found.left_behind, found.steps * 2)

        start = max(rank // RANK_STEP, 1)
        return RANK_STEP * self._largest(on_line, traced, start, LARGEST_RANK // RANK_STEP)

    def _cut(self, variant: Variant, batch: Batch) -> CutTrace:
        """A run's first step, and one with the batch."""
        first = self._planner.batches[0]
        run = self._traced.fine_tuning(variant, [first, batch, first])
        return cut(run.trace, run.ends)

    def _largest(self, on_line: _OnLine, traced: Callable[[int], Played], start: int, limit: int) -> int:
        """The largest value that fits, found on the line, and traced itself as a check."""
        try:
            found = largest_within(
                self._limit_bytes, lambda x: on_line(x, is_rough=True).peak_reserved_bytes, start, limit
            )
            while found > 0 and not self._fits(planned := on_line(found, is_rough=False)):
                found -= 1
            if found == 0 or planned == traced(found):
                return found
        except NotComposableError:
            pass
        return largest_within(self._limit_bytes, lambda x: traced(x).peak_reserved_bytes, start, limit)

    def _fits(self, played: Played) -> bool:
        return played.peak_reserved_bytes <= self._limit_bytes


def largest_within(most: float, value_at: Callable[[int], int], start: int, limit: int) -> int:
    """The largest x from 1 to `limit` with a value of at most `most`; 0 if there is none.

    The values must rise with x, about as a line does. Every probe is where a line through the nearest two
    known points would reach `most`; every second one halves the rest instead.
    """
    value_of = {start: value_at(start)}
    low, high = (start, limit + 1) if value_of[start] <= most else (0, start)
    while high - low > 1:
        if len(value_of) == 1:
            probe = 2 * start if low else start // 2
        elif len(value_of) % 2 == 0 and low and high <= limit:
            probe = (low + high) // 2
        else:
            first, second = sorted(value_of, key=lambda x: abs(value_of[x] - most))[:2]
            slope = (value_of[second] - value_of[first]) / (second - first)
            probe = first + int((most - value_of[first]) / slope) if slope > 0 else (low + high) // 2
        probe = min(max(probe, low + 1), high - 1)
        value_of[probe] = value_at(probe)
        low, high = (probe, high) if value_of[probe] <= most else (low, probe)
    return low
