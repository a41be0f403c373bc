"""The study of April 2025, planned and replayed: `python tests/study.py [candidate ...]`.

The plan takes each of the study's 28 cases by itself, as this suite would run it. The replay does what the
study did, in one process: it answers, and then puts an adapter of rank 16 on, trains, puts one of rank 32 in
its place while the last trainer is still there, trains, and so on with 64; its rows have no end-of-sequence
token. It explains where the plan is off; nothing of it is in the plan. Lengths are estimated in both, from the
numbers of characters in `data/reference/study_rows.csv`: the study's dataset is not this project's to publish.
"""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

from ohlora_fixtures.base.shipped import DATA, REFERENCE
from ohlora_fixtures.base.units import MIB
from ohlora_fixtures.inputs.candidates import read_candidates, select_group
from ohlora_fixtures.inputs.dataset import Dialogue, Dialogues, Example, prompt_text
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.planner.batches import EstimatedTokenizer, estimated_examples
from ohlora_fixtures.planner.candidate_planner import CandidatePlanner
from ohlora_fixtures.planner.player import play
from ohlora_fixtures.planner.traced_candidate import TracedCandidate
from ohlora_fixtures.results import comparison
from ohlora_fixtures.workloads import models

if TYPE_CHECKING:
    from ohlora_fixtures.inputs.candidates import Candidate

PROTOCOL = Protocol()
LORA_RANKS = (16, 32, 64)
ROWS = DATA / "reference" / "study_rows.csv"
CARD = "t4"


ByRank = dict[int | None, float]
"""What is allocated after each of a candidate's cases, MiB; by LoRA rank, None for inference."""


def study_dialogues() -> Dialogues:
    """Dialogues as long as the study's in the rows it used, and empty elsewhere."""
    rows = [Dialogue("", "")] * PROTOCOL.fine_tuning_rows.stop
    with ROWS.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            rows[int(line["row"])] = Dialogue(
                "x" * int(line["prompt_characters"]), "x" * int(line["answer_characters"])
            )
    return Dialogues(ROWS, "", tuple(rows))


class StudiedCandidate:
    """One of the study's candidates on the study's card."""

    def __init__(self, candidate: Candidate) -> None:
        dialogues, template = study_dialogues(), candidate.text_template
        assert candidate.chars_per_token is not None
        tokenizer = EstimatedTokenizer(candidate.chars_per_token)
        prompts = [prompt_text(template, row.prompt) for row in dialogues.rows(PROTOCOL.prompt_rows)]
        rows = dialogues.rows(PROTOCOL.fine_tuning_rows)
        examples = estimated_examples(template, rows, candidate.chars_per_token, PROTOCOL.max_row_tokens)
        model = models.build_on_meta(candidate)
        models.prepare_to_answer_in_full(model, tokenizer)
        profile = next(each for each in read_profiles(DATA / "gpus.toml") if each.name == CARD)
        self._candidate = candidate
        self._prompt_tokens = max(len(tokenizer(prompt)["input_ids"]) for prompt in prompts)
        self._traced = TracedCandidate(candidate, model, tokenizer, PROTOCOL, profile)
        self._planner = CandidatePlanner(self._traced, examples, self._prompt_tokens, PROTOCOL, LORA_RANKS)

    def published(self) -> ByRank:
        """The study's figures."""
        found = comparison.read_published(REFERENCE)[self._candidate.name]
        return {rank: figures.allocated_after_mib for (_, rank), figures in found.items()}

    def planned(self) -> ByRank:
        """Each case by itself."""
        by_rank: ByRank = {None: self._planner.placed().allocated_bytes / MIB}
        return by_rank | {rank: self._planner.fine_tuning(rank).allocated_bytes / MIB for rank in LORA_RANKS}

    def replayed(self) -> ByRank:
        """In the study's order; each rank trains for one epoch, after which the figure no longer moves by much."""
        one_epoch = self._planner.batches[: len(self._planner.batches) // PROTOCOL.epochs]
        batches = [[_without_end(row) for row in batch] for batch in one_epoch]
        kept = _cache_kept_on_the_model(self._candidate, PROTOCOL.max_length)
        traces = self._traced.one_after_the_other(self._prompt_tokens, kept, LORA_RANKS, batches)
        by_rank: ByRank = {None: self._planner.placed().allocated_bytes / MIB}
        return by_rank | {rank: play(trace).allocated_bytes / MIB for rank, trace in traces.items()}


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
        for rank, published_mib in studied.published().items():
            cells = [f"{published_mib:.2f}"]
            for name, by_rank in sources.items():
                errors[name].append((by_rank[rank] - published_mib) / published_mib * 100)
                cells += [f"{by_rank[rank]:.2f}", f"{errors[name][-1]:+.3f}"]
            lines.append(f"| {candidate.name} | {'inference' if rank is None else f'r{rank}'} | {' | '.join(cells)} |")
    for name, each in errors.items():
        sizes = [abs(error) for error in each]
        lines.append(f"\n{name}: off by at most {max(sizes):.3f}%, {sum(sizes) / len(sizes):.3f}% in the mean")
    return "\n".join(lines)


if __name__ == "__main__":
    models.quieten_libraries()
    print(_table(sys.argv[1:]))  # noqa: T201 - a command's output
