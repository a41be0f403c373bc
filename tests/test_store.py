"""A results folder while it is written: killed at any moment, on a full disk, wanted by two sessions."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from made import made
from test_results import line

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.files import replace_text
from ohlora_fixtures.base.messages import verbatim
from ohlora_fixtures.results.folder import SESSION, RecordStore, read_records

ROOT = Path(__file__).parents[1]


def record(candidate="a", **figures):
    return made(candidate, **figures)


def names(folder):
    """The candidates of a folder's records, one a case."""
    return [each.case.candidate for each in read_records(folder).records]


def claimed(folder):
    store = RecordStore(folder)
    store.claim()
    (folder / SESSION).write_text("{}")
    return store


def resumed(folder):
    store = RecordStore(folder)
    return store, store.resume()


def started(script, *arguments):
    """A Python process of its own; it has begun once it has written a line."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_record_is_on_disk_at_once_and_null_is_kept(tmp_path):
    store = claimed(tmp_path / "new")
    for each in (record(reason="이유"), record("b")):
        store.add(each)
        assert read_records(tmp_path / "new").records[-1] == each
    assert json.loads((tmp_path / "new" / "records.jsonl").read_text().splitlines()[1])["case"]["variant"] is None


def test_half_a_character_is_no_reason_to_lose_a_record(tmp_path):
    claimed(tmp_path).add(record(reason="\ud83d"))
    assert read_records(tmp_path).records[0].outcome.reason == verbatim("\ud83d")


KILLER = """
    import itertools, os, signal, sys
    from io import FileIO
    from pathlib import Path
    from test_store import claimed, names, record, resumed
    from ohlora_fixtures.base import files as room

    folder, told = Path(sys.argv[1]), Path(sys.argv[2])
    claimed(folder).close()
    fsync = os.fsync

    def write(last):
        moments = itertools.count()

        def pass_a_moment():
            if next(moments) == last:
                os.kill(os.getpid(), signal.SIGKILL)

        class Dying(FileIO):
            def write(self, data):
                half = len(data) // 2
                pass_a_moment()
                super().write(data[:half])
                pass_a_moment()
                return half + super().write(data[half:])

            def truncate(self, size):
                pass_a_moment()
                return super().truncate(size)

        def dying_fsync(descriptor):
            pass_a_moment()
            fsync(descriptor)
            pass_a_moment()

        room.FileIO, os.fsync = Dying, dying_fsync
        store, found = resumed(folder)
        for count in range(len(found.records), len(found.records) + 3):
            store.add(record(f"case {count}", reason="x" * 50_000))
            told.write_bytes((count + 1).to_bytes(4))

    killed = 0
    for last in range(16):
        writer = os.fork()
        if not writer:
            write(last)
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(writer, 0)[1])
        found = names(folder) if (folder / "records.jsonl").exists() else []
        assert found == [f"case {number}" for number in range(len(found))]
        known = int.from_bytes(told.read_bytes()) if told.exists() else 0
        assert len(found) >= known, (len(found), known)
    print("killed", killed >= 12, "cases", len(found) > 12)
"""


def test_killed_at_any_moment_a_session_has_lost_no_case_that_had_ended_and_can_be_gone_on_with(tmp_path):
    killer = started(KILLER, tmp_path / "results", tmp_path / "told")
    assert killer.communicate()[0] == "killed True cases True\n"


@pytest.mark.parametrize("kept_bytes", [1, 200, -1])
def test_a_torn_last_line_is_moved_aside_before_the_next_is_written(tmp_path, kept_bytes):
    whole = line("b", reason="한글")
    (tmp_path / SESSION).touch()
    (tmp_path / "records.jsonl").write_bytes(line("a") + b"\n" + whole[:kept_bytes])
    store, found = resumed(tmp_path)
    assert found.torn_line == whole[:kept_bytes]
    store.add(record("c"))
    assert names(tmp_path) == ["a", "c"]
    assert read_records(tmp_path).torn_line is None
    assert (tmp_path / "records.torn").read_bytes() == whole[:kept_bytes] + b"\n"


def test_a_last_line_that_is_no_record_is_moved_aside_with_its_end(tmp_path):
    (tmp_path / SESSION).touch()
    (tmp_path / "records.jsonl").write_bytes(line("a") + b"\n{}\n")
    resumed(tmp_path)
    assert (tmp_path / "records.jsonl").read_bytes() == line("a") + b"\n"
    assert (tmp_path / "records.torn").read_bytes() == b"{}\n"


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from test_store import claimed, names, record
    from ohlora_fixtures.base.files import replace_text
    from ohlora_fixtures.results.folder import read_records

    folder = Path(sys.argv[1])
    store = claimed(folder)
    store.add(record("a"))
    size = (folder / "records.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))  # half of a line fits
    store.add(record("b"))
    store.write("page.md", lambda path: replace_text(path, "x" * 4096))
    store.add(record("c"))
    found = read_records(folder)
    print(names(folder), found.torn_line, sorted(path.name for path in folder.iterdir()))
    print(store.missing, "|", store.problem)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.add(record("d"))
    print(names(folder), store.missing, store.problem)
    print((folder / "page.md").stat().st_size)
"""


