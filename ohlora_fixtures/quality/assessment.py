"""What a case's model is worth, once its figures have been taken: its answers, and what it expects of others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..base.messages import message
from ..inputs.conversations import Dialogue
from ..inputs.dataset import MOST_HELD_OUT, Dialogues
from ..inputs.protocol import Protocol
from ..results.answers import GivenAnswer
from ..results.record import Assessment
from ..workloads.inference import Answered
from ..workloads.likelihood import OTHER_PROMPTS, Likelihood, Reader
from ..workloads.models import LoadedModel
from .scoring import Reference, is_overfitted, judge, nats_per_character, reference_of

_REHEARSED = 3
"""Rows."""


@dataclass(frozen=True)
class Expected:
    """How likely a model finds the dataset's answers."""

    trained: tuple[Likelihood, ...]
    """Those that fine-tuning trains on."""
    held_out: tuple[Likelihood, ...]
    """Others."""

    @property
    def loss(self) -> float | None:
        """Of the held-out rows, nats a token."""
        tokens = sum(row.tokens for row in self.held_out)
        return sum(row.nats for row in self.held_out) / tokens if tokens else None


NOT_JUDGED = Assessment(not_judged=message("not_judged.random_weights"))
"""Of a model with random weights, whose answers say nothing."""


@dataclass
class Assessor:
    """Judges one candidate, untuned and in each variant.

    At random weights it does the same work on a few rows, so that a rehearsal has seen it, and tells nothing of it.
    """

    loaded: LoadedModel
    dialogues: Dialogues
    protocol: Protocol
    is_random: bool
    """Whether the candidate's weights are."""
    _untuned: Expected | None = field(default=None, init=False)

    def goes_on_with(self, loaded: LoadedModel) -> bool:
        """Go on with a model that is like the one before it, weights and all; whether it is."""
        if (loaded.candidate, loaded.base) != (self.loaded.candidate, self.loaded.base):
            return False
        self.loaded = loaded
        return True

    @property
    def prompts_of_tuned(self) -> list[list[int]]:
        """What a fine-tuned model is asked, in the candidate's template and tokens."""
        return self.loaded.template.prompts(self._some(self.dialogues.rows(self.protocol.prompt_rows)))

    def given(self, answered: Answered, seconds_each: Sequence[float]) -> list[GivenAnswer]:
        """The answers to the protocol's prompts, or to the first of them, with what is known of each."""
        rows = self.dialogues.rows(self.protocol.prompt_rows)
        return [
            GivenAnswer(row.prompt, text, length.new_tokens, seconds, length.is_cut_off, dataset_answer=row.answer)
            for row, text, length, seconds in zip(rows, answered.answers, answered.lengths, seconds_each, strict=False)
        ]

    def untuned(self, given: Sequence[GivenAnswer]) -> Assessment:
        """What the untuned model is worth."""
        if self._untuned is None:
            self._untuned = self._expected(self.loaded.model)
        return self._assessment(given, self._untuned)

    def tuned(self, model: Any, given: Sequence[GivenAnswer]) -> Assessment:
        """What a fine-tuned model, the candidate's with its adapter, is worth."""
        before, after = self._expected_untuned(model), self._expected(model)
        found = self._assessment(given, after)
        if self.is_random or before is None:
            return found
        trained, held_out = nats_per_character(before.trained), nats_per_character(before.held_out)
        now_trained, now_held_out = found.trained_nats_per_character, found.held_out_nats_per_character
        return replace(
            found,
            untuned_trained_nats_per_character=trained,
            untuned_held_out_nats_per_character=held_out,
            untuned_held_out_loss=before.loss,
            is_overfitted=is_overfitted((trained, now_trained), (held_out, now_held_out)),
        )

    def _assessment(self, given: Sequence[GivenAnswer], expected: Expected) -> Assessment:
        judgement = judge(given, expected.held_out, self._reference)
        if self.is_random:
            return NOT_JUDGED
        return replace(
            judgement,
            trained_nats_per_character=nats_per_character(expected.trained),
            held_out_nats_per_character=nats_per_character(expected.held_out),
            held_out_loss=expected.loss,
        )

    @cached_property
    def _reference(self) -> Reference:
        return reference_of((*self.dialogues.usable_train_rows, *self.dialogues.usable_valid_rows))

    def _expected_untuned(self, model: Any) -> Expected | None:
        """That of the candidate without an adapter, read once; None if all of its weights have been trained since."""
        if self._untuned is None and hasattr(model, "peft_config"):
            with model.disable_adapter():
                self._untuned = self._expected(model)
        return self._untuned

    def _expected(self, model: Any) -> Expected:
        rows = self.protocol.fine_tuning_rows
        reader = Reader(model, self.loaded.template, self.protocol.max_row_tokens)
        trained = reader.likelihoods(self._some(self.dialogues.rows(rows)[:MOST_HELD_OUT]))
        return Expected(trained, reader.likelihoods(self._some(self.dialogues.held_out(rows)), OTHER_PROMPTS))

    def _some(self, rows: Sequence[Dialogue]) -> Sequence[Dialogue]:
        return rows[:_REHEARSED] if self.is_random else rows
