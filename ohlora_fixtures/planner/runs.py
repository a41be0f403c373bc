"""What a fine-tuning run is made of, by the shapes of its steps: a few are traced, the others lie between them."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .curves import Curve, Growth
from .seconds import Work
from .steps import EventsBetween, NotComposableError, Step, batch_of_each, mixed, step_at
from .work import mean_work, work_at, work_between

if TYPE_CHECKING:
    from .traced_candidate import Batch

StepBatches = Sequence["Batch"]
"""The batches whose gradients a step adds up: one, unless gradients are accumulated."""
Shape = tuple[int, int]
"""Rows of a batch, and the tokens of its longest row."""
StepShape = tuple[Shape, ...]
"""Those of a step's batches."""

_FEW_STEPS, _MANY_STEPS = 8, 64


@dataclass(frozen=True)
class Run:
    """What a fine-tuning run of one variant is made of."""

    beginning: Step
    begin: int
    """Where its training begins, after loading: a position in its events."""
    step_of: dict[StepShape, Step]
    """Of every shape that is played."""
    work_of: dict[StepShape, Work]
    """Of every shape, the first step's included."""


@dataclass(frozen=True)
class CutRun:
    """A traced run, cut into its first step and those asked for."""

    beginning: Step
    begin: int
    """As a run's."""
    steps: Sequence[Step]
    """Those asked for, but the last."""
    last_events: array[int]
    """The last one's: what it leaves behind may not be known."""
    work_each: Sequence[Work]
    """Of all that were asked for."""


def shape_of(batch: Batch) -> Shape:
    """All that a step's memory depends on: the batch's rows, and the tokens they are padded to."""
    return len(batch), max(len(row["input_ids"]) for row in batch)


def shapes_of(batches: StepBatches) -> StepShape:
    """Those of a step's batches."""
    return tuple(map(shape_of, batches))


def played_of(steps: list[StepBatches]) -> list[StepBatches]:
    """The steps of a run that are played.

    All are, unless gradients are accumulated: then nearly each step is unlike the others. Of more than 128, these are
    the first 64, and the 64 with the longest batches.
    """
    if len(steps[0]) == 1 or len(steps) <= 2 * _MANY_STEPS:
        return steps
    by_length = sorted(range(_MANY_STEPS, len(steps)), key=lambda number: max(shapes_of(steps[number])))
    return [steps[number] for number in (*range(_MANY_STEPS), *sorted(by_length[-_MANY_STEPS:]))]


def traced_of(steps: list[StepBatches]) -> list[StepBatches]:
    """The steps that are traced of a run that cannot be put together from a few.

    All are, unless gradients are accumulated: of more than 128 steps, the first 8, and the 8 with the longest batches.
    """
    if played_of(steps) is steps:
        return steps
    whole = [step for step in steps if len(step) == len(steps[0])]
    by_length = sorted(range(_FEW_STEPS, len(whole)), key=lambda number: max(shapes_of(whole[number])))
    return [whole[number] for number in (*range(_FEW_STEPS), *sorted(by_length[-_FEW_STEPS:]))]


def tokens_of(step: StepBatches) -> int:
    """What a step's batches are padded to, in all."""
    return sum(rows * tokens for rows, tokens in shapes_of(step))


