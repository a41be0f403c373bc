"""Files from which nothing is lost: written whole or not at all, and by one session alone."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_BYTE = 2**30
"""Windows keeps others from reading what is locked, so a byte is locked that no file here reaches."""


def replace_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8: a reader finds the old one or all of the new one, even if the machine stops.

    A lone surrogate, which UTF-8 does not have, is written as its escape. Raises OSError if it cannot be written; the
    old file is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that a folder's list of files has reached the disk, where the system can be asked for that."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FileLock:
    """A lock that one process holds at a time; the system takes it back when that process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Lock by means of the file at `path`, which stays behind, empty."""
        self._path = path
        self._file: BinaryIO | None = None

    def take(self) -> bool:
        """Take the lock; False if another holds it.

        Raises OSError where the file cannot be made or the file system has no locks.
        """
        file = self._path.open("ab")
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError):  # POSIX and Windows, in this order
            file.close()
            return False
        except OSError:
            file.close()
            raise
        self._file = file
        return True

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