def test_what_a_full_disk_does_not_take_is_kept_and_written_as_soon_as_there_is_room(tmp_path):
    full, missing, after, page = started(FULL, tmp_path).communicate()[0].splitlines()
    assert full == "['a'] None ['records.jsonl', 'session.json', 'session.lock']"
    assert missing == f"2 records and page.md | {os.strerror(errno.EFBIG)}"
    assert after == "['a', 'b', 'c', 'd']  None"
    assert page == "4096"


def test_what_has_not_reached_the_disk_for_sure_is_written_once_more(tmp_path, monkeypatch):
    store = claimed(tmp_path)
    store.add(record("a"))
    with monkeypatch.context() as patch:

        def fsync(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "fsync", fsync)
        store.add(record("b"))
    assert (store.missing, store.problem) == ("1 record", "No space left on device")
    assert names(tmp_path) == ["a"]
    store.flush()
    assert (store.missing, store.problem) == ("", None)
    assert names(tmp_path) == ["a", "b"]


def test_what_somebody_deletes_meanwhile_is_noticed_and_written_again(tmp_path):
    folder = tmp_path / "out"
    store = claimed(folder)
    store.write("page.md", lambda path: replace_text(path, "page"))
    for name in "ab":
        store.add(record(name))
    assert not store.deleted
    shutil.rmtree(folder)
    store.add(record("c"))
    assert (names(folder), list(store.deleted), store.problem) == (["a", "b", "c"], ["records.jsonl"], None)
    store.restore()
    assert (folder / "page.md").read_text() == "page"
    assert [*store.deleted] == ["records.jsonl", "page.md"]
    with pytest.raises(InputError, match="is being written by another session"):
        RecordStore(folder).claim()

    (folder / "records.jsonl").write_bytes((folder / "records.jsonl").read_bytes()[:-20])
    store.flush()
    assert names(folder) == ["a", "b", "c"]


def test_a_deleted_folder_that_another_session_has_made_its_own_is_left_to_it(tmp_path):
    folder = tmp_path / "out"
    store = claimed(folder)
    store.add(record("a"))
    shutil.rmtree(folder)
    other = started(HOLDER, folder, 0)
    assert other.stdout.readline() == "has it\n"
    store.add(record("b"))
    assert (store.problem, store.missing) == ("another session writes there now", "1 record")
    assert not (folder / "records.jsonl").exists()
    other.kill()
    other.communicate()
    store.restore()
    assert (store.problem, names(folder)) == (None, ["a", "b"])


def test_an_interruption_while_a_line_is_written_loses_and_doubles_nothing(tmp_path, monkeypatch):
    store = claimed(tmp_path)
    with monkeypatch.context() as patch:

        def fsync(_):
            raise KeyboardInterrupt

        patch.setattr(os, "fsync", fsync)
        with pytest.raises(KeyboardInterrupt):
            store.add(record("a"))
    store.add(record("b"))
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert [json.loads(each)["case"]["candidate"] for each in lines] == ["a", "b"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "comparison.md"
    replace_text(path, "old")

    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        replace_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


HOLDER = """
    import sys, time
    from pathlib import Path
    from test_store import RecordStore, InputError

    store = RecordStore(Path(sys.argv[1]))
    while time.time() < float(sys.argv[2]):
        pass
    try:
        store.claim()
        print("has it", flush=True)
        time.sleep(60)
    except InputError as error:
        print(error, flush=True)
"""


def test_of_sessions_that_start_in_the_same_moment_one_has_the_folder_until_it_dies(tmp_path):
    moment = time.time() + 2
    holders = [started(HOLDER, tmp_path, moment) for _ in range(4)]
    said = {holder: holder.stdout.readline().strip() for holder in holders}
    (holder,) = (holder for holder in holders if said[holder] == "has it")
    refused = f"results folder {tmp_path} is being written by another session: "
    assert sorted(said.values()) == sorted(["has it", *[f"{refused}give --results-dir another one"] * 3])
    with pytest.raises(InputError, match="is being written by another session: wait for its end"):
        RecordStore(tmp_path).resume()
    holder.send_signal(signal.SIGKILL)
    for each in holders:
        each.communicate()
    claimed(tmp_path).add(record())


def test_a_folder_with_records_is_claimed_by_nobody(tmp_path):
    store = claimed(tmp_path)
    store.add(record())
    store.close()
    with pytest.raises(InputError, match="already holds a session's records: give --results-dir another one, or res"):
        RecordStore(tmp_path).claim()
    resumed(tmp_path)[0].close()


def test_a_folder_that_no_session_has_been_in_is_not_gone_on_with(tmp_path):
    with pytest.raises(InputError, match=r"has no session\.json: give --resume the folder of an interrupted session"):
        resumed(tmp_path)
    (tmp_path / SESSION).touch()
    assert resumed(tmp_path)[1].records == ()


def test_a_file_system_without_locks_is_told_and_no_other_lock_stands_in(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(InputError, match=r"cannot be written \(Function not implemented\): give --res"):
        RecordStore(tmp_path).claim()
