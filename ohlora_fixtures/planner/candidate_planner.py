"""Plans one candidate's cases: traces what is needed, puts runs together, plays them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..inputs.variants import Variant, by_rank, ends_of, rank_of
from .allocator import Trace
from .batches import drawn_batches
from .player import Played, play
from .steps import CutTrace, NotComposableError, Step, cut, events_at
from .work import Work, work_at

if TYPE_CHECKING:
    from ..inputs.dataset import Example
    from ..inputs.protocol import Protocol
    from ..workloads.inference import AnswerLength
    from .traced import Batch, TracedCandidate

Shape = tuple[int, int]
"""Rows of a batch, and the tokens of its longest row."""


_FEW_STEPS = 6
"""A run of no more steps is traced whole."""
_FEW_TOKENS = 5
"""Tokens traced at the beginning of an answer, and at its end."""


@dataclass(frozen=True)
class Run:
    """What a fine-tuning run of one variant is made of."""

    beginning: Trace
    left_behind: tuple[int, ...]
    step_of: dict[Shape, Step]
    work_of: dict[Shape, Work]
    """Of every shape, the first batch's included."""


class CandidatePlanner:
    """The plans of one candidate under one protocol."""

    def __init__(
        self,
        traced: TracedCandidate,
        examples: Sequence[Example],
        longest_prompt_tokens: int,
        protocol: Protocol,
        variants: Sequence[Variant],
    ) -> None:
        """Trace the lowest and the highest of the `variants` that differ in rank alone; others lie between."""
        self._traced = traced
        self._examples = examples
        self.longest_prompt_tokens = longest_prompt_tokens
        self._protocol = protocol
        self._variants = variants
        self.advised = variants[0]
        """The variant at which advice is given: the session's first."""
        self._runs: dict[Variant, Run] = {}
        self._lengths_agree = True

    @cached_property
    def batches(self) -> list[list[Example]]:
        """The batches of a whole run."""
        drawn = drawn_batches(len(self._examples), self._protocol)
        return [[self._examples[row] for row in rows] for rows in drawn]

    @cached_property
    def longest_batch(self) -> list[Example]:
        """The batch, of those with most rows, that is padded to most tokens."""
        return max(self.batches, key=shape_of)

    @property
    def other(self) -> Variant | None:
        """The advised variant at another rank, traced as well; None if it has no rank."""
        alike = by_rank(self.advised, self._variants)
        if not alike:
            return None
        low, high = alike[0], alike[-1]
        if low == high:
            assert low.rank is not None
            return low.at_rank(2 * low.rank)
        return high if self.advised == low else low

    def placed(self) -> Played:
        """The model on the device, before any work."""
        return play(self._traced.placing())

    def inference(self) -> Played:
        """The longest prompt answered to the protocol's length; an answer lets go of all that it took."""
        first, last = self.longest_prompt_tokens, self._protocol.max_length
        if last - first > 2 * _FEW_TOKENS:
            try:
                return self._decoded(first, last)
            except NotComposableError:
                pass  # as below
        return play(self._traced.generation(first, last).trace)

    def _decoded(self, first: int, last: int) -> Played:
        """Trace the first tokens and the last: in between, sizes grow with the number of tokens as a line does."""
        early = self._traced.generation(first, first + _FEW_TOKENS)
        late = self._traced.generation(last - _FEW_TOKENS, last)
        begun = cut(early.trace, early.ends)
        second, *others = begun.steps  # the second token finds what the prompt has left, and is unlike the others
        known = dict(enumerate(others, first + 2))
        known |= dict(enumerate(cut(late.trace, late.ends).steps[1:], last - _FEW_TOKENS + 2))
        ends = {tokens: known[tokens].events for tokens in (min(known), max(known))}
        if any(events_at(tokens, ends) != step.events for tokens, step in known.items()):
            raise NotComposableError("the check at other lengths failed")
        decoding = [others[0].with_events(events_at(tokens, ends)) for tokens in range(first + 2, last)]
        return play(begun.beginning, begun.left_behind, [second, *decoding])

    def fine_tuning(self, variant: Variant) -> Played:
        """The whole run."""
        if len(self.batches) > _FEW_STEPS:
            try:
                run = self.run(variant)
                return play(run.beginning, run.left_behind, [run.step_of[shape_of(each)] for each in self.batches[1:]])
            except NotComposableError:
                pass  # steps that hang together in another way: the plain trace is as exact, and slow
        return play(self._traced.fine_tuning(variant, self.batches).trace)

    def fine_tuning_work(self, variant: Variant) -> list[Work]:
        """What each step of the whole run computes and moves."""
        if len(self.batches) > _FEW_STEPS:
            try:
                work_of = self.run(variant).work_of
                return [work_of[shape_of(batch)] for batch in self.batches]
            except NotComposableError:
                pass  # as above
        return list(self._traced.fine_tuning(variant, self.batches).work_each)

    def inference_work(self, answers: Sequence[AnswerLength]) -> list[Work]:
        """What each answer computes and moves: one forward pass over the prompt, and one for each further token.

        Raises NotComposableError for a model whose work does not grow with the number of tokens in a simple way.
        """
        decoding = self._decoding_work()
        prompts = sorted({answer.prompt_tokens for answer in answers})
        picked = {prompts[0], prompts[len(prompts) // 2], prompts[-1]}
        known = {tokens: self._traced.generation(tokens, tokens + 1).work_each[0] for tokens in picked}
        prompt_work = {tokens: known[tokens] if tokens in known else work_at(tokens, known) for tokens in prompts}
        return [
            sum(
                map(decoding, range(each.prompt_tokens + 1, each.prompt_tokens + each.new_tokens)),
                prompt_work[each.prompt_tokens],
            )
            for each in answers
        ]

    def _decoding_work(self) -> Callable[[int], Work]:
        """What the forward pass of one token computes and moves, by the number of tokens until then."""
        first = max(1, min(self.longest_prompt_tokens, self._protocol.max_length - _FEW_TOKENS))
        last = max(self._protocol.max_length, first + 2 * _FEW_TOKENS)
        early = self._traced.generation(first, first + _FEW_TOKENS).work_each[1:]
        late = self._traced.generation(last - _FEW_TOKENS, last).work_each[1:]
        known = dict(enumerate(early, first + 1)) | dict(enumerate(late, last - _FEW_TOKENS + 1))
        ends = {tokens: known[tokens] for tokens in (min(known), max(known))}
        if any(work_at(tokens, ends) != work for tokens, work in known.items()):
            raise NotComposableError("the check of the work at other lengths failed")
        return lambda tokens: work_at(tokens, ends)

    def trainable_parameters(self, variant: Variant) -> int:
        """Parameters that training changes, once the variant's run has been planned."""
        ends = ends_of(variant, self._variants)
        return self._traced.trainable_parameters(variant, ends)

    def run(self, variant: Variant) -> Run:
        """What a variant's run is made of, ready to be played.

        Raises NotComposableError if it cannot be put together from steps.
        """
        if variant not in self._runs:
            ends = ends_of(variant, self._variants)
            if ends is None:
                self._runs[variant] = self._traced_run(variant)
            else:
                self._runs[variant] = _on_line(rank_of(variant), {rank_of(end): self.run(end) for end in ends})
        return self._runs[variant]

    def _traced_run(self, variant: Variant) -> Run:
        shapes = sorted({shape_of(batch) for batch in self.batches})
        also = [_doubled(shape_of(self.longest_batch))] if variant == self.advised else []
        if self._lengths_agree:
            try:
                return self._interpolated_run(variant, shapes, also)
            except NotComposableError:
                self._lengths_agree = False
        traced = [*shapes, *(shape for shape in also if shape not in shapes)]
        found, work_each = self._cut(variant, [*traced, shapes[-1]])
        step_of = dict(zip(traced, found.steps, strict=True))
        return Run(found.beginning, found.left_behind, step_of, dict(zip(traced, work_each, strict=False)))

    def _interpolated_run(self, variant: Variant, shapes: Sequence[Shape], also: Sequence[Shape]) -> Run:
        """Trace three lengths and a fourth as a check, and put the others on the curve through them."""
        usual_rows = Counter(rows for rows, _ in shapes).most_common(1)[0][0]
        usual = [shape for shape in shapes if shape[0] == usual_rows]
        if len(usual) <= 4:  # noqa: PLR2004 - nothing to save
            raise NotComposableError("there are too few lengths for a curve")
        picked = [usual[0], usual[len(usual) // 2], usual[-1]]
        check = usual[len(usual) // 4]
        others = {shape for shape in (*shapes, *also) if shape[0] != usual_rows}
        traced = [*sorted(others), *picked]
        found, work_each = self._cut(variant, [*traced, check])
        step_of = dict(zip(traced, found.steps, strict=True))
        work_of = dict(zip(traced, work_each, strict=False))
        events = {tokens: step_of[rows, tokens].events for rows, tokens in picked}
        work = {tokens: work_of[rows, tokens] for rows, tokens in picked}
        if events_at(check[1], events) != found.last_events or work_at(check[1], work) != work_each[-1]:
            raise NotComposableError("the check at a fourth length failed")
        alike = step_of[picked[0]]
        for rows, tokens in usual:
            step_of.setdefault((rows, tokens), alike.with_events(events_at(tokens, events)))
            work_of.setdefault((rows, tokens), work_at(tokens, work))
        return Run(found.beginning, found.left_behind, step_of, work_of)

    def _cut(self, variant: Variant, shapes: Sequence[Shape]) -> tuple[CutTrace, Sequence[Work]]:
        """The run's first step and one of each shape; and the work of the latter."""
        batch_of = {shape_of(batch): batch for batch in [self.longest_batch * 2, *self.batches]}
        run = self._traced.fine_tuning(variant, [self.batches[0], *(batch_of[shape] for shape in shapes)])
        return cut(run.trace, run.ends), run.work_each[1:]


def shape_of(batch: Batch) -> Shape:
    """All that a step's memory depends on: the batch's rows, and the tokens they are padded to."""
    return len(batch), max(len(row["input_ids"]) for row in batch)


def _doubled(shape: Shape) -> Shape:
    return 2 * shape[0], shape[1]


def _on_line(rank: int, runs: dict[int, Run]) -> Run:
    alike, other = runs.values()
    beginning = events_at(rank, {end: run.beginning.events for end, run in runs.items()})
    step_of = {
        shape: step.with_events(events_at(rank, {end: run.step_of[shape].events for end, run in runs.items()}))
        for shape, step in alike.step_of.items()
        if shape in other.step_of
    }
    work_of = {shape: work_at(rank, {end: run.work_of[shape] for end, run in runs.items()}) for shape in step_of}
    return Run(Trace(beginning, alike.beginning.categories), alike.left_behind, step_of, work_of)
