"""`python -m ohlora_fixtures merge`: folders of several machines made into one comparison."""

import csv
import json
import re
from dataclasses import is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made
from test_untrusted import HOSTILE, SPECIFIED, is_obeyed

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.base.messages import Message, message, verbatim
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.planner.plan import Advice, Changes
from ohlora_fixtures.report.files import Findings, closing, comma_separated, texts
from ohlora_fixtures.report.layout import Terminal
from ohlora_fixtures.results.answers import GivenAnswer, read_answers, write_answers
from ohlora_fixtures.results.comparison import compare
from ohlora_fixtures.results.folder import read_records
from ohlora_fixtures.results.record import SCHEMA, Experiment, Record
from ohlora_fixtures.session.resume import entry_of

UNTUNED, R16, R32 = (answering_case("gemma-2-2b-it", variant) for variant in (None, "r16", "r32"))
ANSWERS = {
    UNTUNED: [GivenAnswer("안녕", "=응", 3, 0.25, is_cut_off=True, grade="상")],
    R16: [GivenAnswer("안녕", "응")],
    R32: [GivenAnswer("안녕", "of a case without a record")],
}
CANDIDATES = read_candidates(DATA / "candidates.toml")


def record(candidate="gemma-2-2b-it", variant="r16", **figures):
    """A measured case, as a session at full size on a card leaves it."""
    usual = {"scale": "full", "weights": "hub", "tokenizer": "own", "device": "NVIDIA T4", "seconds": 60.0}
    return made(candidate, variant, **usual | {"peak_device_mib": 9000.0} | figures)


@pytest.fixture
def shard(tmp_path):
    """Writes a session's results folder."""

    def write(name, *records, answers=None, started="2026-01-01"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "records.jsonl").write_bytes(b"".join(each.as_line() for each in records))
        (tmp_path / name / "environment.json").write_text(json.dumps({"started_utc": started}))
        if answers:
            write_answers(tmp_path / name / "answers" / f"{records[0].case.candidate}.csv", answers)
        return tmp_path / name

    return write


