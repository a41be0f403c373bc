"""`python -m ohlora_fixtures report`: a folder's tables and choice made anew from its records."""

import csv
import json
import re
import shutil
import sys

import pytest
from judge_server import grades, serving
from made import made
from test_untrusted import is_obeyed

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.results.answers import GivenAnswer, write_answers
from ohlora_fixtures.results.folder import read_records

REBUILT = ("comparison.csv", "comparison.md", "report.html", "selection.json")
GOOD, LIGHT = "polyglot-ko-1.3b", "KoAlpaca-KoRWKV-1.5B"


def fine_tuning(name, variant="r16", **figures):
    """A measured case, as a session at full size on a card leaves it."""
    usual = {"scale": "full", "weights": "hub", "tokenizer": "own", "device": "NVIDIA T4", "seconds": 60.0}
    return made(name, variant, **usual | {"peak_device_mib": 9000.0} | figures)


def inference(name, **figures):
    """Likewise, of answering."""
    return fine_tuning(name, None, **{"seconds": 50.0, "steady_median_seconds": 2.0} | figures)


@pytest.fixture
def folder(tmp_path):
    """A session's results folder with two of the suite's candidates and their answers."""
    path = tmp_path / "session"
    path.mkdir()
    records = [
        inference(GOOD, peak_device_mib=5000.0),
        fine_tuning(GOOD, quality_score=60.0, quality_grade="상", quality_interval=[50.0, 70.0]),
        inference(LIGHT, peak_device_mib=2000.0),
        fine_tuning(LIGHT, quality_score=30.0, quality_grade="하", peak_device_mib=3000.0),
    ]
    (path / "records.jsonl").write_bytes(b"".join(record.as_line() for record in records))
    for name in (GOOD, LIGHT):
        answers = [
            GivenAnswer(prompt, f"{prompt} 좋아!", tokens=3, is_cut_off=False) for prompt in ("안녕", "뭐 해?", "잘 자")
        ]
        own = {answering_case(name, variant): answers for variant in (None, "r16")}
        write_answers(path / "answers" / f"{name}.csv", own)
    return path


