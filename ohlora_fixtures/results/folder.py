"""A session's results folder: written by one session alone so that nothing measured is lost, and read back."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..base.errors import InputError
from ..base.files import (
    MOST_RECORDS_BYTES,
    drop_unfinished,
    exists,
    is_file,
    open_to_append,
    read_bytes,
    read_object,
    refuse_link,
    sync_folder,
    write_all,
)
from ..inputs.candidates import Candidate, kept_candidate
from ..inputs.cases import Case
from .answers import FOLDER, Answers, read_folder
from .flat import record_of_flat
from .record import Record, record_of

RECORDS = "records.jsonl"
ENVIRONMENT = "environment.json"
SESSION = "session.json"
TORN = "records.torn"
LOCK = "session.lock"


@dataclass(frozen=True)
class StoredResults:
    """A results folder, read back."""

    folder: Path
    records: tuple[Record, ...] = ()
    """In the order in which their cases ended; the last one of a case that ran more than once."""
    torn_line: bytes | None = None
    """The end of a file whose writing broke off, which is no record; None if the file is whole."""
    whole_bytes: int = 0
    """Of the file before that."""

    @cached_property
    def session(self) -> dict[str, Any]:
        """What its `session.json` says; nothing without a readable one."""
        return read_object(self.folder / SESSION) or {}

    @cached_property
    def candidates(self) -> tuple[Candidate, ...] | None:
        """Those that its `session.json` has kept; None without one. Raises InputError for one that names none."""
        path, entries = self.folder / SESSION, self.session.get("candidates")
        if not exists(path):
            return None
        if not isinstance(entries, dict):
            raise InputError(f"{path} does not name its candidates: give --candidates their file")
        return tuple(kept_candidate(entry, f"candidate {name!r} in {path}") for name, entry in entries.items())

    @cached_property
    def environment(self) -> dict[str, Any] | None:
        """What its `environment.json` says; None without a readable one."""
        return read_object(self.folder / ENVIRONMENT)

    def answers(self, known: Iterable[str]) -> Answers:
        """The answers of those of its candidates that are `known`: the name of another may lead to any file.

        Raises InputError for a file that is there and cannot be read.
        """
        names = {record.case.candidate for record in self.records}
        return read_folder(self.folder, names.intersection(known))


def read_records(folder: Path) -> StoredResults:
    """Read a results folder.

    A last line that is no whole record is set aside: the machine stopped while it was written. Fields that this
    version does not know are left out, those that an older one did not know are None.

    Raises InputError for a folder without records, and for a line within the file that is no record.
    """
    path = folder / RECORDS
    try:
        data = read_bytes(path, MOST_RECORDS_BYTES)
    except OSError as error:
        raise InputError(f"results folder {folder} has no readable {RECORDS} ({error.strerror})") from None
    *lines, rest = data.split(b"\n")
    by_case: dict[Case, Record] = {}
    torn_line = rest or None
    for number, line in enumerate(lines, 1):
        try:
            facts = json.loads(line)
            record = record_of(facts) if "schema" in facts else record_of_flat(facts)
        except (ValueError, TypeError, RecursionError):
            if number == len(lines) and torn_line is None:
                torn_line = line
                break
            raise InputError(f"{path} has no record in line {number}: correct or delete that line") from None
        by_case.pop(record.case, None)
        by_case[record.case] = record
    torn_bytes = 0 if torn_line is None else len(torn_line) + (not rest)
    return StoredResults(folder, tuple(by_case.values()), torn_line, len(data) - torn_bytes)


Writer = Callable[[Path], None]
"""Writes a file at a path, whole or not at all; raises OSError if it cannot."""


class RecordStore:
    """Appends records to `records.jsonl`, each on disk before the next case begins, and writes the files beside it.

    What the disk does not take stays in memory, and each further write tries it again. The file then ends with its
    last whole line. What somebody deletes meanwhile is written once more.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """The results folder."""
        # a soft lock in place of one that the file system lacks would outlive a session that is killed
        self._lock = FileLock(folder / LOCK, blocking=False, thread_local=False, fallback_to_soft=False)
        self._lock_id: tuple[int, int] | None = None
        """Which file the lock is on, for as long as the folder is this session's."""
        self._whole_bytes = 0
        """How much of the file is whole lines; whatever stands behind is a line that broke off."""
        self._records: list[Record] = []
        """Every record of the file, in its order."""
        self._on_disk = 0
        """How many of them are there."""
        self._writers: dict[str, Writer] = {}
        """Of every other file, by its name."""
        self._files: dict[str, None] = {}
        """Names of those that are not on disk yet, in order."""
        self.deleted: dict[str, None] = {}
        """Names of files that somebody has deleted since they were written, in order."""
        self.problem: str | None = None
        """Why something is not on disk, in the system's words; None if everything is."""

    def claim(self) -> None:
        """Make the folder and take it for this session.

        Raises InputError if another session has it or has been in it, or if it cannot be written.
        """
        self._take("give --results-dir another one")
        if os.path.lexists(self.folder / RECORDS):
            self.close()
            raise InputError(
                f"results folder {self.folder} already holds a session's records: give --results-dir another one, "
                "or resume this one with --resume"
            )

    def resume(self) -> StoredResults:
        """Take the folder of an earlier session to go on in it; a torn last line is moved to `records.torn`.

        Raises InputError if another session has it, or if its records cannot be read.
        """
        self._take("wait for its end")
        try:
            found = stored_records(self.folder)
            self._whole_bytes = found.whole_bytes
            self._records, self._on_disk = [*found.records], len(found.records)
            if found.torn_line is not None:
                self._set_aside(found.torn_line)
            for each in (self.folder, self.folder / FOLDER):
                drop_unfinished(each)
        except OSError as error:
            self.close()
            raise InputError(f"results folder {self.folder} cannot be resumed ({error.strerror})") from None
        except InputError:
            self.close()
            raise
        return found

    def add(self, record: Record) -> None:
        """Append a record's line; it has reached the disk, or `problem` says why not."""
        if not any(record is each for each in self._records[-1:]):  # an interrupted call is made again
            self._records.append(record)
        self.flush()

    def write(self, name: str, writer: Writer) -> None:
        """Write a file of that name in the folder; it has reached the disk, or `problem` says why not."""
        self._writers[name] = writer
        self._files[name] = None
        self.flush()

    def flush(self) -> None:
        """Write all that is not on disk yet, or not any more."""
        self.problem = None
        try:
            self._take_again()
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
            return
        # last the records: a case's line says that its files are there
        attempts: list[Callable[[], None]] = [partial(self._write, name) for name in self._files]
        for attempt in (*attempts, self._append):
            try:
                attempt()
            except OSError as error:
                self.problem = self.problem or error.strerror or type(error).__name__

    def restore(self) -> None:
        """Look for everything that was written, and write once more what is not there."""
        gone = [name for name in self._writers if name not in self._files and not is_file(self.folder / name)]
        self.deleted |= dict.fromkeys(gone)
        self._files |= dict.fromkeys(gone)
        self.flush()

    @property
    def missing(self) -> str:
        """What is not on disk, in words."""
        count = len(self._records) - self._on_disk
        records = [f"{count} {'record' if count == 1 else 'records'}"] if count else []
        return " and ".join([*records, *([", ".join(self._files)] if self._files else [])])

    def close(self) -> None:
        """Let another session have the folder."""
        self._lock.release()
        self._lock_id = None

    def _take(self, way_out: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except Timeout:
            raise InputError(f"results folder {self.folder} is being written by another session: {way_out}") from None
        except OSError as error:
            raise InputError(
                f"results folder {self.folder} cannot be written ({error.strerror}): "
                "give --results-dir a folder that can"
            ) from None

    def _acquire(self) -> None:
        refuse_link(self.folder / LOCK)
        self._lock.acquire()
        self._lock_id = _id_of(self.folder / LOCK)

    def _take_again(self) -> None:
        """Where the folder was deleted: make and take another one, unless another session has it; OSError says so."""
        if self._lock_id is None or _id_of(self.folder / LOCK) == self._lock_id:
            return
        self._lock.release()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._acquire()
        except Timeout:
            raise OSError(errno.EBUSY, "another session writes there now") from None

    def _append(self) -> None:
        if not self._records:
            return
        path = self.folder / RECORDS
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_to_append(path) as file:
            size_bytes = file.seek(0, os.SEEK_END)
            if size_bytes < self._whole_bytes:
                self.deleted[RECORDS] = None
                self._whole_bytes = self._on_disk = 0
            self._cut_back(file)
            while self._on_disk < len(self._records):
                line = self._records[self._on_disk].as_line()
                try:
                    write_all(file, line)
                except OSError:
                    with contextlib.suppress(OSError):
                        self._cut_back(file)
                    raise
                self._whole_bytes += len(line)
                self._on_disk += 1
        if size_bytes == 0:
            sync_folder(self.folder)

    def _cut_back(self, file: FileIO) -> None:
        if file.seek(0, os.SEEK_END) > self._whole_bytes:
            file.truncate(self._whole_bytes)

    def _write(self, name: str) -> None:
        self._writers[name](self.folder / name)
        self._files.pop(name, None)

    def _set_aside(self, torn_line: bytes) -> None:
        with open_to_append(self.folder / TORN) as file:
            write_all(file, torn_line + b"\n")
        with open_to_append(self.folder / RECORDS) as file:
            self._cut_back(file)
            os.fsync(file.fileno())


def _id_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that has taken its name; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def stored_records(folder: Path) -> StoredResults:
    """What a session has left in its folder; nothing if it ended before its first case did.

    Raises InputError for a folder that no session of this suite has been in, and for records that cannot be read.
    """
    if not is_file(folder / SESSION):
        raise InputError(
            f"results folder {folder} has no {SESSION}: give --resume the folder of an interrupted session, "
            "or start anew without it"
        )
    return read_records(folder) if exists(folder / RECORDS) else StoredResults(folder)
