"""The study of April 2025 as a results folder: the same command that reports a session chooses as its author did."""

import csv
import json
from hashlib import sha256
from pathlib import Path

import pytest

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.installation import REFERENCE
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS
from ohlora_fixtures.results.folder import read_records

ROOT = Path(__file__).parents[1]


def contents():
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in REFERENCE.rglob("*")}


@pytest.fixture
def report(tmp_path, capsys, monkeypatch):
    """Reports the study into a folder of its own; returns what was printed and `selection.json`."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options):
        before = contents()
        status = main(["report", str(REFERENCE), "--into", str(tmp_path / "out"), *options])
        assert (status, contents()) == (0, before)
        assert {path.name for path in (tmp_path / "out").iterdir()} == {
            "comparison.md",
            "comparison.csv",
            "report.html",
            "selection.json",
        }
        return capsys.readouterr().out, json.loads((tmp_path / "out" / "selection.json").read_text(encoding="utf-8"))

    return run


def names(found):
    return found["choice"]["candidate"], found["reserve"]["candidate"]


def test_with_any_licence_it_chooses_as_the_study_did(report):
    printed, found = report("--any-license")
    assert names(found) == ("gemma-2-2b-it", "polyglot-ko-1.3b")
    assert (found["weights"], found["excluded"]) == (DEFAULT_WEIGHTS, [])
    assert "Final choice: gemma-2-2b-it r16 (최상 as published by the study, April 2025, total " in printed
    assert "Reserve: polyglot-ko-1.3b r16 (상 as published by the study, April 2025, total " in printed


def test_with_the_licence_enforced_it_chooses_as_the_author_did_two_days_later(report):
    printed, found = report()
    assert found["choice"]["candidate"] == "polyglot-ko-1.3b"
    assert {each["candidate"]: each["reason"] for each in found["excluded"]} == {
        "gemma-2-2b-it": "licence: Gemma Terms of Use",
        "gemma-ko-v01": "licence: Gemma Terms of Use",
        "llama1B": "licence: Llama 3.2 Community License",
        "FinguAI-Chat-v1": "licence: Tongyi Qianwen Research License",
    }
    excluded = "gemma-2-2b-it, gemma-ko-v01 (Gemma Terms of Use); llama1B (Llama 3.2 Community License)"
    assert f"excluded, no free licence (--any-license admits it): {excluded}" in printed
    assert "Final choice: polyglot-ko-1.3b r16 (상 as published by the study, April 2025, total " in printed


def test_the_time_that_the_raw_data_contradict_does_not_count(report):
    _, found = report()
    figures = {each["candidate"]: each["figures"]["inference_seconds"] for each in found["ranking"]}
    assert figures["koquality-polyglot-1.3b"] == pytest.approx(2.60)
    assert any("the published 6.68 s contradict their raw data" in each for each in found["cautions"])


def test_it_says_what_the_study_could_not_know(report):
    printed, found = report("--any-license")
    for sentence in (
        "no peak memory was measured or planned, so no option was checked against the budget",
        "memory is what was allocated after the run, not the peak: a card needs more",
        "the quality of every option is that of the untuned model's answers",
    ):
        assert sentence in printed
        assert sentence in found["unknown"] + found["cautions"]


def test_its_table_has_every_published_figure_once(report, tmp_path):
    report()
    with (tmp_path / "out" / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["candidate"]: row for row in csv.DictReader(file)}
    records = read_records(REFERENCE).records
    assert (len(rows), len(records)) == (7, 28)
    for record in records:
        variant = record.case.variant
        case = record.case.workload if variant is None else f"fine_tuning_{variant}"
        row = rows[record.case.candidate]
        assert float(row[f"{case}_seconds"]) == record.measured.seconds
        assert float(row[f"{case}_allocated_after_mib"]) == record.measured.memory.allocated_after_mib
        assert row[f"study_{case}_seconds"] == ""


def test_the_choice_is_firm_or_not_and_says_how_far(report):
    _, found = report("--any-license")
    shifts = {each["criterion"]: each for each in found["shifts"]}
    assert set(shifts) == set(DEFAULT_WEIGHTS) - {"leaderboard"}
    assert (shifts["quality"]["side"], shifts["quality"]["candidate"]) == ("below", "polyglot-ko-1.3b")
    for name, shift in shifts.items():
        past = shift["turns_at"] * (1.001 if shift["side"] == "above" else 0.999)
        assert names(report("--any-license", "--choice-weights", f"{name}={past}")[1])[0] == shift["candidate"]
        short = shift["turns_at"] * (0.999 if shift["side"] == "above" else 1.001)
        assert names(report("--any-license", "--choice-weights", f"{name}={short}")[1])[0] == "gemma-2-2b-it"


def test_it_imports_nothing_heavy(tmp_path, heavy_imports):
    assert heavy_imports("report", REFERENCE, "--into", tmp_path) == ""
