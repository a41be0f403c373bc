"""Plans and advice by case: from the cache if they are there, else made. Imports nothing heavy until then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

from msgspec import convert

from ..base.errors import CandidateError, one_line
from ..base.installation import versions
from ..base.messages import message
from ..base.units import MIB
from ..inputs.variants import ends_of
from ..workloads import models
from ..workloads.kernels import kernels_of
from .plan import Advice, Plan, PlanStore, with_seconds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.settings import Settings
    from ..inputs.variants import Variant
    from ..workloads.inference import AnswerLength


@dataclass(frozen=True)
class MeasuredTokenizer:
    """The measured model's own tokenizer: what is planned with it is planned for the very lengths of the run."""

    tokenizer: PreTrainedTokenizerBase
    """The tokenizer."""
    origin: str
    """`own` or `stand-in`."""


class Planner:
    """Plans a session's cases, one candidate after the other.

    Where nothing is said of the tokenizer, the candidate's own is taken if it is at hand, and else lengths are
    estimated.
    """

    def __init__(self, settings: Settings, store: PlanStore) -> None:
        self._settings = settings
        self._store = store
        self._opened: _OpenCandidate | None = None
        self.pace = settings.gpu_profile.pace
        """How fast the card works, as far as is known."""

    def is_kept(self, candidate: Candidate, variant: Variant | None) -> bool:
        """Whether a case's plan, and its advice, can be had without the heavy libraries."""
        needed = [self._facts(candidate, variant)]
        if self._is_advised(variant):
            needed.append(self._advice_facts(candidate, variant))
        return all(self._store.read(facts) is not None for facts in needed)

    def plan(self, candidate: Candidate, variant: Variant | None, measured: MeasuredTokenizer | None = None) -> Plan:
        """A case's plan: fine-tuning in a variant, or inference for None.

        Raises CandidateError for a candidate that cannot be built or planned.
        """
        kept = self._kept(
            self._facts(candidate, variant, measured),
            candidate,
            lambda: self._open(candidate, measured).plan(variant),
        )
        return with_seconds(convert(kept["plan"], Plan), kept["steps"], self.pace)

    def work_each(
        self,
        candidate: Candidate,
        variant: Variant | None,
        measured: MeasuredTokenizer,
        answers: Sequence[AnswerLength] = (),
    ) -> list[tuple[int, int]]:
        """What each step of a fine-tuning case, or each answer, computes and moves: FLOPs and bytes.

        `answers` are the lengths of the answers given. Raises CandidateError as `plan` does.
        """
        kept = self._kept(
            {**self._facts(candidate, variant, measured), "work_of": list(answers)},
            candidate,
            lambda: {"work": self._open(candidate, measured).work_each(variant, answers)},
        )
        return [(flops, moved_bytes) for flops, moved_bytes in kept["work"]]

    def advice(self, candidate: Candidate, variant: Variant | None) -> Advice | None:
        """What else would fit the budget and the card, given with the first variant's case alone.

        Raises CandidateError as `plan` does.
        """
        if not self._is_advised(variant):
            return None
        facts = self._advice_facts(candidate, variant)
        kept = self._kept(facts, candidate, lambda: {"advice": self._open(candidate, None).advice()})
        return None if kept["advice"] is None else Advice(**kept["advice"])

    def _is_advised(self, variant: Variant | None) -> bool:
        return variant == self._settings.variants[0]

    def _kept(self, facts: dict[str, Any], candidate: Candidate, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        kept = self._store.read(facts)
        if kept is not None:
            return kept
        try:
            made = make()
        except CandidateError:
            raise
        except Exception as error:  # what a library cannot do on meta is this candidate's error, not the session's
            reason = message("reason.not_planned", candidate=candidate.name, error=one_line(error))
            raise CandidateError(reason) from error
        self._store.write(facts, made)
        return made

    def _open(self, candidate: Candidate, measured: MeasuredTokenizer | None) -> _OpenCandidate:
        if self._opened is None or (self._opened.candidate, self._opened.measured) != (candidate, measured):
            self._opened = None  # two candidates at once would need twice the memory
            self._opened = _OpenCandidate(candidate, self._settings, measured)
        return self._opened

    def _facts(
        self, candidate: Candidate, variant: Variant | None, measured: MeasuredTokenizer | None = None
    ) -> dict[str, Any]:
        ends = ends_of(variant, self._settings.variants) if variant else None
        if measured is None:
            folder = models.tokenizer_at_hand(candidate, self._settings.model_dir)
            files = sorted({*folder.glob("*token*"), *folder.glob("chat_template*")}) if folder else []
            tokenizer: dict[str, Any] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        else:
            from .batches import encoded

            found = encoded(candidate, self._settings, measured)
            lengths = [[len(row["input_ids"]) for row in found.examples], found.prompt_tokens]
            tokenizer = {"origin": measured.origin, "lengths": lengths}
        return {
            "candidate": {**asdict(candidate), "config": candidate.architecture()},
            "variant": variant and variant.as_dict(),
            "between": [end.as_dict() for end in ends] if ends else None,
            "tokenizer": tokenizer,
            "protocol": self._settings.protocol.as_dict(),
            "dataset": self._settings.dialogues.sha256,
            "gpu": asdict(self._settings.gpu_profile),
            "versions": dict(versions()),
            "source": source_digest(),
        }

    def _advice_facts(self, candidate: Candidate, variant: Variant | None) -> dict[str, Any]:
        limit_mib = self._settings.gpu_profile.limit_mib(self._settings.budget_mib)
        return {**self._facts(candidate, variant), "advice_for_mib": limit_mib}


class _OpenCandidate:
    """A candidate's full-size model on meta, and what is planned with it."""

    def __init__(self, candidate: Candidate, settings: Settings, measured: MeasuredTokenizer | None) -> None:
        from ..workloads.inference import prepare_to_answer_in_full
        from .batches import encoded
        from .candidate_planner import CandidatePlanner
        from .traced_candidate import TracedCandidate

        models.quieten_libraries()
        self.candidate = candidate
        self.measured = measured
        protocol, profile = settings.protocol, settings.gpu_profile
        self._context_mib = profile.context_mib
        self._limit_mib = profile.limit_mib(settings.budget_mib) - profile.context_mib
        model = models.build_on_meta(candidate)
        self._rows = encoded(candidate, settings, measured)
        prepare_to_answer_in_full(model, self._rows.tokenizer)
        self._parameters = models.count_parameters(model)
        self._kernels = kernels_of(model)
        self._prompt_tokens = max(self._rows.prompt_tokens)
        self._median_prompt_tokens = median_low(self._rows.prompt_tokens)
        traced = TracedCandidate(candidate, model, self._rows.tokenizer, protocol, profile)
        self._planner = CandidatePlanner(traced, self._rows.examples, self._prompt_tokens, protocol, settings.variants)

    def plan(self, variant: Variant | None) -> dict[str, Any]:
        """The fields of `Plan` without its seconds, and the number of steps."""
        from .candidate_planner import shape_of
        from .traced_candidate import States

        if variant is None:
            played = self._planner.inference()
            after_bytes, longest, trainable = self._planner.placed().allocated_bytes, self._prompt_tokens, None
            states, batch = States(None), None
            work, steps = self._planner.answer_work(self._median_prompt_tokens), None
        else:
            played, batch = self._planner.fine_tuning(variant)
            after_bytes, longest = played.allocated_bytes, max(len(row["input_ids"]) for row in self._rows.examples)
            trainable = self._planner.trainable_parameters(variant)
            states = self._planner.states(variant)
            work, steps = self._planner.run_work(variant)
        plan = Plan(
            parameters=self._parameters,
            trainable_parameters=trainable,
            tokenizer=self._rows.origin,
            longest_tokens=longest,
            rows_cut=None if variant is None else self._rows.rows_cut,
            long_answers=self._rows.long_answers if variant is None else None,
            peak_batch=None if batch is None else self._planner.places(batch),
            peak_batch_tokens=None if batch is None else shape_of(batch)[1],
            allocated_after_mib=after_bytes / MIB,
            peak_allocated_mib=played.peak_allocated_bytes / MIB,
            peak_reserved_mib=played.peak_reserved_bytes / MIB,
            peak_device_mib=played.peak_reserved_bytes / MIB + self._context_mib,
            needs_mib=played.needs_bytes / MIB,
            needs_device_mib=played.needs_bytes / MIB + self._context_mib,
            context_mib=self._context_mib,
            optimizer_states_mib=_mib(states.size_bytes),
            paged_mib=_mib(states.paged_bytes),
            without_kernels=self._kernels,
            breakdown_mib={name: size_bytes / MIB for name, size_bytes in played.at_peak.items()},
            work=work,
        )
        return {"plan": asdict(plan), "steps": steps}

    def work_each(self, variant: Variant | None, answers: Sequence[AnswerLength]) -> list[tuple[int, int]]:
        planner = self._planner
        each = planner.inference_work(answers) if variant is None else planner.fine_tuning_work(variant)
        return [(work.flops, work.moved_bytes) for work in each]

    def advice(self) -> dict[str, Any] | None:
        """The fields of `Advice`; None for a candidate whose runs cannot be put together from steps."""
        from .advice import Advisor
        from .steps import NotComposableError

        with suppress(NotComposableError):
            return asdict(Advisor(self._planner, self._limit_mib).advise())
        return None


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


@cache
def source_digest() -> str:
    """A digest of this package's own code: a plan made by other code is not looked at."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
