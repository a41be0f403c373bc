"""What else would fit: the largest batch, the largest LoRA rank, and what gradient checkpointing saves.

Found by planning a few steps of the longest batch, its rows repeated as often as needed. The sizes of blocks
are lines in the batch size and in the rank, so two traces give all others. Kernels may change with the batch
size: that answer is traced itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ..base.units import MIB
from ..inputs.variants import rank_of
from .candidate_planner import CandidatePlanner
from .limits import least
from .plan import Advice
from .player import fits, may_fit, play
from .runs import Run, StepShape, shape_of
from .steps import NotComposableError, Step, step_at

if TYPE_CHECKING:
    from ..inputs.variants import Variant

LARGEST_BATCH = 4096
LARGEST_RANK = 8192
"""Where the search ends: more would be no answer to anybody."""
RANK_STEP = 8
"""Ranks are searched in multiples of it, as people choose them."""


class Advisor:
    """Finds a candidate's advice."""

    def __init__(self, planner: CandidatePlanner, limit_mib: float) -> None:
        """`limit_mib` is what the allocator may reserve: what a plan is held to, without the CUDA context."""
        self._planner = planner
        self._limit_bytes = limit_mib * MIB
        self._guess_bytes = self._limit_bytes
        """What may be requested at once, if the same share as today is lost to rounding and holes."""
        self._rows, self._tokens = shape_of(planner.longest_batch)
        self._a_step = len(planner.steps_of(planner.advised)[0])

    def advise(self) -> Advice:
        """Plan around the planner's advised variant and its longest batch.

        Raises NotComposableError for a candidate whose runs cannot be put together from steps.
        """
        planner, variant = self._planner, self._planner.advised
        is_on, run = variant.protocol(planner.protocol).gradient_checkpointing, planner.run(variant)
        as_it_is = play(run.beginning, [run.step_of[self._shapes(self._rows)]])
        self._guess_bytes = self._limit_bytes * as_it_is.requested_bytes / as_it_is.needs_bytes
        two = [*planner.steps_of(variant)[0], *[planner.longest_batch] * self._a_step]
        changed = play(planner.traced.fine_tuning(variant, two, gradient_checkpointing=not is_on).trace)
        saved_bytes = as_it_is.needs_bytes - changed.needs_bytes
        return Advice(
            variant=variant.name,
            batch_size=self._rows,
            row_tokens=self._tokens,
            largest_batch=self._largest_batch(variant, run),
            largest_rank=self._largest_rank(variant, run),
            checkpointing_saves_mib=(-saved_bytes if is_on else saved_bytes) / MIB,
        )

    def _largest_batch(self, variant: Variant, run: Run) -> int:
        longest, first = self._planner.longest_batch, self._planner.steps_of(variant)[0]
        usual = run.step_of[self._shapes(self._rows)]
        steps = {len(batch): run.step_of[self._shapes(len(batch))] for batch in self._planner.larger_batches}
        least_rows = min(steps)

        def on_line(rows: int) -> list[Step]:
            step = step_at(rows, steps)
            return [run.beginning, usual, step, step]

        def traced(rows: int) -> list[Step]:
            batch = [longest[row % self._rows] for row in range(rows)]
            step = self._planner.cut_run(variant, [[batch] * self._a_step, first]).steps[0]
            return [run.beginning, usual, step, step]

        with suppress(NotComposableError):
            found = self._largest(on_line, LARGEST_BATCH)
            if self._rows < least_rows and found < least_rows:  # a row alone is not on the line
                return self._largest(traced, least_rows)
            if found == 0 or [step.events for step in on_line(found)] == [step.events for step in traced(found)]:
                return found
        return self._largest(traced, LARGEST_BATCH)

    def _largest_rank(self, variant: Variant, run: Run) -> int | None:
        other = self._planner.other
        if other is None:
            return None
        runs = {rank_of(variant): run, rank_of(other): self._planner.run(other)}
        beginnings = {rank: each.beginning for rank, each in runs.items()}
        steps = {rank: each.step_of[self._shapes(self._rows)] for rank, each in runs.items()}

        def on_line(multiple: int) -> list[Step]:
            step = step_at(RANK_STEP * multiple, steps)
            return [step_at(RANK_STEP * multiple, beginnings), step, step]

        return RANK_STEP * self._largest(on_line, LARGEST_RANK // RANK_STEP)

    def _shapes(self, rows: int) -> StepShape:
        """Of a step of the longest batch, with so many rows."""
        return ((rows, self._tokens),) * self._a_step

    def _largest(self, run_at: Callable[[int], Sequence[Step]], limit: int) -> int:
        """The largest value up to a limit whose run fits, 0 if none does."""

        def is_too_large(value: int, fitting: Callable[..., bool], limit_bytes: float) -> bool:
            first, *steps = run_at(value)
            return not fitting(first, steps, limit_bytes)

        is_guessed = partial(is_too_large, fitting=may_fit, limit_bytes=self._guess_bytes)
        guess = bisect_left(range(limit), x=True, lo=1, key=is_guessed)
        return least(partial(is_too_large, fitting=fits, limit_bytes=self._limit_bytes), 0, limit + 1, guess) - 1