@pytest.fixture
def report(capsys, monkeypatch):
    """Reports folders; returns the exit status and what was printed."""
    monkeypatch.setenv("COLUMNS", "300")
    for name in ("OHLORA_JUDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        capsys.readouterr()
        status = main(["report", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def texts(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def selection(folder):
    return json.loads((folder / "selection.json").read_text(encoding="utf-8"))


def grade(folder, name, **grades):
    """Fill in a candidate's answers file for its fine-tuned model: a grade for each prompt."""
    path = folder / "answers" / f"{name}.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    for row in rows:
        row[-1] = grades.get(row[2], "") if row[1] == "r16" else ""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def test_a_session_is_reported_as_it_reported_itself(suite, tiny, report):
    options = ["--protocol", "epochs=1", "--protocol", "fine_tuning_rows=0:4", "--protocol", "prompt_rows=0:2"]
    chosen_by = ["--any-license", "--choice-weights", "inference_memory=3"]
    candidates = tiny(free_license=False)
    result = suite.runpytest_forked(
        "benches", "--results-dir", "out", "--candidates", candidates, "--lora-ranks", "8", *options, *chosen_by
    )
    result.assert_outcomes(passed=4)
    candidates.unlink()  # session.json tells what it ran with, and how it chose
    out = suite.path / "out"
    before = texts(out)
    status, printed = report(out)
    assert (status, texts(out)) == (0, before)
    assert "No recommendation yet: no model's answers are judged" in printed
    assert printed.rstrip().endswith(f"results: {out}")
    assert "Next: pytest benches with the same models and data, on a machine with a CUDA GPU" in printed
    status, _ = report(out, "--into", suite.path / "other")
    assert (status, texts(out)) == (0, before)
    assert {name: (suite.path / "other" / name).read_bytes() for name in REBUILT} == {
        name: (out / name).read_bytes() for name in REBUILT
    }


def test_how_much_is_printed_is_the_users_to_say(folder, report, capsys):
    quiet, usual, verbose = (report(folder, *options)[1] for options in (["-q"], [], ["--verbose"]))
    for printed in (quiet, usual, verbose):
        assert printed.splitlines()[0].startswith("candidate ")
        assert printed.rstrip().endswith(f"results: {folder}")
    assert ["weights: quality=5" in text for text in (quiet, usual, verbose)] == [False, False, True]
    with pytest.raises(SystemExit) as refused:
        report(folder, "-q", "-v")
    assert refused.value.code == 2
    assert "not allowed with argument -q/--quiet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("isatty", "variables"), [(True, {}), (True, {"NO_COLOR": "1"}), (True, {"TERM": "dumb"}), (False, {})]
)
def test_colour_is_for_terminals_that_want_it(folder, report, monkeypatch, isatty, variables):
    for name, value in {"NO_COLOR": "", "TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: isatty)
    _, printed = report(folder)
    is_painted = isatty and not variables
    assert (f"{GOOD}      \x1b[32mfits\x1b[0m " in printed) is is_painted
    assert ("\x1b" in printed) is is_painted
    assert b"\x1b" not in b"".join(texts(folder).values())


def test_what_follows_from_the_records_is_written_and_nothing_else_is_touched(folder, report):
    before = texts(folder)
    status, printed = report(folder)
    assert status == 0
    assert f"Final choice: {GOOD} r16 (상 by the computed score, total " in printed
    after = texts(folder)
    assert {str(path) for path in set(after) - set(before)} == set(REBUILT)
    assert {path: after[path] for path in before} == before
    assert "## The choice" in (folder / "comparison.md").read_text(encoding="utf-8")
    assert selection(folder)["choice"]["quality"]["interval"] == [50, 70]
    assert report(folder)[0] == 0
    assert texts(folder) == after


def test_a_choice_can_be_made_anew_with_other_weights(folder, report):
    assert f"Final choice: {LIGHT}" in report(folder, "--choice-weights", "quality=0.1")[1]
    assert selection(folder)["weights"]["quality"] == 0.1


def test_grades_written_into_the_answers_files_count(folder, report):
    grade(folder, GOOD, **{"안녕": "최하", "잘 자": "최하"})
    grade(folder, LIGHT, **{"안녕": "5", "잘 자": "best"})
    _, printed = report(folder)
    assert f"Final choice: {LIGHT} r16 (최상 by a person" in printed
    assert selection(folder)["choice"]["quality"]["source"] == "person"


def test_several_folders_are_reported_each_in_its_own(folder, tmp_path, report):
    other = shutil.copytree(folder, tmp_path / "other")
    status, printed = report(folder, other)
    assert (status, printed.count("Final choice"), printed.count("results: ")) == (0, 2, 2)
    assert texts(folder) == texts(other)


def test_a_torn_line_is_left_out_and_said(folder, report):
    with (folder / "records.jsonl").open("ab") as file:
        file.write(fine_tuning(GOOD, "r32").as_line()[:-40])
    before = texts(folder)
    status, printed = report(folder)
    assert status == 0
    assert "the last line is incomplete and its case left out" in printed
    assert f"{GOOD} r32" not in printed
    assert {path: text for path, text in texts(folder).items() if path in before} == before


def refused(report, folder, *arguments):
    """The one sentence that a folder's report ends with; the folder is as it was."""
    before = texts(folder)
    status, printed = report(*arguments)
    assert (status, texts(folder)) == (2, before)
    assert re.fullmatch(r"error: [^\n]+\n", printed)
    assert [each for each in printed if is_obeyed(each) and each != "\n"] == []
    return printed


def test_a_folder_that_holds_no_session(folder, tmp_path, report):
    missing = refused(report, folder, tmp_path / "none")
    assert "none has no readable records.jsonl (No such file or directory)" in missing
    (tmp_path / "empty").mkdir()
    assert "empty has no readable records.jsonl" in refused(report, folder, tmp_path / "empty")
    assert "has no readable records.jsonl (Not a dir" in refused(report, folder, folder / "records.jsonl")
    (tmp_path / "empty" / "records.jsonl").touch()
    assert "has no complete record: there is nothing to report" in refused(report, folder, tmp_path / "empty")
    (tmp_path / "empty" / "records.jsonl").write_bytes(b"{\n" + fine_tuning(GOOD).as_line())
    assert "has no record in line 1: correct or delete that line" in refused(report, folder, tmp_path / "empty")


@pytest.mark.parametrize("name", ["mine", "../../etc/x", "x\x00", "\x1b[2J", "x" * 5000])
def test_a_candidate_that_nobody_knows(folder, report, name):
    with (folder / "records.jsonl").open("ab") as file:
        file.write(fine_tuning(name).as_line())
    told = refused(report, folder, folder)
    assert "is not among the candidates: give --candidates the file it ran with" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not name its candidates: give --candidates their file"),
        ("[]", "does not name its candidates"),
        ('{"candidates": null}', "does not name its candidates"),
        ('{"candidates": {"a": 1}}', "candidate 'a' in .* is not a candidate: give --candidates"),
        ("[" * 100_000, "does not name its candidates"),
        ("1" * 10_000, "does not name its candidates"),
        ('{"candidates": {"a": {"name": "a"}}}', "candidate 'a' in .* lacks the key 'group'"),
        ('{"candidates": {}}', "is not among the candidates"),
    ],
)
def test_a_broken_session_file(folder, report, text, says):
    (folder / "session.json").write_text(text)
    assert re.search(says, refused(report, folder, folder))
    assert report(folder, "--candidates", DATA / "candidates.toml")[0] == 0


def test_a_folder_that_cannot_be_written(folder, tmp_path, report):
    (tmp_path / "taken").touch()
    for into in (tmp_path / "taken", tmp_path / "taken" / "in"):
        assert f"folder {into} cannot be written (" in refused(report, folder, folder, "--into", into)
    records = (folder / "records.jsonl").read_bytes()
    (folder / "selection.json").mkdir()
    status, printed = report(folder)
    assert (status, (folder / "records.jsonl").read_bytes()) == (2, records)
    assert printed == f"error: folder {folder} cannot be written (Is a directory): give --into another one\n"


def test_one_folder_for_two_sessions_files(folder, tmp_path, report):
    told = refused(report, folder, folder, folder, "--into", tmp_path / "out")
    assert "--into takes the files of one results folder: give one, or leave --into out" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--choice-weights", "speed=3"], "choice weight 'speed=3' is not NAME=WEIGHT"),
        (["--choice-weights", "quality=2 quality=3"], "'quality' is given more than once"),
        (["--judge", "http://localhost:9/v1"], "needs the name of a model there: give it with --judge-model"),
        (["--judge-model", "some"], "needs an endpoint: give its address with --judge"),
        (["--grades", "none.csv"], "none.csv cannot be read"),
        (["--candidates", "none.toml"], "candidates file none.toml does not exist"),
    ],
)
def test_an_option_that_cannot_be_used(folder, report, options, says):
    assert says in refused(report, folder, folder, *options)


