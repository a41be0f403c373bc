"""Plans one candidate's cases: traces what is needed, puts runs together, plays them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING

from ..inputs.variants import Variant, by_rank, ends_of, rank_of
from .batches import drawn_batches
from .curves import PARABOLA, TILED, Growth
from .player import Played, play
from .runs import (
    CutRun,
    Run,
    StepBatches,
    interpolated_run,
    played_of,
    run_on_line,
    shape_of,
    shapes_of,
    tokens_of,
    traced_of,
)
from .seconds import Work
from .steps import NotComposableError, cut, step_at, whole_at, without_emptying
from .traced_candidate import States
from .work import work_at

if TYPE_CHECKING:
    from ..inputs.protocol import Protocol
    from ..inputs.templates import Example
    from ..workloads.inference import AnswerLength
    from .traced_candidate import Batch, TracedCandidate, TracedRun

_FEW_STEPS = 6
"""A run of no more steps is traced whole."""
_FEW_TOKENS = 5
"""Tokens traced at the beginning of an answer, and at its end."""
_ADAMW_PASSES = 23
_BF16_BYTES, _FP32_BYTES = 2, 4


@dataclass(eq=False)
class CandidatePlanner:
    """The plans of one candidate under one protocol."""

    traced: TracedCandidate
    examples: Sequence[Example]
    longest_prompt_tokens: int
    protocol: Protocol
    variants: Sequence[Variant]
    """Of those that differ in rank alone, the lowest and the highest are traced: others lie between."""
    _runs: dict[Variant, Run] = field(default_factory=dict, init=False)
    _whole: dict[Variant, TracedRun] = field(default_factory=dict, init=False)
    _answer_work: Sequence[Work] = field(default=(), init=False)
    """What each token's forward pass does, of the answer that is planned."""
    _growths: list[Growth] = field(init=False)
    """Those of which no check has failed."""

    def __post_init__(self) -> None:
        self._growths = [PARABOLA, TILED] if self.traced.has_fused_attention else [PARABOLA]

    @property
    def advised(self) -> Variant:
        """The variant at which advice is given: the session's first."""
        return self.variants[0]

    def of_rows(self, most_tokens: int) -> CandidatePlanner:
        """A planner of the same candidate, for other variants and with rows cut to so many tokens."""
        rows: list[Example] = [
            {
                "input_ids": row["input_ids"][:most_tokens],
                "attention_mask": row["attention_mask"][:most_tokens],
                "labels": row["labels"][:most_tokens],
            }
            for row in self.examples
        ]
        return CandidatePlanner(self.traced, rows, self.longest_prompt_tokens, self.protocol, [self.advised])

    @cached_property
    def batches(self) -> list[list[Example]]:
        """The batches of a whole run at the advised variant."""
        return self.batches_of(self.advised)

    def batches_of(self, variant: Variant) -> list[list[Example]]:
        """The batches of a variant's whole run."""
        drawn = drawn_batches(len(self.examples), variant.protocol(self.protocol))
        return [[self.examples[row] for row in rows] for rows in drawn]

    def steps_of(self, variant: Variant) -> list[StepBatches]:
        """The batches of each step of a variant's whole run; an epoch's last step may have fewer."""
        batches, protocol = self.batches_of(variant), variant.protocol(self.protocol)
        an_epoch, a_step = len(batches) // protocol.epochs, protocol.gradient_accumulation_steps
        return [
            [*batches[start : min(start + a_step, epoch + an_epoch)]]
            for epoch in range(0, len(batches), an_epoch)
            for start in range(epoch, epoch + an_epoch, a_step)
        ]

    @cached_property
    def longest_batch(self) -> list[Example]:
        """The batch, of those with most rows, that is padded to most tokens."""
        return max(self.batches, key=shape_of)

    @property
    def larger_batches(self) -> list[list[Example]]:
        """Two batches of the longest batch's rows: by what they differ, larger ones do. A row alone is no like."""
        rows = self.longest_batch * (2 if len(self.longest_batch) == 1 else 1)
        return [rows, rows * 2]

    @property
    def other(self) -> Variant | None:
        """The advised variant at another rank, traced as well; None if it has no rank."""
        alike = by_rank(self.advised, self.variants)
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
        is_plain = re.search("8bit|paged", variant.protocol(self.protocol).optimizer) is None
        return ends_of(variant, self.variants) if is_plain else None

    def placed(self) -> Played:
        """The model on the device, before any work."""
        return play(self.traced.placing())

    def inference(self) -> Played:
        """The longest prompt answered to the protocol's length; an answer lets go of all that it took."""
        first, last = self.longest_prompt_tokens, self.protocol.max_length
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

    def fine_tuning(self, variant: Variant) -> tuple[Played, Batch | None]:
        """The whole run, and the longest batch of the step in which most is allocated; None where it is in loading."""
        steps = self.steps_of(variant)
        if len(steps) > _FEW_STEPS:
            steps = played_of(steps)
            with suppress(NotComposableError):  # its steps may hang together in another way: trace them all
                run, every = self.run(variant), variant.protocol(self.protocol).empty_cache_steps
                usual = {shape: without_emptying(step) for shape, step in run.step_of.items()} if every else run.step_of
                composed = (
                    (usual if every and number % every else run.step_of)[shapes_of(step)]
                    for number, step in enumerate(steps)
                )
                played = play(run.beginning, [*islice(composed, 1, None)])
                is_loading = played.peak_part == 0 and played.peak_event < run.begin
                return played, None if is_loading else max(steps[played.peak_part], key=shape_of)
        whole = self._traced_whole(variant)
        played = play(whole.trace)
        if played.peak_event < whole.begin:
            return played, None
        step = traced_of(self.steps_of(variant))[bisect_right(whole.ends, played.peak_event)]
        return played, max(step, key=shape_of)

    def places(self, batch: Batch) -> tuple[int, ...]:
        """The numbers of a batch's rows among those trained on, from 1, the longest row's first."""
        number_of = {id(row): number for number, row in enumerate(self.examples, 1)}
        return tuple(number_of[id(row)] for row in sorted(batch, key=lambda row: -len(row["input_ids"])))

    def _traced_whole(self, variant: Variant) -> TracedRun:
        if variant not in self._whole:
            batches, epochs = self.batches_of(variant), self.protocol.epochs
            steps = self.steps_of(variant)
            traced = traced_of(steps)
            if len(traced) < len(steps):
                batches, epochs = [[*batch] for step in traced for batch in step], 1
            self._whole = {variant: self.traced.fine_tuning(variant, batches, epochs)}  # the last one: they are long
        return self._whole[variant]

    def run_work(self, variant: Variant) -> tuple[Work, int]:
        """What the whole run does, its optimizer included, and its number of steps."""
        each = self.fine_tuning_work(variant)
        bytes_a_step = optimizer_bytes(self.trainable_parameters(variant), is_full=not variant.adapter)
        return sum(each, Work(made_bytes=len(each) * bytes_a_step)), len(each)

    def fine_tuning_work(self, variant: Variant) -> Sequence[Work]:
        """What each step of the whole run does, but for its optimizer's in-place kernels."""
        steps = self.steps_of(variant)
        if len(steps) > _FEW_STEPS:
            with suppress(NotComposableError):
                work_of = self.run(variant).work_of
                return [work_of[shapes_of(step)] for step in steps]
        each, traced = self._traced_whole(variant).work_each, traced_of(steps)
        if len(traced) == len(steps):
            return each
        total, tokens = sum(each, Work()), sum(map(tokens_of, traced))
        return [Work(*(value * tokens_of(step) // tokens for value in vars(total).values())) for step in steps]

    def inference_work(self, answers: Sequence[AnswerLength]) -> list[Work]:
        """What each answer computes and moves: one forward pass over the prompt, and one for each further token.

        Raises NotComposableError for a model whose work does not grow with the number of tokens in a simple way.
        """
        first = max(1, min(self.longest_prompt_tokens, self.protocol.max_length - _FEW_TOKENS))
        last = max(self.protocol.max_length, first + 2 * _FEW_TOKENS)
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
        if variant not in self._runs:
            ends = self._ends(variant)
            if ends is None:
                self._runs[variant] = self._traced_run(variant)
            else:
                self._runs[variant] = run_on_line(rank_of(variant), {rank_of(end): self.run(end) for end in ends})
        return self._runs[variant]

    def cut_run(self, variant: Variant, steps: Sequence[StepBatches]) -> CutRun:
        """Trace the run's first step and one of each step's batches.

        Raises NotComposableError as `cut` does.
        """
        first = self.steps_of(variant)[0]
        whole = [first, *(step for step in steps if len(step) == len(first))]
        short = [step for step in steps if len(step) < len(first)]
        epochs, ran = 1, whole
        if short:  # as the last of an epoch, where it alone can stand
            epochs = max(len(whole), len(short) + 1)
            ran = [each[min(epoch, len(each) - 1)] for epoch in range(epochs) for each in (whole, short)]
        batches = [batch for step in ran for batch in step]
        emptying = min(1, variant.protocol(self.protocol).empty_cache_steps)  # in every step: `fine_tuning` drops it
        run = self.traced.fine_tuning(variant, batches, epochs, empty_cache_steps=emptying)
        found = cut(run.trace, run.ends)
        *places, last = (next(place for place in range(1, len(ran)) if ran[place] is step) for step in steps)
        return CutRun(
            found.beginning,
            run.begin,
            [found.steps[place - 1] for place in places],
            found.last_events if last == len(ran) - 1 else found.steps[last - 1].events,
            [run.work_each[place] for place in (*places, last)],
        )

    def _traced_run(self, variant: Variant) -> Run:
        steps = self.steps_of(variant)
        batches_of = {shapes_of(step): step for step in steps}
        longest = [self.longest_batch] * len(steps[0])  # what advice is about
        batches_of.setdefault(shapes_of(longest), longest)
        for batch in self.larger_batches if variant == self.advised else ():
            step = [batch] * len(steps[0])
            batches_of.setdefault(shapes_of(step), step)
        played = {shapes_of(step) for step in (*played_of(steps), longest)}
        while self._growths:
            with suppress(NotComposableError):
                return interpolated_run(batches_of, played, partial(self.cut_run, variant), self._growths[0])
            del self._growths[0]
        shapes = sorted(batches_of)
        if len(steps) > len(played_of(steps)):
            raise NotComposableError("there are too many different steps")
        found = self.cut_run(variant, [*(batches_of[shape] for shape in shapes), max(steps, key=shapes_of)])
        step_of, work_of = dict(zip(shapes, found.steps, strict=True)), dict(zip(shapes, found.work_each, strict=False))
        return Run(found.beginning, found.begin, step_of, work_of)


def optimizer_bytes(trainable_parameters: int, *, is_full: bool) -> int:
    """What AdamW's foreach kernels and gradient clipping read and write in a step: a weight's elements 23 times.

    That is counted in `_multi_tensor_adamw` (`torch/optim/adam.py`) and `_clip_grads_with_norm_`. Adapters are in fp32,
    a whole model in bf16. Other optimizers are taken to be like it.
    """
    return trainable_parameters * (_BF16_BYTES if is_full else _FP32_BYTES) * _ADAMW_PASSES


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