@pytest.fixture
def merge(tmp_path, capsys):
    """Merges folders into `all`; returns the exit status and what was printed."""

    def run(*folders, options=()):
        status = main(["merge", *map(str, folders), "--into", str(tmp_path / "all"), *map(str, options)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_a_model_that_only_its_session_knows_is_merged_and_reported(tmp_path, shard, merge):
    own = replace(CANDIDATES[0], name="my-model")
    folder = shard("a", record("my-model"), answers={answering_case("my-model", "r16"): ANSWERS[R16]})
    (folder / "session.json").write_text(json.dumps({"candidates": {"my-model": entry_of(own)}}))
    assert merge(folder, shard("b", record()))[0] == 0
    page = page_of(tmp_path / "all")
    assert re.findall(r"^\| (gemma-2-2b-it|my-model) ", page, re.MULTILINE)[:2] == ["gemma-2-2b-it", "my-model"]
    assert main(["report", str(tmp_path / "all"), "--into", str(tmp_path / "report")]) == 0
    assert page_of(tmp_path / "report").splitlines()[:3] == page.splitlines()[:3]
    again = ["merge", str(tmp_path / "all"), str(shard("c", record("llama1B"))), "--into", str(tmp_path / "again")]
    assert main(again) == 0
    assert "my-model" in page_of(tmp_path / "again")


def page_of(folder):
    return (folder / "comparison.md").read_text(encoding="utf-8")


def test_folders_become_one_comparison(tmp_path, shard, merge):
    gemma = shard("a", record(variant=None), record(), answers=ANSWERS, started="1")
    llama = shard("b", record("llama1B"), record("llama1B", variant="r32"), started="2")
    status, printed = merge(gemma, llama)
    assert status == 0
    found = tmp_path / "all"
    assert re.findall("gemma-2-2b-it|llama1B", printed)[:2] == ["gemma-2-2b-it", "llama1B"]
    assert f"results: {found}" in printed
    assert [each.case.id for each in read_records(found).records] == [
        "bench_inference[gemma-2-2b-it]",
        "bench_fine_tuning[gemma-2-2b-it-r16]",
        "bench_fine_tuning[llama1B-r16]",
        "bench_fine_tuning[llama1B-r32]",
    ]
    assert f"merged from 2 folders: {gemma}, {llama}" in page_of(found).replace("\\", "")
    with (found / "comparison.csv").open(encoding="utf-8", newline="") as file:
        assert [row["candidate"] for row in csv.DictReader(file)] == ["gemma-2-2b-it", "llama1B"]
    answers = read_answers(found / "answers" / "gemma-2-2b-it.csv")
    (untuned,), (tuned,) = answers.pop(UNTUNED), answers.pop(R16)
    assert untuned == GivenAnswer("안녕", "'=응", 3, 0.25, is_cut_off=True, grade="상")
    assert (tuned, answers) == (GivenAnswer("안녕", "응"), {})
    environment = json.loads((found / "environment.json").read_text(encoding="utf-8"))
    assert [(Path(each["folder"]).name, each["records"], each["environment"]) for each in environment["shards"]] == [
        (gemma.name, 2, {"started_utc": "1"}),
        (llama.name, 2, {"started_utc": "2"}),
    ]


def test_a_merged_folder_can_be_merged_again(tmp_path, shard, merge):
    assert merge(shard("a", record()), shard("b", record("llama1B")))[0] == 0
    (tmp_path / "all").rename(tmp_path / "two")
    assert merge(tmp_path / "two", shard("c", record("Qwen3-0.6B")))[0] == 0
    assert len(read_records(tmp_path / "all").records) == 3


def test_the_same_case_twice_is_refused_unless_one_folder_counts(tmp_path, shard, merge):
    first, last = shard("a", record(seconds=1.0)), shard("b", record(seconds=2.0), record("llama1B"))
    status, printed = merge(first, last)
    assert (status, printed.count("\n")) == (2, 1)
    assert f"case 'bench_fine_tuning[gemma-2-2b-it-r16]' is in {first} and {last}: leave one" in printed
    assert not (tmp_path / "all").exists()
    for keep, seconds in (("first", 1.0), ("last", 2.0)):
        assert merge(first, last, options=["--keep", keep])[0] == 0
        (kept, _) = read_records(tmp_path / "all").records
        assert kept.measured.seconds == seconds
        assert f"the {keep} one's record is kept: bench_fine_tuning[gemma" in page_of(tmp_path / "all")
        (tmp_path / "all").rename(tmp_path / keep)


@pytest.mark.parametrize(
    ("changes", "word"), [({"protocol_hash": "ba9876543210"}, "protocols"), ({"dataset_sha256": "ff"}, "datasets")]
)
def test_another_experiment_is_refused_and_with_anyway_said(tmp_path, shard, merge, changes, word):
    folders = shard("a", record()), shard("b", record("llama1B", **changes))
    status, printed = merge(*folders)
    assert (status, printed.count("\n")) == (2, 1)
    assert f"{folders[0]} and {folders[1]} have different {word}" in printed
    assert merge(*folders, options=["--anyway"])[0] == 0
    assert f"{word} differ, so figures of one do not compare with another's" in page_of(tmp_path / "all")


def test_a_rehearsal_is_never_merged_with_full_size(shard, merge):
    status, printed = merge(shard("a", record()), shard("b", record("llama1B", scale="mini")), options=["--anyway"])
    assert status == 2
    assert "were measured at different scales, which do not compare" in printed


def test_other_devices_and_versions_are_said_in_the_table(tmp_path, shard, merge):
    first = record(versions={"torch": "2.11.0", "python": "3.12"})
    other = record("llama1B", device="NVIDIA L4", versions={"torch": "2.13.0", "python": "3.12"}, budget_mib=1024.0)
    assert merge(shard("a", first), shard("b", other))[0] == 0
    page = page_of(tmp_path / "all")
    assert "2 devices, so times and memory do not compare: NVIDIA T4: gemma-2-2b-it, NVIDIA L4: llama1B" in page
    assert "versions differ: torch 2.11.0, 2.13.0\n" in page
    assert "budget 12288 MiB or 1024 MiB" in page
    (row,) = (line for line in page.splitlines() if line.startswith("| llama1B"))
    assert "| NVIDIA L4 |" in row


@pytest.mark.parametrize("environment", ['{"torn', "[]", "[" * 100_000])
def test_a_torn_line_is_set_aside_and_said(tmp_path, shard, merge, environment):
    folder = shard("a", record())
    with (folder / "records.jsonl").open("ab") as file:
        file.write(record(variant="r32").as_line()[:-40])
    (folder / "environment.json").write_text(environment)
    assert merge(folder)[0] == 0
    page = page_of(tmp_path / "all").replace("\\", "")
    assert f"the last line is incomplete and its case left out: {folder}" in page
    assert f"no readable environment.json in {folder}" in page
    assert len(read_records(tmp_path / "all").records) == 1


def test_what_cannot_be_merged_is_told_in_one_sentence(tmp_path, shard, merge):
    folder = shard("a", record("mine"))
    for arguments, options, sentence in (
        ([folder], (), rf"candidate 'mine' of {folder} is not among the candidates: give --candidates the file"),
        ([tmp_path / "none"], (), r"results folder .*none has no readable records\.jsonl"),
        ([folder], ("--candidates", tmp_path / "c.toml"), r"candidates file .*c\.toml does not exist"),
    ):
        status, printed = merge(*arguments, options=options)
        assert status == 2
        assert re.fullmatch(rf"error: .*{sentence}.*\n", printed)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "records.jsonl").touch()
    assert "there is no complete record in" in merge(tmp_path / "empty")[1]
    shard("all", record())
    assert "already holds records: give --into another one" in merge(shard("b", record()))[1]


def test_answers_of_another_make_are_refused(tmp_path, shard, merge):
    folder = shard("a", record(variant=None), answers=ANSWERS)
    (folder / "answers" / "gemma-2-2b-it.csv").write_text("secret\n")
    status, printed = merge(folder)
    assert (status, "secret" in printed) == (2, False)
    assert "lacks the column" in printed
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("name", ["../../etc/x", "/x", "..", "a/b", "x\x00", "\x1b[2J", "x" * 5000])
def test_no_candidate_of_a_folder_leads_out_of_the_new_one(tmp_path, shard, merge, name):
    status, printed = merge(shard("a", record(name, None)))
    assert status == 2
    assert "is not among the candidates" in printed
    assert [each for each in printed if is_obeyed(each) and each != "\n"] == []
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("variant", ["", "inference", "../x", "=1+1", "\x1b[2J", "a|b", "x" * 5000])
def test_what_no_variant_is_called_makes_no_record(tmp_path, shard, merge, variant):
    status, printed = merge(shard("a", replace(record(), case=answering_case("gemma-2-2b-it", variant)), record()))
    assert status == 2
    assert "has no record in line 1: correct or delete that line" in printed
    assert not (tmp_path / "all").exists()


def test_it_imports_nothing_heavy(tmp_path, shard, heavy_imports):
    assert heavy_imports("merge", shard("a", record()), "--into", tmp_path / "all") == ""
    assert (tmp_path / "all" / "report.html").exists()


def anything(kind):
    """Whatever a value of that type can be in a folder that somebody else has made."""
    if is_dataclass(kind) and kind is not Message:
        narrower = {name: each for (of, name), each in NARROWER.items() if of is kind}
        wide = {name: hint for name, hint in get_type_hints(kind).items() if name not in narrower}
        return st.builds(kind, **{name: anything(hint) for name, hint in wide.items()}, **narrower)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        return st.one_of(*map(anything, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return st.dictionaries(*map(anything, arguments), max_size=2)
    if origin is tuple and arguments[-1] is ...:
        return st.lists(anything(arguments[0]), max_size=2).map(tuple)
    return st.tuples(*map(anything, arguments)) if origin is tuple else SIMPLE[kind]


SIMPLE = {
    str: HOSTILE,
    Any: HOSTILE,
    int: st.integers(-(2**62), 2**62),
    float: st.integers(-(2**62), 2**62) | st.floats(-1e15, 1e15),
    bool: st.booleans(),
    type(None): st.none(),
    Message: st.builds(verbatim, HOSTILE),
}
CASES = st.builds(
    answering_case,
    st.sampled_from([candidate.name for candidate in CANDIDATES]),
    st.sampled_from([None, "r16", "r8"]),
)
NARROWER = {
    (Record, "case"): st.builds(replace, CASES, is_planned=st.booleans()),
    (Record, "schema"): st.just(SCHEMA),
    (Experiment, "budget_mib"): st.floats(1e-3, 1e15),
    (Advice, "variant"): st.just("r16"),
    (Changes, "variant"): st.just("r16"),
}
RECORDS = anything(Record)


@SPECIFIED
@given(st.lists(RECORDS, min_size=1, max_size=2), HOSTILE)
def test_whatever_a_folders_records_say_the_table_can_be_drawn_and_is_harmless(records, licence):
    with TemporaryDirectory() as folder:
        (Path(folder) / "records.jsonl").write_bytes(b"".join(each.as_line() for each in records))
        read = read_records(Path(folder)).records
    candidates = [replace(candidate, binding_license=licence, card_license=licence) for candidate in CANDIDATES]
    found = compare(candidates, (), read, {})
    selection = select(found, {}, DEFAULT_WEIGHTS, any_license=False)
    page = dict(texts(Findings(found, selection, {}, None), "en"))["comparison.md"]
    shown = [closing(found, selection, Terminal(100, verbosity)) for verbosity in (-1, 0, 1)]
    for text in (page, *shown, comma_separated(found)):
        assert [each for each in text if is_obeyed(each) and each != "\n"] == []
    bare = re.sub(r"\\[^\w\s]|\\_", "x", page.replace(str(message("file.quality_lead")), ""))
    assert re.findall(r"<(?!br>)|`|~|\]\(|://", bare) == []
    rows = [line for line in bare.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows[:3]} == {rows[0].count("|")}
    for row in csv.reader(comma_separated(found).splitlines()):
        for cell in row:
            assert not cell.strip().startswith(("=", "+", "@")), cell
            assert not cell.startswith("-") or re.fullmatch(r"-[0-9.e+-]+", cell)
