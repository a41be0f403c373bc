"""Plans one candidate's cases: traces what is needed, puts runs together, plays them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from ..inputs.variants import Variant, by_rank, ends_of, rank_of
from .batches import drawn_batches
from .player import Played, play
from .seconds import Work
from .steps import CutTrace, NotComposableError, Step, cut, step_at, whole_at, without_emptying
from .traced_candidate import States
from .work import work_at

if TYPE_CHECKING:
    from ..inputs.protocol import Protocol
    from ..inputs.templates import Example
    from ..workloads.inference import AnswerLength
    from .traced_candidate import Batch, TracedCandidate, TracedRun

Shape = tuple[int, int]
"""Rows of a batch, and the tokens of its longest row."""

_FEW_STEPS = 6
"""A run of no more steps is traced whole."""
_FEW_TOKENS = 5
"""Tokens traced at the beginning of an answer, and at its end."""
ADAMW_PASSES = 23
"""How often AdamW's foreach kernels and gradient clipping read or write a trained weight's elements in a step
(`_multi_tensor_adamw` in `torch/optim/adam.py`, `_clip_grads_with_norm_`)."""
BF16_BYTES, FP32_BYTES = 2, 4


@dataclass(frozen=True)
class Run:
    """What a fine-tuning run of one variant is made of."""

    beginning: Step
    begin: int
    """Where its training begins, after loading: a position in its events."""
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
        self.traced = traced
        self._examples = examples
        self.longest_prompt_tokens = longest_prompt_tokens
        self._protocol = protocol
        self._variants = variants
        self.advised = variants[0]
        """The variant at which advice is given: the session's first."""
        self._runs: dict[Variant, Run] = {}
        self._whole_work: dict[Variant, Sequence[Work]] = {}
        """What each step does, of runs traced whole."""
        self._answer_work: Sequence[Work] = ()
        """What each token's forward pass does, of the answer that is planned."""
        self._lengths_agree = True

    @cached_property
    def batches(self) -> list[list[Example]]:
        """The batches of a whole run at the advised variant."""
        return self.batches_of(self.advised)

    def batches_of(self, variant: Variant) -> list[list[Example]]:
        """The batches of a variant's whole run."""
        drawn = drawn_batches(len(self._examples), variant.protocol(self._protocol))
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

    def trainable_parameters(self, variant: Variant) -> int:
        """Parameters that training changes, once the variant's run has been planned."""
        known, ends = self.traced.trainable_parameters, self._ends(variant)
        if variant in known or ends is None:
            return known[variant]
        return whole_at(rank_of(variant), {rank_of(end): known[end] for end in ends})

    def states(self, variant: Variant) -> States:
        """What the optimizer keeps, once the variant's run has been planned."""
        known, ends = self.traced.states, self._ends(variant)
        if variant in known or ends is None:
            return known[variant]
        return States(whole_at(rank_of(variant), {rank_of(end): known[end].size_bytes or 0 for end in ends}))

    def _ends(self, variant: Variant) -> tuple[Variant, Variant] | None:
        """Between which ranks a variant lies on a line: bitsandbytes treats small states otherwise than large ones."""
        is_plain = re.search("8bit|paged", variant.protocol(self._protocol).optimizer) is None
        return ends_of(variant, self._variants) if is_plain else None

    def placed(self) -> Played:
        """The model on the device, before any work."""
        return play(self.traced.placing())

    def inference(self) -> Played:
        """The longest prompt answered to the protocol's length; an answer lets go of all that it took."""
        first, last = self.longest_prompt_tokens, self._protocol.max_length
        if last - first > 2 * _FEW_TOKENS:
            with suppress(NotComposableError):  # as in `fine_tuning`
                return self._decoded(first, last)
        whole = self.traced.generation(first, last)
        self._answer_work = whole.work_each
        return play(whole.trace)

    def answer_work(self, prompt_tokens: int) -> Work:
        """What an answer does that fills the protocol's length, to a prompt no longer than the planned one.

        A token that the prompt is shorter by costs another pass, the first one's. Only after `inference`.
        """
        prompt, *others = self._answer_work
        further = sum(others[:1] * (self.longest_prompt_tokens - prompt_tokens), Work())
        return sum(others, prompt) + further

    def _decoded(self, first: int, last: int) -> Played:
        """Trace the first tokens and the last: in between, sizes grow with the number of tokens as a line does."""
        early = self.traced.generation(first, first + _FEW_TOKENS)
        late = self.traced.generation(last - _FEW_TOKENS, last)
        begun = cut(early.trace, early.ends)
        second, *others = begun.steps  # the second token finds what the prompt has left, and is unlike the others
        known = dict(enumerate(others, first + 2))
        known |= dict(enumerate(cut(late.trace, late.ends).steps[1:], last - _FEW_TOKENS + 2))
        ends = {tokens: known[tokens] for tokens in (min(known), max(known))}
        if any(step_at(tokens, ends).events != step.events for tokens, step in known.items()):
            raise NotComposableError("the check at other lengths failed")
        decoding = _decoding_work(early, late, first, last)
        self._answer_work = [early.work_each[0], *map(decoding, range(first + 1, last))]
        return play(begun.beginning, [second, *(step_at(tokens, ends) for tokens in range(first + 2, last))])

    def fine_tuning(self, variant: Variant) -> tuple[Played, list[Example] | None]:
        """The whole run, and the batch at whose step most is allocated; None where loading takes more."""
        batches = self.batches_of(variant)
        if len(batches) > _FEW_STEPS:
            with suppress(NotComposableError):  # its steps may hang together in another way: trace them all
                run, every = self.run(variant), variant.protocol(self._protocol).empty_cache_steps
                usual = {shape: without_emptying(step) for shape, step in run.step_of.items()} if every else run.step_of
                steps = (
                    (usual if every and number % every else run.step_of)[shape_of(batch)]
                    for number, batch in enumerate(batches)
                )
                played = play(run.beginning, [*islice(steps, 1, None)])
                is_loading = played.peak_part == 0 and played.peak_event < run.begin
                return played, None if is_loading else batches[played.peak_part]
        whole = self._traced_whole(variant)
        played = play(whole.trace)
        a_step = -(-len(batches) // len(whole.ends))  # batches of one, where gradients are accumulated
        step = bisect_right(whole.ends, played.peak_event)
        ran = batches[step * a_step : (step + 1) * a_step]
        return played, None if played.peak_event < whole.begin else max(ran, key=shape_of)

    def places(self, batch: Batch) -> tuple[int, ...]:
        """The numbers of a batch's rows among those trained on, from 1, the longest row's first."""
        number_of = {id(row): number for number, row in enumerate(self._examples, 1)}
        return tuple(number_of[id(row)] for row in sorted(batch, key=lambda row: -len(row["input_ids"])))

    def _traced_whole(self, variant: Variant) -> TracedRun:
        whole = self.traced.fine_tuning(variant, self.batches_of(variant), self._protocol.epochs)
        self._whole_work[variant] = whole.work_each
        return whole

    def run_work(self, variant: Variant) -> tuple[Work, int]:
        """What the whole run does, its optimizer included, and its number of steps."""
        each = self.fine_tuning_work(variant)
        weight_bytes = FP32_BYTES if variant.adapter else BF16_BYTES
        bytes_a_step = self.trainable_parameters(variant) * weight_bytes * ADAMW_PASSES
        return sum(each, Work(made_bytes=len(each) * bytes_a_step)), len(each)

    def fine_tuning_work(self, variant: Variant) -> Sequence[Work]:
        """What each step of the whole run does, but for its optimizer's in-place kernels."""
        if variant in self._whole_work:
            return self._whole_work[variant]
        batches = self.batches_of(variant)
        if len(batches) > _FEW_STEPS:
            with suppress(NotComposableError):
                work_of = self.run(variant).work_of
                return [work_of[shape_of(batch)] for batch in batches]
        return self._traced_whole(variant).work_each

    def inference_work(self, answers: Sequence[AnswerLength]) -> list[Work]:
        """What each answer computes and moves: one forward pass over the prompt, and one for each further token.

        Raises NotComposableError for a model whose work does not grow with the number of tokens in a simple way.
        """
        first = max(1, min(self.longest_prompt_tokens, self._protocol.max_length - _FEW_TOKENS))
        last = max(self._protocol.max_length, first + 2 * _FEW_TOKENS)
        early = self.traced.generation(first, first + _FEW_TOKENS)
        decoding = _decoding_work(early, self.traced.generation(last - _FEW_TOKENS, last), first, last)
        prompts = sorted({answer.prompt_tokens for answer in answers})
        picked = {prompts[0], prompts[len(prompts) // 2], prompts[-1]}
        known = {tokens: self.traced.generation(tokens, tokens + 1).work_each[0] for tokens in picked}
        prompt_work = {tokens: known[tokens] if tokens in known else work_at(tokens, known) for tokens in prompts}
        return [
            sum(
                map(decoding, range(each.prompt_tokens + 1, each.prompt_tokens + each.new_tokens)),
                prompt_work[each.prompt_tokens],
            )
            for each in answers
        ]

    def run(self, variant: Variant) -> Run:
        """What a variant's run is made of, ready to be played.

        Raises NotComposableError if it cannot be put together from steps.
        """
        if variant.protocol(self._protocol).gradient_accumulation_steps > 1:
            raise NotComposableError("a step's gradients are older than its last batch")
        if variant not in self._runs:
            ends = self._ends(variant)
            if ends is None:
                self._runs[variant] = self._traced_run(variant)
            else:
                self._runs[variant] = _on_line(rank_of(variant), {rank_of(end): self.run(end) for end in ends})
        return self._runs[variant]

    def cut_run(self, variant: Variant, batches: Sequence[Batch]) -> tuple[CutTrace, int, Sequence[Work]]:
        """The run's first step and one of each batch; where training begins; and the work of the latter.

        Raises NotComposableError as `cut` does.
        """
        emptying = min(1, variant.protocol(self._protocol).empty_cache_steps)  # in every step: `fine_tuning` drops it
        run = self.traced.fine_tuning(variant, [self.batches_of(variant)[0], *batches], empty_cache_steps=emptying)
        return cut(run.trace, run.ends), run.begin, run.work_each[1:]

    def _traced_run(self, variant: Variant) -> Run:
        batches = self.batches_of(variant)
        batch_of = {shape_of(batch): batch for batch in batches}
        if variant == self.advised:
            doubled = self.longest_batch * 2
            batch_of[shape_of(doubled)] = doubled
        if self._lengths_agree:
            with suppress(NotComposableError):
                return self._interpolated_run(variant, batch_of)
            self._lengths_agree = False
        shapes = sorted(batch_of)
        found, begin, work_each = self.cut_run(
            variant, [*(batch_of[shape] for shape in shapes), max(batches, key=shape_of)]
        )
        step_of = dict(zip(shapes, found.steps, strict=True))
        return Run(found.beginning, begin, step_of, dict(zip(shapes, work_each, strict=False)))

    def _interpolated_run(self, variant: Variant, batch_of: Mapping[Shape, Batch]) -> Run:
        """Trace three lengths and a fourth as a check, and put the others on the curve through them."""
        usual_rows = Counter(rows for rows, _ in sorted(batch_of)).most_common(1)[0][0]
        usual = sorted(shape for shape in batch_of if shape[0] == usual_rows)
        if len(usual) <= 4:  # noqa: PLR2004 - nothing to save
            raise NotComposableError("there are too few lengths for a curve")
        picked = [usual[0], usual[len(usual) // 2], usual[-1]]
        check = usual[len(usual) // 4]
        shapes = [*sorted(shape for shape in batch_of if shape[0] != usual_rows), *picked]
        found, begin, work_each = self.cut_run(variant, [batch_of[shape] for shape in (*shapes, check)])
        step_of = dict(zip(shapes, found.steps, strict=True))
        work_of = dict(zip(shapes, work_each, strict=False))
        steps = {shape[1]: step_of[shape] for shape in picked}
        work = {shape[1]: work_of[shape] for shape in picked}
        if (
            step_at(check[1], steps).events != found.last_events
            or work_at(check[1], work).products != work_each[-1].products
        ):
            raise NotComposableError("the check at a fourth length failed")
        for shape in usual:
            if shape not in step_of:
                step_of[shape], work_of[shape] = step_at(shape[1], steps), work_at(shape[1], work)
        return Run(found.beginning, begin, step_of, work_of)


def shape_of(batch: Batch) -> Shape:
    """All that a step's memory depends on: the batch's rows, and the tokens they are padded to."""
    return len(batch), max(len(row["input_ids"]) for row in batch)


def _decoding_work(early: TracedRun, late: TracedRun, first: int, last: int) -> Callable[[int], Work]:
    """What the forward pass of one token does, by the number of tokens until then.

    The runs are an answer's first tokens after `first` and its last before `last`. Raises NotComposableError for work
    that does not grow as a line does.
    """
    known = dict(enumerate(early.work_each[1:], first + 1))
    known |= dict(enumerate(late.work_each[1:], last - _FEW_TOKENS + 1))
    ends = {tokens: known[tokens] for tokens in (min(known), max(known))}
    if any(work_at(tokens, ends).products != work.products for tokens, work in known.items()):
        raise NotComposableError("the check of the work at other lengths failed")
    return lambda tokens: work_at(tokens, ends)


def _on_line(rank: int, runs: dict[int, Run]) -> Run:
    first, *others = runs.values()
    shapes = [shape for shape in first.step_of if all(shape in other.step_of for other in others)]
    return Run(
        step_at(rank, {end: run.beginning for end, run in runs.items()}),
        first.begin,
        {shape: step_at(rank, {end: run.step_of[shape] for end, run in runs.items()}) for shape in shapes},
        {shape: work_at(rank, {end: run.work_of[shape] for end, run in runs.items()}) for shape in shapes},
    )