def interpolated_run(
    batches_of: Mapping[StepShape, StepBatches],
    played: Collection[StepShape],
    trace: Callable[[Sequence[StepBatches]], CutRun],
    growth: Growth,
) -> Run:
    """Trace a few lengths and a further step as a check, and put the others on the curve through them.

    Batches with blocks of their own lie on a curve of their own. Where gradients are accumulated, steps of short and
    long batches tell which of them each block belongs to. Raises NotComposableError where there are too few lengths, or
    where a check fails.
    """
    usual_rows = Counter(map(_rows_of, sorted(batches_of))).most_common(1)[0][0]
    others = sorted(shape for shape in batches_of if _rows_of(shape) != usual_rows)
    alike = defaultdict[object, list[StepShape]](list)
    for shape in sorted(set(batches_of).difference(others)):
        alike[_kind(batches_of[shape], growth)].append(shape)
    places = range(len(usual_rows))
    bits = range((len(places) - 1).bit_length())
    curves, checks = list[Curve](), list[StepShape]()
    for shapes in alike.values():
        curve = Curve(growth, sorted({tokens for shape in shapes for _, tokens in shape}))
        if len(shapes) > len(curve.picked) + len(bits) + 1:
            curves.append(curve)
            later = shapes[len(shapes) // 4 :]
            checks.append(max(later, key=lambda shape: any(tokens not in curve.picked for _, tokens in shape)))
        else:
            others += shapes
    if not curves or len(set(usual_rows)) > 1:
        raise NotComposableError("there are too few lengths for a curve")
    batch_of = {shape_of(batch)[1]: batch for shapes in alike.values() for each in shapes for batch in batches_of[each]}
    picked = [tokens for curve in curves for tokens in curve.picked]
    low, high = curves[0].lengths[0], curves[0].lengths[-1]
    coded = [[batch_of[high if place >> bit & 1 else low] for place in places] for bit in bits]
    found = trace(
        [
            *map(batches_of.__getitem__, others),
            *([batch_of[tokens]] * len(places) for tokens in picked),
            *coded,
            *map(batches_of.__getitem__, checks),
        ]
    )
    step_of, work_of = dict(zip(others, found.steps, strict=False)), dict(zip(others, found.work_each, strict=False))
    steps = dict(zip(picked, found.steps[len(others) :], strict=False))
    work = dict(zip(picked, found.work_each[len(others) :], strict=False))
    place_of = batch_of_each(steps[low], steps[high], found.steps[len(others) + len(picked) :][: len(bits)])
    composed = {*played, *checks}
    for curve in curves:
        _put_on(curve, {tokens for shape in composed for _, tokens in shape}, steps, work)
    for shape in set(batches_of).difference(others):
        work_of[shape] = mean_work([work[tokens] for _, tokens in shape])
    for shape in composed.difference(others):
        step_of[shape] = mixed([steps[tokens] for _, tokens in shape], place_of)
    traced = [*(step.events for step in found.steps), found.last_events][-len(checks) :]
    for check, events, done in zip(checks, traced, found.work_each[-len(checks) :], strict=True):
        if step_of[check].events != events or work_of[check].products != done.products:
            raise NotComposableError("the check at a further step failed")
    return Run(found.beginning, found.begin, step_of, work_of)


def _kind(step: StepBatches, growth: Growth) -> object:
    """What the order of a step's blocks depends on, but for its batches' rows, where it has one batch.

    That is whether rows are padded, so that attention has a mask, and whether the mask's rows are aligned.
    """
    if len(step) > 1:
        return None
    _, tokens = shape_of(step[0])
    return any(len(row["input_ids"]) < tokens for row in step[0]), tokens % growth.alignment == 0


def _put_on(curve: Curve, wanted: Collection[int], steps: dict[int, Step], work: dict[int, Work]) -> None:
    """Add the work at a curve's lengths, and those steps that are wanted, by those at the picked ones."""
    known = [work[tokens] for tokens in curve.picked]
    between = EventsBetween([steps[tokens].events for tokens in curve.picked])
    for tokens in set(curve.lengths).difference(curve.picked):
        weights = curve.at(tokens)
        work[tokens] = work_between(weights, known)
        if tokens in wanted:
            steps[tokens] = replace(steps[curve.picked[0]], events=between.at(weights))


def run_on_line(rank: int, runs: dict[int, Run]) -> Run:
    """A run at a rank between those of two others."""
    first, *others = runs.values()
    played = [shape for shape in first.step_of if all(shape in other.step_of for other in others)]
    worked = [shape for shape in first.work_of if all(shape in other.work_of for other in others)]
    return Run(
        step_at(rank, {end: run.beginning for end, run in runs.items()}),
        first.begin,
        {shape: step_at(rank, {end: run.step_of[shape] for end, run in runs.items()}) for shape in played},
        {shape: work_at(rank, {end: run.work_of[shape] for end, run in runs.items()}) for shape in worked},
    )


def _rows_of(shape: StepShape) -> tuple[int, ...]:
    return tuple(rows for rows, _ in shape)
