"""What a case's model is worth, once its figures have been taken: its answers, and what it expects of others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..base.messages import sentence
from ..inputs.dataset import prompt_text
from ..results.answers import GivenAnswer
from .scoring import Reference, is_overfitted, judge, nats_per_character, reference_of

if TYPE_CHECKING:
    from ..inputs.dataset import Dialogue, Dialogues
    from ..inputs.protocol import Protocol
    from ..workloads.inference import Answered
    from ..workloads.likelihood import Likelihood
    from ..workloads.models import LoadedModel

_REHEARSED = 3
"""Rows."""


@dataclass(frozen=True)
class Expected:
    """How likely a model finds the dataset's answers."""

    trained: tuple[Likelihood, ...]
    """Those that fine-tuning trains on."""
    held_out: tuple[Likelihood, ...]
    """Others."""

    def facts(self, prefix: str = "") -> dict[str, float | None]:
        """By the record's field names, which begin with `prefix`."""
        tokens = sum(row.tokens for row in self.held_out)
        return {
            f"{prefix}trained_nats_per_character": nats_per_character(self.trained),
            f"{prefix}held_out_nats_per_character": nats_per_character(self.held_out),
            f"{prefix}held_out_loss": sum(row.nats for row in self.held_out) / tokens if tokens else None,
        }


@dataclass
class Assessor:
    """Judges one candidate, untuned and at each rank.

    At random weights it does the same work on a few rows, so that a rehearsal has seen it, and tells nothing of it.
    """

    loaded: LoadedModel
    """The candidate."""
    dialogues: Dialogues
    """The dataset."""
    protocol: Protocol
    """The experiment."""
    is_random: bool
    """Whether its weights are."""
    _untuned: Expected | None = field(default=None, init=False)

    @property
    def prompts_of_tuned(self) -> list[str]:
        """What a fine-tuned model is asked, in the candidate's template."""
        rows = self._some(self.dialogues.rows(self.protocol.prompt_rows))
        return [prompt_text(self.loaded.candidate.text_template, row.prompt) for row in rows]

    def given(self, answered: Answered, seconds_each: Sequence[float]) -> list[GivenAnswer]:
        """The answers to the protocol's prompts, or to the first of them, with what is known of each."""
        rows = self.dialogues.rows(self.protocol.prompt_rows)
        return [
            GivenAnswer(row.prompt, text, length.new_tokens, seconds, length.is_cut_off)
            for row, text, length, seconds in zip(rows, answered.answers, answered.lengths, seconds_each, strict=False)
        ]

    def untuned(self, given: Sequence[GivenAnswer]) -> dict[str, Any]:
        """What the untuned model is worth, by the record's field names."""
        expected = self._expected_untuned(self.loaded.model)
        return self._facts(given, expected, expected.facts())

    def tuned(self, model: Any, given: Sequence[GivenAnswer]) -> dict[str, Any]:
        """What a fine-tuned model, the candidate's with its adapter, is worth, by the record's field names."""
        before, after = self._expected_untuned(model), self._expected(model)
        facts: dict[str, Any] = after.facts() | before.facts("untuned_")
        if after.trained and after.held_out:
            facts["is_overfitted"] = is_overfitted(
                (facts["untuned_trained_nats_per_character"], facts["trained_nats_per_character"]),
                (facts["untuned_held_out_nats_per_character"], facts["held_out_nats_per_character"]),
            )
        return self._facts(given, after, facts)

    def _facts(self, given: Sequence[GivenAnswer], expected: Expected, facts: dict[str, Any]) -> dict[str, Any]:
        judgement = judge(given, expected.held_out, self._reference)
        if self.is_random:
            return {"not_judged": sentence("not_judged.random_weights")}
        return facts | {
            "quality_score": judgement.score,
            "quality_each": judgement.each,
            "quality_interval": list(judgement.interval),
            "quality_grade": judgement.grade,
            "quality_parts": judgement.parts,
        }

    @cached_property
    def _reference(self) -> Reference:
        rows = (*self.dialogues.usable_train_rows, *self.dialogues.usable_valid_rows)
        return reference_of([row.answer for row in rows])

    def _expected_untuned(self, model: Any) -> Expected:
        """That of the candidate without an adapter, read once."""
        if self._untuned is None:
            with model.disable_adapter() if hasattr(model, "peft_config") else nullcontext():
                self._untuned = self._expected(model)
        return self._untuned

    def _expected(self, model: Any) -> Expected:
        rows = self.protocol.fine_tuning_rows
        trained, held_out = self._some(self.dialogues.rows(rows)), self._some(self.dialogues.held_out(rows))
        return Expected(self._likelihoods(model, trained), self._likelihoods(model, held_out))

    def _some(self, rows: Sequence[Dialogue]) -> Sequence[Dialogue]:
        return rows[:_REHEARSED] if self.is_random else rows

    def _likelihoods(self, model: Any, rows: Sequence[Dialogue]) -> tuple[Likelihood, ...]:
        from ..workloads.likelihood import likelihoods

        template, max_tokens = self.loaded.candidate.text_template, self.protocol.max_row_tokens
        return likelihoods(model, self.loaded.tokenizer, template, rows, max_tokens)
