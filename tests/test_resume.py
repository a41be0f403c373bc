"""Going on with an interrupted session: what runs again, what must be the same, what is said of it."""

import json
import shutil
import signal

import pytest
from test_wrong_input import refused

from ohlora_fixtures.results.folder import RecordStore


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """What a session that has planned leaves behind."""
    return tmp_path_factory.mktemp("planned")


@pytest.fixture
def plans(suite, tiny, planned):
    """Runs the tiny candidate's plans, which have been made and take no heavy library any more."""
    path = tiny()
    command = ["-k", "plan", "--candidates", path, "--protocol", "epochs=2"]

    def run(*arguments, is_apart=False):
        start = suite.runpytest_forked if is_apart else suite.runpytest
        return start("benches", *command, *arguments)

    if not list(planned.iterdir()):
        assert run("--results-dir", "first", is_apart=True).ret == 0
        for name in ("first", ".pytest_cache"):
            shutil.copytree(suite.path / name, planned / name)
    shutil.copytree(planned, suite.path, dirs_exist_ok=True)
    return run


def cases_of(folder):
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(each)["case"]["id"] for each in lines]


KILLED = """
import os, signal
pytest_plugins = ["ohlora_fixtures.plugin"]
plain, left = os.fsync, int(os.environ.get("FSYNCS_UNTIL_KILLED", "0"))

def fsync(descriptor):
    global left
    plain(descriptor)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = fsync
"""


@pytest.mark.slow
def test_a_session_killed_at_any_moment_is_gone_on_with_until_all_is_there(suite, plans, monkeypatch):
    """After its first write, before `session.json` has its name; then after its first records; then at its end."""
    folder = suite.path / "out"
    (suite.path / "conftest.py").write_text(KILLED)
    for fsyncs in (1, 4, 2, 3, 6):
        monkeypatch.setenv("FSYNCS_UNTIL_KILLED", str(fsyncs))
        how = "--resume" if (folder / "session.json").exists() else "--results-dir"
        assert plans(how, "out", is_apart=True).ret == -signal.SIGKILL
    monkeypatch.delenv("FSYNCS_UNTIL_KILLED")
    assert plans("--resume", "out", is_apart=True).ret == 0
    assert sorted(set(cases_of(folder))) == sorted(cases_of(suite.path / "first"))
    for name in ("comparison.csv", "comparison.md"):
        whole = (suite.path / "first" / name).read_text(encoding="utf-8")
        notes = [each for each in (folder / name).read_text(encoding="utf-8").splitlines() if "resumed:" not in each]
        assert notes == whole.splitlines()


@pytest.mark.slow
def test_only_what_is_missing_runs_and_the_rest_takes_part_in_the_comparison(suite, plans):
    folder = suite.path / "first"
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    over = lines[1].replace(b'"passed"', b'"over_budget"', 1)
    (folder / "records.jsonl").write_bytes(lines[0] + over + lines[2] + lines[3][:500])
    output = "; its last line was incomplete and is now in records.torn"

    before = plans("--resume", "first", "--collect-only")
    before.stdout.fnmatch_lines(["resuming */first: 3 of its 3 cases are kept", "*<Function bench_plan?tiny-r64?>"])
    assert not (folder / "records.torn").exists()
    result = plans("--resume", "first", "-k", "plan and not r64")
    assert f"3 of its 3 cases are kept{output}" in result.stdout.str()
    result.assert_outcomes(deselected=8)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (folder / "records.torn").read_bytes() == lines[3][:500] + b"\n"

    result = plans("--resume", "first", "--vram-budget", "11GB", "--lora-ranks", "16,64", is_apart=True)  # plans anew
    result.assert_outcomes(passed=2, deselected=4)
    assert result.ret == pytest.ExitCode.OK
    assert "resuming " in result.stdout.str()
    assert "2 of its 3 cases are kept" in result.stdout.str()
    assert cases_of(folder)[3:] == ["bench_plan[tiny-r16]", "bench_plan[tiny-r64]"]
    page = (folder / "comparison.md").read_text(encoding="utf-8")
    assert "budget 12288 MiB, of which one process can have 12163 MiB (estimated) or 11264 MiB" in page
    assert "- resumed: 2 cases of an earlier session" in page
    assert "| r16 MiB | r64 MiB | r32 MiB |" in page
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert len(environment["resumed"]) == 1
    assert "versions" in environment["resumed"][0]


