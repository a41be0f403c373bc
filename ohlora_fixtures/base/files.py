"""Files that are written whole or not at all and never through a link, and read only up to a size that is stated."""

import contextlib
import errno
import json
import os
import secrets
import stat
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from .units import MIB

MOST_TEXT_BYTES = 64 * MIB
"""Of a dataset, answers, grades, a leaderboard's export, a judge's verdicts."""
MOST_ROWS = 1_000_000
"""Of a table: a few bytes can stand for a row that takes a hundred times as many in memory."""
MOST_SETTINGS_BYTES = 4 * MIB
"""Of a TOML file, a `config.json`; the suite's own have a thousandth of it."""
MOST_RECORDS_BYTES = 512 * MIB
"""Of `records.jsonl`: 100,000 cases and more."""

exists, is_file, is_folder = os.path.exists, os.path.isfile, os.path.isdir
"""Each is False for a name that no file can have, where `Path` raises OSError."""

_UNFINISHED = ".{}.part"
_HEX_DIGITS = 16


def replace_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as `replace_bytes`; a lone surrogate, which UTF-8 lacks, is written as its escape."""
    replace_bytes(path, text.encode("utf-8", "backslashreplace"))


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file: a reader finds the old one or all of the new one, even if the machine stops.

    A link in its place is replaced, and what it leads to stays as it is. Raises OSError if it cannot be written; the
    old file is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # nobody can put a link where nobody knows the name, and a file that is there already is not opened
    unfinished = path.with_name(_UNFINISHED.format(secrets.token_hex(_HEX_DIGITS // 2)))
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def drop_unfinished(folder: Path) -> None:
    """Remove what `replace_bytes` has left in a folder whose session was killed meanwhile."""
    for each in folder.glob(_UNFINISHED.format("[0-9a-f]" * _HEX_DIGITS)):
        each.unlink(missing_ok=True)


def open_to_append(path: Path) -> FileIO:
    """A file to add to, made where there is none; OSError for a link, a device or a pipe in its place."""
    refuse_link(path)
    return FileIO(path, "ab", opener=_open_file)


def write_all(file: FileIO, data: bytes) -> None:
    """Write on to the disk; raises OSError where it does not take all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def refuse_link(path: Path) -> None:
    """Raise OSError where a link stands: what is written would go to another place."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path.name} is a symbolic link", str(path))


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """All of a file; OSError also for a device or a pipe, which may have no end, and for more bytes than these."""
    with BufferedReader(FileIO(path, "rb", opener=_open_file)) as file:
        data = file.read(most_bytes + 1) if os.fstat(file.fileno()).st_size <= most_bytes else None
    if data is None or len(data) > most_bytes:
        most = f"{most_bytes // MIB} MiB" if most_bytes >= MIB else f"{most_bytes // 1024} KiB"
        raise OSError(errno.EFBIG, f"it is larger than {most}, the most that is read", str(path))
    return data


def read_object(path: Path) -> dict[str, Any] | None:
    """The object that a JSON file holds; None without a readable one."""
    try:
        found = json.loads(read_bytes(path, MOST_TEXT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def shown(path: Path) -> str:
    """The path as others may read it and its owner can type it: from the present folder, or from the home folder `~`.

    One that leads elsewhere stays whole.
    """
    for place, name in ((Path.cwd(), Path()), (Path.home(), Path("~"))):
        if place != Path(place.anchor) and path.is_relative_to(place):
            return str(name / path.relative_to(place))
    return str(path)


def sync_folder(folder: Path) -> None:
    """Make sure that a folder's list of files has reached the disk, where the system can be asked for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open_file(path: str, flags: int) -> int:
    """Open a regular file, without waiting for a pipe's other end; what is appended to is no link, either."""
    is_written = flags & os.O_APPEND
    flags |= getattr(os, "O_NONBLOCK", 0) | (getattr(os, "O_NOFOLLOW", 0) if is_written else 0)
    descriptor = os.open(path, flags, 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is a device or a pipe, and a file is needed", path)