def test_grades_of_what_is_not_there(folder, tmp_path, report):
    grades = tmp_path / "grades.csv"
    for row, says in (
        (f"{GOOD},r16,누구세요?,상", "has a grade for an answer to '누구세요\\?', which is not a prompt here"),
        ("mine,r16,안녕,상", "has a grade for the candidate 'mine', which is unknown here"),
        (f"{GOOD},r16,안녕,good enough", "has the grade 'good enough' for"),
    ):
        grades.write_text(f"candidate,variant,prompt,grade\n{row}\n", encoding="utf-8")
        assert re.search(says, refused(report, folder, folder, "--grades", grades))
    grades.write_text(f"candidate,variant,prompt,grade\n{LIGHT},r16,안녕,최상\n", encoding="utf-8")
    assert report(folder, "--grades", grades)[0] == 0


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [("0:25", 2.0), ("5:5", None), ("9:0", None), ("0:" + "9" * 5000, None), ("x", None), (None, None)],
)
def test_the_mean_of_a_prompt_is_told_where_it_is_known_how_many_there_were(folder, rows, seconds):
    record = inference(GOOD, steady_median_seconds=None, protocol={"prompt_rows": rows})
    (folder / "records.jsonl").write_bytes(record.as_line())
    (read,) = read_records(folder).records
    assert read.seconds_a_prompt == seconds


def test_every_file_is_there_before_a_judge_is_asked_so_that_it_can_cost_nobody_a_table(folder, capsys):
    there = []

    def look(handler):
        there.append(sorted(name for name in REBUILT if (folder / name).exists()))
        handler.connection.close()

    with serving(look, grades("최상")) as server:
        assert main(["report", str(folder), "--judge", server.url, "--judge-model", "m"]) == 0
    assert there == [sorted(REBUILT)]
    judged = json.loads((folder / "selection.json").read_bytes())["choice"]
    assert judged["quality"]["source"] == "judge"
