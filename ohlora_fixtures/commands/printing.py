"""What commands print."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ..comparison import Comparison
from ..report import choice_text, table
from ..selection import Selection


def show(comparison: Comparison, selection: Selection, folder: Path) -> None:
    """Print a comparison and its choice, and where their files are."""
    width = shutil.get_terminal_size().columns
    parts = (table.terminal(comparison, width), choice_text.terminal(selection, width), f"results: {folder}")
    say("\n\n".join(parts))


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print what a stream can hold: one of Windows may know no Hangul."""
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
