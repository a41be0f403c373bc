"""Links that somebody has put into a results folder: what they lead to is neither overwritten nor added to."""

import json
import os

import pytest
from made import made

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.files import drop_unfinished, open_to_append, replace_text
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.quality.judge import JudgeCache, KeptVerdict
from ohlora_fixtures.results.answers import GivenAnswer, write_answers
from ohlora_fixtures.results.folder import RecordStore

SECRET = "the only copy of a thesis"
CANDIDATE = "gemma-2-2b-it"
RECORD = made(CANDIDATE, "r16", scale="full", weights="hub", seconds=60.0)
GIVEN = {answering_case(CANDIDATE, "r16"): [GivenAnswer("왜?", "응.")]}


@pytest.fixture
def victim(tmp_path):
    """A file that is none of the suite's; what a test has done must have left it alone."""
    path = tmp_path / "thesis.txt"
    path.write_text(SECRET, encoding="utf-8")
    yield path
    assert path.read_text(encoding="utf-8") == SECRET


@pytest.fixture
def folder(tmp_path):
    """A finished session's results folder."""
    path = tmp_path / "session"
    path.mkdir()
    (path / "records.jsonl").write_bytes(RECORD.as_line())
    (path / "session.json").write_text("{}", encoding="utf-8")
    return path


def plant(victim, *places):
    for place in places:
        place.symlink_to(victim)


REPORTED = ("comparison.md", "comparison.csv", "selection.json", "report.html")


def test_a_report_replaces_links_and_follows_none(folder, victim, capsys):
    (folder / "session.json").unlink()
    plant(victim, *(folder / each for name in REPORTED for each in (name, f"{name}.part")))
    assert main(["report", str(folder)]) == 0
    assert [name for name in REPORTED if (folder / name).is_symlink()] == []
    assert "gemma" in (folder / "comparison.md").read_text(encoding="utf-8")


def test_a_merge_replaces_links_and_follows_none(folder, victim, tmp_path, capsys):
    into = tmp_path / "all"
    into.mkdir()
    write_answers(folder / "answers" / f"{CANDIDATE}.csv", GIVEN)
    plant(victim, into / "environment.json", into / "report.html")
    assert main(["merge", str(folder), "--into", str(into)]) == 0
    assert json.loads((into / "environment.json").read_bytes())["shards"][0]["records"] == 1
    assert sorted(path.name for path in into.iterdir() if path.is_symlink()) == []


def test_a_merge_writes_into_no_folder_that_a_link_leads_to(folder, tmp_path, capsys):
    into, elsewhere = tmp_path / "all", tmp_path / "elsewhere"
    for each in (into, elsewhere):
        each.mkdir()
    write_answers(folder / "answers" / f"{CANDIDATE}.csv", GIVEN)
    plant(elsewhere, into / "answers")
    assert main(["merge", str(folder), "--into", str(into)]) == 2
    assert "cannot be written (answers is a symbolic link): give --into another one" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_a_session_adds_to_no_link_and_says_so(tmp_path, victim):
    store = RecordStore(tmp_path / "new")
    store.claim()
    plant(victim, store.folder / "records.jsonl")
    plant(tmp_path, store.folder / "answers")
    store.write("answers/a.csv", lambda path: write_answers(path, GIVEN))
    assert store.problem == "answers is a symbolic link"
    store.add(RECORD)
    assert store.missing == "1 record and answers/a.csv"
    (store.folder / "records.jsonl").unlink()
    (store.folder / "answers").unlink()
    store.flush()
    assert (store.missing, store.problem) == ("", None)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_whose_records_are_a_link_is_nobodys(tmp_path, victim, is_there):
    folder = tmp_path / "new"
    folder.mkdir()
    plant(victim if is_there else tmp_path / "nothing", folder / "records.jsonl")
    with pytest.raises(InputError, match="already holds a session's records"):
        RecordStore(folder).claim()
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["session.lock", "records.torn", "records.jsonl"])
def test_a_folder_with_a_link_among_what_is_added_to_is_not_resumed(folder, tmp_path, name):
    whole = tmp_path / "whole.txt"
    whole.write_bytes(RECORD.as_line() + b"{")
    (folder / "records.jsonl").write_bytes(whole.read_bytes())
    (folder / name).unlink(missing_ok=True)
    plant(whole, folder / name)
    with pytest.raises(InputError, match=rf"\({name} is a symbolic link\)"):
        RecordStore(folder).resume()
    assert whole.read_bytes() == RECORD.as_line() + b"{"


def test_verdicts_are_added_to_no_link(tmp_path, victim):
    plant(victim, tmp_path / "judged.jsonl")
    cache = JudgeCache(tmp_path / "judged.jsonl")
    cache.add(KeptVerdict("0" * 64, "상", "", 1, "m"))
    assert cache.problem == "judged.jsonl is a symbolic link"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_in_a_files_place_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"No such device|a device or a pipe"):
        open_to_append(tmp_path / "pipe")


def test_what_a_killed_session_left_half_written_is_removed_when_it_is_resumed(tmp_path):
    left, own = tmp_path / ".0123456789abcdef.part", tmp_path / ".mine.part"
    for each in (left, own):
        each.touch()
    drop_unfinished(tmp_path)
    assert (left.exists(), own.exists()) == (False, True)


def test_a_new_file_may_be_read_by_whom_the_user_lets(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    replace_text(tmp_path / "page.md", "text")
    assert (tmp_path / "page.md").stat().st_mode == usual.stat().st_mode
