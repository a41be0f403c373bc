"""Candidates and records to choose among, as a session at full size on a card leaves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_report import record

from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.candidates import Candidate
from ohlora_fixtures.quality.grading import Quality, grade_of
from ohlora_fixtures.results.comparison import compare


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


def fine_tuning(name, rank=16, **changes):
    return record(name, rank, **{"steady_median_seconds": None} | changes)


def inference(name, **changes):
    facts = {"case": f"bench_inference[{name}]", "workload": "inference", "seconds": 50.0, "peak_device_mib": 6000.0}
    return fine_tuning(name, None, **facts | {"steady_median_seconds": 2.0} | changes)


def plan(record, **changes):
    """The plan of a measured case."""
    facts = {"case": record.case.replace("bench_", "bench_plan_"), "workload": "plan", "weights": None}
    facts |= {"planned_workload": record.workload, "device": "Quadro M6000", "seconds": None}
    return replace(record, **facts | {"steady_median_seconds": None} | changes)


def judged(score, source="computed", *, is_tuned=True):
    return Quality(score, None, grade_of(score), source, is_tuned)


def chosen(candidates, records, qualities=None, weights=None, *, any_license=False):
    """What is chosen; qualities are by candidate, or by candidate and rank."""
    by_subject = {}
    for subject, quality in (qualities or {}).items():
        key = subject if isinstance(subject, tuple) else (subject, None)
        by_subject[key] = quality if isinstance(quality, list) else [quality]
    names = {each.candidate for each in records}
    candidates = [*candidates, *(candidate(name) for name in sorted(names - {each.name for each in candidates}))]
    found = compare(candidates, (16, 32, 64), records, {})
    return select(found, by_subject, {**DEFAULT_WEIGHTS, **(weights or {})}, any_license=any_license)


def name_of(option):
    return option and (option.candidate.name, option.lora_rank)
