"""The study's times on a T4: each candidate's planned at the pace that the other six were measured at.

Lengths of rows and prompts come from `study_rows.csv`, in each candidate's characters a token; how long the answers
became, from `study_answers.csv`. `data/reference/README.md` says where the figures are from.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.installation import DATA, REFERENCE
from ..inputs.candidates import read_candidates, select_group
from ..inputs.cases import Case, answering_case
from ..inputs.conversations import Dialogue
from ..inputs.dataset import Dialogues
from ..inputs.gpu_profiles import GpuProfile, read_profiles
from ..inputs.pace import Pace, rough_pace
from ..inputs.protocol import Protocol
from ..inputs.variants import lora
from ..planner.seconds import Work, calibrated, seconds_of
from ..results.folder import read_records
from .compared import Compared

if TYPE_CHECKING:
    from ..inputs.candidates import Candidate

PROTOCOL = Protocol()
VARIANTS = tuple(map(lora, (16, 32, 64)))
ROWS, ANSWERS = DATA / "reference" / "study_rows.csv", DATA / "reference" / "study_answers.csv"
CARD = "t4"


@dataclass(frozen=True)
class Timed:
    """One time of the study's."""

    case: Case
    work: Work
    seconds: float
    """Of the whole fine-tuning run, or of all answers but the first."""


def study_dialogues() -> Dialogues:
    """Dialogues as long as the study's in the rows it used, and empty elsewhere."""
    rows = [Dialogue("", "")] * PROTOCOL.fine_tuning_rows.stop
    with ROWS.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            rows[int(line["row"])] = Dialogue(
                "x" * int(line["prompt_characters"]), "x" * int(line["answer_characters"])
            )
    return Dialogues(ROWS, "", tuple(rows))


def profile() -> GpuProfile:
    """The study's card."""
    return next(each for each in read_profiles(DATA / "gpus.toml") if each.name == CARD)


def pace_without_runs() -> Pace:
    """What would be known of the card if nothing had run on it."""
    card = profile()
    assert card.matrix_tflops
    assert card.bandwidth_gb_per_second
    return rough_pace(card.matrix_tflops, card.bandwidth_gb_per_second, card.capability)


def compare(_: Path = REFERENCE) -> Iterator[Compared]:
    """Each of the 28 times beside that planned at the pace of the other candidates."""
    timed = {candidate.name: timed_cases(candidate) for candidate in candidates()}
    for name, own in timed.items():
        others = [each for other, cases in timed.items() if other != name for each in cases]
        pace = calibrated(pace_without_runs(), [(each.work, each.seconds) for each in others])
        for each in own:
            quantity = "seconds of answers" if each.case.variant is None else "seconds"
            yield Compared(each.case.id, quantity, seconds_of(each.work, pace).seconds, each.seconds, "s")


def candidates() -> tuple[Candidate, ...]:
    """The study's seven."""
    return tuple(select_group(read_candidates(DATA / "candidates.toml"), "seed"))


@cache
def timed_cases(candidate: Candidate) -> tuple[Timed, ...]:
    """A candidate's four times, and the work that took them, traced."""
    from ..planner.batches import estimated_examples, padding_tokenizer
    from ..planner.candidate_planner import CandidatePlanner
    from ..planner.traced_candidate import TracedCandidate
    from ..workloads import models
    from ..workloads.inference import AnswerLength, prepare_to_answer_in_full

    assert candidate.chars_per_token is not None
    tokenizer, dialogues = padding_tokenizer(), study_dialogues()
    rows = dialogues.rows(PROTOCOL.fine_tuning_rows)
    examples = estimated_examples(candidate, rows, PROTOCOL.max_row_tokens)
    model = models.build_on_meta(candidate)
    prepare_to_answer_in_full(model, tokenizer)
    lengths, seconds = [], 0.0
    for prompt, (tokens, took) in [*zip(dialogues.rows(PROTOCOL.prompt_rows), _answers(candidate), strict=True)][1:]:
        prompt_tokens = min(
            round(len(prompt.prompt) / candidate.chars_per_token), tokens - 1
        )  # asked without a template
        lengths.append(AnswerLength(prompt_tokens, tokens - prompt_tokens, tokens >= PROTOCOL.max_length))
        seconds += took
    traced = TracedCandidate(candidate, model, tokenizer, PROTOCOL, profile())
    longest = max(each.prompt_tokens for each in lengths)
    planner = CandidatePlanner(traced, examples, longest, PROTOCOL, VARIANTS)
    published = {record.case: record.measured.seconds for record in read_records(REFERENCE).records}
    found = []
    for variant in VARIANTS:
        planner.fine_tuning(variant)
        case = answering_case(candidate.name, variant.name)
        found.append(Timed(case, planner.run_work(variant)[0], published[case] or 0.0))
    answering = sum(planner.inference_work(lengths), Work())
    return (*found, Timed(answering_case(candidate.name, None), answering, seconds))


def _answers(candidate: Candidate) -> list[tuple[int, float]]:
    """Tokens of each prompt with its answer, and the seconds that it took."""
    with ANSWERS.open(encoding="utf-8", newline="") as file:
        own = [line for line in csv.DictReader(file) if line["candidate"] == candidate.name]
    return [(int(line["tokens"]), float(line["seconds"])) for line in own]
