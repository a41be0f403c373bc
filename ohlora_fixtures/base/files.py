"""Files that are written whole or not at all."""

import contextlib
import os
import sys
from pathlib import Path


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
