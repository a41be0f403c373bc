"""The study of April 2025, planned and replayed: `python tests/study.py [candidate ...]`.

The plan takes each of the study's 28 cases by itself, as this suite would run it. The replay does what the
study did, in one process: it answers, and then puts an adapter of rank 16 on, trains, puts one of rank 32 in
its place while the last trainer is still there, trains, and so on with 64; its rows have no end-of-sequence
token. It explains where the plan is off; nothing of it is in the plan. Lengths are estimated in both, from the
numbers of characters in `data/reference/study_rows.csv`: the study's dataset is not this project's to publish.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ohlora_fixtures.base.installation import DATA, REFERENCE
from ohlora_fixtures.base.units import MIB
from ohlora_fixtures.inputs.candidates import read_candidates, select_group
from ohlora_fixtures.inputs.templates import Example
from ohlora_fixtures.planner.allocator import Category, Trace
from ohlora_fixtures.planner.batches import estimated_examples, estimated_tokens, padding_tokenizer
from ohlora_fixtures.planner.candidate_planner import CandidatePlanner
from ohlora_fixtures.planner.on_meta import storages_traced
from ohlora_fixtures.planner.player import play
from ohlora_fixtures.planner.traced_candidate import Batch, TracedCandidate, given_batches
from ohlora_fixtures.results import comparison
from ohlora_fixtures.validation.study import PROTOCOL, VARIANTS, profile, study_dialogues
from ohlora_fixtures.workloads import models
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter, fine_tune
from ohlora_fixtures.workloads.inference import answer, prepare_to_answer_in_full

if TYPE_CHECKING:
    from ohlora_fixtures.inputs.candidates import Candidate

ByVariant = dict[str | None, float]
"""What is allocated after each of a candidate's cases, MiB; by the variant's name, None for inference."""


class StudiedCandidate:
    """One of the study's candidates on the study's card."""

    def __init__(self, candidate: Candidate) -> None:
        dialogues = study_dialogues()
        tokenizer = padding_tokenizer()
        rows = dialogues.rows(PROTOCOL.fine_tuning_rows)
        examples = estimated_examples(candidate, rows, PROTOCOL.max_row_tokens)
        model = models.build_on_meta(candidate)
        prepare_to_answer_in_full(model, tokenizer)
        self._profile = profile()
        self._candidate, self._model, self._tokenizer = candidate, model, tokenizer
        asked = dialogues.rows(PROTOCOL.prompt_rows)
        self._prompt_tokens = max(estimated_tokens(candidate, row)[0] for row in asked)
        self._traced = TracedCandidate(candidate, model, tokenizer, PROTOCOL, self._profile)
        self._planner = CandidatePlanner(self._traced, examples, self._prompt_tokens, PROTOCOL, VARIANTS)

    def published(self) -> ByVariant:
        """The study's figures."""
        found = comparison.read_published(REFERENCE).items()
        own = {case.variant: figures for case, figures in found if case.candidate == self._candidate.name}
        return {variant: figures.allocated_after_mib for variant, figures in own.items()}

    def planned(self) -> ByVariant:
        """Each case by itself."""
        by_variant: ByVariant = {None: self._planner.placed().allocated_bytes / MIB}
        return by_variant | {each.name: self._planner.fine_tuning(each)[0].allocated_bytes / MIB for each in VARIANTS}

    def replayed(self) -> ByVariant:
        """In the study's order; each variant trains for one epoch, after which the figure no longer moves by much."""
        one_epoch = self._planner.batches[: len(self._planner.batches) // PROTOCOL.epochs]
        batches = [[_without_end(row) for row in batch] for batch in one_epoch]
        kept = _cache_kept_on_the_model(self._candidate, PROTOCOL.max_length)
        traces = self._one_after_the_other(kept, batches)
        by_variant: ByVariant = {None: self._planner.placed().allocated_bytes / MIB}
        return by_variant | {name: play(trace).allocated_bytes / MIB for name, trace in traces.items()}

    def _one_after_the_other(self, kept_bytes: Sequence[int], batches: Sequence[Batch]) -> dict[str, Trace]:
        """As a notebook runs it: answering, then each variant's adapter in place of the last; traces up to each end.

        `kept_bytes` are blocks that stay from the answering on. A trainer is let go when the next one begins.
        """
        protocol, model = replace(PROTOCOL, epochs=1), self._model
        traces: dict[str, Trace] = {}
        rows = [row for batch in batches for row in batch]
        alive: list[Any] = []
        with (
            warnings.catch_warnings(),
            storages_traced(model, self._profile) as tracer,
            given_batches(batches),
        ):
            warnings.simplefilter("ignore")  # peft's, of an adapter in place of another
            for size in kept_bytes:
                tracer.trace.allocate(size, Category.ACTIVATIONS)
            answer(model, self._tokenizer, [[1] * self._prompt_tokens], protocol, lambda: None)
            for variant in VARIANTS:
                adapted = attach_adapter(model, variant, self._candidate.target_modules, protocol)
                alive.clear()  # what cycles hold goes only when `Trainer.train` collects garbage
                alive.append(fine_tune(adapted, self._tokenizer, rows, protocol, lambda: None))
                traces[variant.name] = tracer.trace.until(len(tracer.trace.events))
            detach_adapter(adapted)
        return traces


def _without_end(row: Example) -> Example:
    return {"input_ids": row["input_ids"][1:], "attention_mask": row["attention_mask"][1:], "labels": row["labels"][1:]}


def _cache_kept_on_the_model(candidate: Candidate, max_length: int) -> list[int]:
    """Sizes in bytes of the keys and values that `generate` of transformers 4.51 left on a Gemma 2.

    It gave that architecture a `HybridCache` of `max_length - 1` positions and kept it as `model._cache`.
    """
    settings = candidate.architecture()
    if settings["model_type"] != "gemma2":
        return []
    bf16_bytes = 2
    elements = settings["num_key_value_heads"] * (max_length - 1) * settings["head_dim"]
    return [elements * bf16_bytes] * (2 * settings["num_hidden_layers"])


def _table(names: list[str]) -> str:
    lines = [
        "| candidate | case | published | plan | off by % | replay | off by % |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    errors: dict[str, list[float]] = {"plan": [], "replay": []}
    for candidate in select_group(read_candidates(DATA / "candidates.toml"), "seed"):
        if names and candidate.name not in names:
            continue
        studied = StudiedCandidate(candidate)
        sources = {"plan": studied.planned(), "replay": studied.replayed()}
        for variant, published_mib in studied.published().items():
            cells = [f"{published_mib:.2f}"]
            for name, by_variant in sources.items():
                errors[name].append((by_variant[variant] - published_mib) / published_mib * 100)
                cells += [f"{by_variant[variant]:.2f}", f"{errors[name][-1]:+.3f}"]
            lines.append(f"| {candidate.name} | {variant or 'inference'} | {' | '.join(cells)} |")
    for name, each in errors.items():
        sizes = [abs(error) for error in each]
        lines.append(f"\n{name}: off by at most {max(sizes):.3f}%, {sum(sizes) / len(sizes):.3f}% in the mean")
    return "\n".join(lines)


if __name__ == "__main__":
    models.quieten_libraries()
    print(_table(sys.argv[1:]))  # noqa: T201 - a command's output