JUMPING = """
import itertools, time
from datetime import datetime
from ohlora_fixtures.results import environment
from ohlora_fixtures.session import options
pytest_plugins = ["ohlora_fixtures.plugin"]
seconds = itertools.count(1_000_000_000, -3600)

class Jumping(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(next(seconds), tz)

time.time = lambda: float(next(seconds))
time.time_ns = lambda: next(seconds) * 10**9
environment.datetime = options.datetime = Jumping
"""


def test_a_clock_that_runs_backwards_costs_no_record_and_changes_no_order(suite, plans):
    whole = suite.path / "first"
    ids, (first, *_) = cases_of(whole), (whole / "records.jsonl").read_bytes().splitlines(keepends=True)
    (whole / "records.jsonl").write_bytes(first)
    (suite.path / "conftest.py").write_text(JUMPING)
    result = plans("--resume", "first", is_apart=True)
    assert result.ret == 0
    assert "1 of its 1 case are kept" in result.stdout.str()
    assert cases_of(whole) == ids
    environment = json.loads((whole / "environment.json").read_text(encoding="utf-8"))
    assert environment["resumed"][0]["started_utc"] < environment["started_utc"]


def test_what_must_be_the_same_is_named_with_both_values(suite, plans, write_dataset, tiny):
    folder = suite.path / "first"
    written = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    changed = written | {"versions": written["versions"] | {"torch": "2.11.0"}}
    torch = written["versions"]["torch"]
    (folder / "session.json").write_text(json.dumps(changed), encoding="utf-8")
    data = write_dataset()
    tiny(revision="abc")
    result = plans(
        *("--resume", "first", "--protocol", "epochs=3", "--dataset", data, "--gpu-profile", "l4", "--collect-only")
    )
    refused(
        result,
        "first cannot be resumed: candidate tiny: revision was None and is abc; protocol setting epochs was 2 "
        "and is 3; dataset_sha256 was ",
        "GPU profile was m6000 and is l4: undo the change, or add --resume-anyway",  # long ones are cut in their middle
    )
    tiny()
    refused(plans("--resume", "first"), f"cannot be resumed: torch was 2.11.0 and is {torch}: undo")
    told = f"resumed although something differs: torch was 2.11.0 and is {torch}"
    result = plans("--resume", "first", "--resume-anyway")
    assert result.ret == pytest.ExitCode.OK
    assert told in result.stdout.str().replace("\n  ", " ")
    assert told in (folder / "comparison.md").read_text(encoding="utf-8")
    renamed = tiny(name="another")
    refused(plans("--resume", "first", "--candidates", renamed), "candidate tiny is no longer among the candidates")


def test_a_folder_is_gone_on_with_by_one_session_alone(suite, plans):
    other = RecordStore(suite.path / "first")
    other.resume()
    refused(plans("--resume", "first"), "first is being written by another session: wait for its end")
    assert plans("--resume", "first", "--collect-only").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    other.close()
    assert plans("--resume", "first").ret == pytest.ExitCode.OK
    (suite.path / "first" / "session.json").write_text("{")
    refused(plans("--resume", "first"), "session.json cannot be read, so the session cannot be resumed: start a new")


def test_a_folder_of_another_version_is_refused_in_one_sentence(suite, plans):
    path = suite.path / "first" / "session.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    for schema in (None, 1, 3):
        path.write_text(json.dumps({**written, "schema": schema}), encoding="utf-8")
        refused(
            plans("--resume", "first"),
            "first is from another version of the suite and cannot be resumed: start a new session, and put both "
            "together with `python -m ohlora_fixtures merge`",
        )


