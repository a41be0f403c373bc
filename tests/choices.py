"""Candidates and records to choose among, as a session at full size on a card leaves them."""

from __future__ import annotations

from pathlib import Path

from made import made

from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.candidates import Candidate
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.quality.grading import Quality, grade_of
from ohlora_fixtures.results.comparison import compare

VARIANTS = ("r16", "r32", "r64")


def candidate(name, **changes):
    facts = {
        "name": name,
        "group": "seed",
        "repo": f"somebody/{name}",
        "config": Path("config.json"),
        "parameters": 10**9,
        "card_license": "apache-2.0",
        "binding_license": "apache-2.0",
        "free_license": True,
        "korean": "supported",
        "target_modules": ("q_proj",),
        "text_template": "{input} {output}",
        "leaderboard_average": 30.0,
    }
    return Candidate(**facts | changes)


def fine_tuning(name, variant="r16", **figures):
    """A measured case, as a session at full size on a card leaves it."""
    usual = {"scale": "full", "weights": "hub", "tokenizer": "own", "device": "NVIDIA T4", "seconds": 60.0}
    return made(name, variant, **usual | {"peak_device_mib": 9000.0} | figures)


def inference(name, **figures):
    """Likewise, of answering."""
    return fine_tuning(
        name, None, **{"seconds": 50.0, "peak_device_mib": 6000.0, "steady_median_seconds": 2.0} | figures
    )


def plan(record, **figures):
    """The plan of a measured case, with its peak and its end."""
    case, outcome = record.case, record.outcome
    told = {"outcome": outcome.kind, "reason": outcome.reason, "peak_device_mib": record.peak_device_mib}
    told |= {"budget_mib": record.experiment.budget_mib, "scale": "full", "device": "Quadro M6000"}
    return made(case.candidate, case.variant, workload=case.workload, is_planned=True, **told | figures)


def judged(score, source="computed", *, is_tuned=True):
    return Quality(score, None, grade_of(score), source, is_tuned)


def chosen(candidates, records, qualities=None, weights=None, *, any_license=False):
    """What is chosen; qualities are by candidate, of its untuned answers, or by candidate and variant.

    Without qualities all answers, tuned, are alike.
    """
    by_case = {}
    if qualities is None:
        qualities = {(each.case.candidate, variant): judged(50.0) for each in records for variant in VARIANTS}
    for subject, quality in qualities.items():
        case = answering_case(*subject) if isinstance(subject, tuple) else answering_case(subject, None)
        by_case[case] = quality if isinstance(quality, list) else [quality]
    names = {each.case.candidate for each in records}
    candidates = [*candidates, *(candidate(name) for name in sorted(names - {each.name for each in candidates}))]
    found = compare(candidates, VARIANTS, records, {})
    return select(found, by_case, {**DEFAULT_WEIGHTS, **(weights or {})}, any_license=any_license)


def name_of(option):
    return option and (option.candidate.name, option.variant)


def exclusions(found):
    return [(each.candidate, each.variant, str(each.reason)) for each in found.excluded]


BOUND = candidate("bound", free_license=False, binding_license="Gemma Terms of Use", leaderboard_average=90.0)
