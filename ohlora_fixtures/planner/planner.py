"""Plans and advice by case: from the cache if they are there, else made. Imports nothing heavy until then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

from msgspec import convert

from ..base.errors import CandidateError
from ..base.installation import versions
from ..base.units import MIB
from ..inputs.variants import ends_of
from ..workloads import models
from ..workloads.kernels import kernels_of
from ..workloads.refusals import refusals_told
from .plan import Advice, Changes, Plan, PlanStore, with_seconds
from .seconds import Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..inputs.candidates import Candidate
    from ..inputs.pace import Pace
    from ..inputs.settings import Settings
    from ..inputs.variants import Variant
    from ..workloads.inference import AnswerLength

Watch = Callable[[str], None]
"""Is told in a few words what a plan is at."""


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

    def __init__(self, settings: Settings, store: PlanStore, pace: Callable[[], Pace | None] | None = None) -> None:
        """`pace` tells how fast the card works, when that is first asked; without it, the GPU profile does."""
        self._settings = settings
        self._store = store
        self._opened: _OpenCandidate | None = None
        self._find_pace = pace or (lambda: settings.gpu_profile.pace)

    @cached_property
    def pace(self) -> Pace | None:
        """How fast the card works, as far as is known."""
        return self._find_pace()

    def is_kept(self, candidate: Candidate, variant: Variant | None) -> bool:
        """Whether a case's plan, and what is told with it, can be had without the heavy libraries."""
        needed = [self._facts(candidate, variant)]
        if self._is_advised(variant):
            needed += [self._advice_facts(candidate, variant), self._changes_facts(candidate, variant)]
        return all(self._store.read(facts) is not None for facts in needed)

    def plan(
        self,
        candidate: Candidate,
        variant: Variant | None,
        measured: MeasuredTokenizer | None = None,
        watch: Watch | None = None,
    ) -> Plan:
        """A case's plan: fine-tuning in a variant, or inference for None.

        `watch` is told in a few words what is traced.
        Raises CandidateError for a candidate that cannot be built or planned.
        """
        kept = self._kept(
            self._facts(candidate, variant, measured),
            candidate,
            lambda: self._open(candidate, measured, watch).plan(variant),
        )
        return self._timed(kept)

    def work_each(
        self,
        candidate: Candidate,
        variant: Variant | None,
        measured: MeasuredTokenizer,
        answers: Sequence[AnswerLength] = (),
    ) -> list[Work]:
        """What each step of a fine-tuning case, or each answer, does.

        `answers` are the lengths of the answers given. Raises CandidateError as `plan` does.
        """
        kept = self._kept(
            {**self._facts(candidate, variant, measured), "work_of": list(answers)},
            candidate,
            lambda: {"work": self._open(candidate, measured).work_each(variant, answers)},
        )
        return convert(kept["work"], list[Work])

    def advice(self, candidate: Candidate, variant: Variant | None, watch: Watch | None = None) -> Advice | None:
        """What else would fit the budget and the card, given with the first variant's case alone.

        Raises CandidateError as `plan` does.
        """
        if not self._is_advised(variant):
            return None
        facts = self._advice_facts(candidate, variant)
        kept = self._kept(facts, candidate, lambda: {"advice": self._open(candidate, None, watch).advice()})
        return None if kept["advice"] is None else Advice(**kept["advice"])

    def changes(self, candidate: Candidate, variant: Variant | None, watch: Watch | None = None) -> Changes | None:
        """What would make a candidate fit that does in no chosen variant; with the first variant's case alone.

        Raises CandidateError as `plan` does.
        """
        if not self._is_advised(variant):
            return None
        kept = self._kept(
            self._changes_facts(candidate, variant), candidate, lambda: {"changes": self._changed(candidate, watch)}
        )
        found: Changes | None = convert(kept["changes"], Changes | None)
        return found and found.with_seconds(self.pace)

    def _changed(self, candidate: Candidate, watch: Watch | None) -> dict[str, Any] | None:
        """The fields of `Changes`; None if the candidate fits, or if nothing of it can be planned."""
        limit_mib = self._limit_mib()
        needed_mib: dict[Variant, float] = {}
        for variant in self._settings.variants:
            with suppress(CandidateError):
                needed_mib[variant] = self.plan(candidate, variant, watch=watch).needs_device_mib or 0.0
                if needed_mib[variant] <= limit_mib:
                    return None
        if not needed_mib:
            return None
        return asdict(self._open(candidate, None, watch).changes(min(needed_mib, key=needed_mib.__getitem__)))

    def _timed(self, kept: dict[str, Any]) -> Plan:
        return with_seconds(convert(kept["plan"], Plan), kept["steps"], self.pace)

    def _is_advised(self, variant: Variant | None) -> bool:
        return variant == self._settings.variants[0]

    def _kept(self, facts: dict[str, Any], candidate: Candidate, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        kept = self._store.read(facts)
        if kept is None:
            with refusals_told("reason.not_planned", candidate=candidate.name):
                kept = make()
            self._store.write(facts, kept)
        return kept

    def _open(
        self, candidate: Candidate, measured: MeasuredTokenizer | None, watch: Watch | None = None
    ) -> _OpenCandidate:
        if self._opened is None or (self._opened.candidate, self._opened.measured) != (candidate, measured):
            self._opened = None  # two candidates at once would need twice the memory
            self._opened = _OpenCandidate(candidate, self._settings, measured)
        self._opened.let_watch(watch)
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
        return {**self._facts(candidate, variant), "advice_for_mib": self._limit_mib()}

    def _changes_facts(self, candidate: Candidate, variant: Variant | None) -> dict[str, Any]:
        chosen = [each.as_dict() for each in self._settings.variants]
        return {**self._facts(candidate, variant), "changes_for_mib": self._limit_mib(), "variants": chosen}

    def _limit_mib(self) -> float:
        return self._settings.gpu_profile.limit_mib(self._settings.budget_mib)


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

    def let_watch(self, watch: Watch | None) -> None:
        """Tell somebody, or nobody any more, what is traced."""
        self._planner.traced.watch = watch or (lambda _: None)

    def plan(self, variant: Variant | None) -> dict[str, Any]:
        """The fields of `Plan` without its seconds, and the number of steps."""
        from .runs import shape_of
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

    def work_each(self, variant: Variant | None, answers: Sequence[AnswerLength]) -> list[dict[str, int]]:
        planner = self._planner
        each = planner.inference_work(answers) if variant is None else planner.fine_tuning_work(variant)
        return [asdict(work) for work in each]

    def advice(self) -> dict[str, Any] | None:
        """The fields of `Advice`; None for a candidate whose runs cannot be put together from steps."""
        from .advice import Advisor
        from .steps import NotComposableError

        with suppress(NotComposableError):
            return asdict(Advisor(self._planner, self._limit_mib).advise())
        return None

    def changes(self, variant: Variant) -> Changes:
        """What would make a variant fit."""
        from .changes import Changer

        return Changer(self._planner, variant, self._limit_mib, self._context_mib).changes()


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


@cache
def source_digest() -> str:
    """A digest of this package's own code: a plan made by other code is not looked at."""
    package = Path(__file__).parents[1]
    files = sorted([*package.rglob("*.py"), *package.rglob("*.c")])
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