def test_a_variant_that_is_another_now_is_named(suite, plans):
    variants = suite.path / "variants.toml"
    variants.write_text('[[variant]]\nname = "r16"\nadapter = { peft_type = "LORA", r = 16, use_dora = true }\n')
    result = plans("--resume", "first", "--variants-file", variants)
    refused(result, "first cannot be resumed: variant r16: adapter was ", "use_dora")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--resume", "none"], "none is not a folder: give --resume that of an interrupted session"),
        (["--resume", "out", "--results-dir", "out"], "--resume writes to the folder it names: leave --results-dir"),
        (["--resume-anyway"], "--resume-anyway needs a session to resume: add --resume DIR"),
        (["--resume", "."], "session.json cannot be read"),
    ],
)
def test_options(suite, arguments, says):
    refused(suite.runpytest("benches", *arguments), says)


DELETING = """
import pathlib, shutil
pytest_plugins = ["ohlora_fixtures.plugin"]

def pytest_runtest_logstart(nodeid):
    if "r32" in nodeid:
        {deletes}
"""


@pytest.mark.parametrize("deletes", ["shutil.rmtree('out')", "pathlib.Path('out/records.jsonl').unlink()"])
def test_a_folder_that_is_deleted_while_a_session_runs_is_told_and_written_again(suite, plans, deletes):
    (suite.path / "conftest.py").write_text(DELETING.format(deletes=deletes))
    result = plans("--results-dir", "out")
    result.assert_outcomes(passed=4, deselected=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "note: somebody has deleted records.jsonl in " in result.stdout.str()
    assert "NOT AS IT WAS: somebody has deleted records.jsonl" in result.stdout.str()
    there = {path.name for path in (suite.path / "out").iterdir()}
    assert there == {path.name for path in (suite.path / "first").iterdir()}
    assert cases_of(suite.path / "out") == cases_of(suite.path / "first")
    (suite.path / "conftest.py").write_text('pytest_plugins = ["ohlora_fixtures.plugin"]\n')
    assert plans("--resume", "out").ret == pytest.ExitCode.OK


FULL = """
import errno, os
pytest_plugins = ["ohlora_fixtures.plugin"]
plain, counted = os.fsync, []

def fsync(descriptor):
    counted.append(descriptor)
    if len(counted) > {before} and (len(counted) <= {until}):
        raise OSError(errno.ENOSPC, "No space left on device")
    plain(descriptor)

def pytest_runtestloop():
    os.fsync = fsync

def pytest_unconfigure():
    os.fsync = plain
"""


@pytest.mark.parametrize("is_room_again", [True, False])
def test_a_full_disk_is_told_and_takes_nothing_from_the_comparison(suite, plans, is_room_again):
    (suite.path / "conftest.py").write_text(FULL.format(before=2, until=4 if is_room_again else 10**6))
    result = plans("--results-dir", "out")
    result.assert_outcomes(passed=4, deselected=4)
    output = result.stdout.str()
    assert "Traceback" not in output + result.stderr.str()
    told = "out (No space left on device): kept in memory; writing is tried again after each case and at the end"
    assert output.count(told) == 1
    assert "tiny" in output.partition("comparison")[2]
    found = cases_of(suite.path / "out")
    if is_room_again:
        assert len(found) == 4
        assert "/out has now been written" in output
        assert (suite.path / "out" / "comparison.md").exists()
        assert result.ret == pytest.ExitCode.OK
    else:
        assert len(found) == 1
        missing = "3 records and comparison.md, comparison.csv, selection.json, report.html"
        assert f"NOT WRITTEN, the disk does not take it (No space left on device): {missing}; copy what" in output
        assert result.ret == pytest.ExitCode.TESTS_FAILED
