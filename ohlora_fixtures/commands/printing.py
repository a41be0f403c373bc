"""What commands print."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from ..choice.selection import Selection
from ..report import choice, files
from ..report.layout import Paint, Terminal, plain
from ..results.comparison import Comparison

_CODES = {"bold": 1, "red": 31, "green": 32, "yellow": 33}
"""Of ECMA-48, `SGR`."""


def add_verbosity(command: argparse.ArgumentParser) -> None:
    """Declare `-v` and `-q`, which say how much is printed."""
    much = command.add_mutually_exclusive_group()
    much.add_argument(
        "-v", "--verbose", dest="verbosity", action="store_const", const=1, default=0, help="print everything"
    )
    much.add_argument(
        "-q", "--quiet", dest="verbosity", action="store_const", const=-1, help="print only the table and the choice"
    )


def show(comparison: Comparison, selection: Selection, folder: Path, verbosity: int) -> None:
    """Print a comparison and its choice, and where their files are."""
    terminal = Terminal(shutil.get_terminal_size().columns, verbosity, _paint())
    parts = (files.closing(comparison, selection, terminal), choice.terminal(selection, terminal), f"results: {folder}")
    say("\n\n".join(parts))


def _paint() -> Paint:
    """Colours for a terminal that has them; one of Windows may not."""
    has_colours = sys.stdout.isatty() and os.name != "nt" and os.environ.get("TERM") != "dumb"
    if not has_colours or os.environ.get("NO_COLOR"):
        return plain
    return lambda text, look: f"\x1b[{_CODES[look]}m{text}\x1b[0m"


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print what a stream can hold: one of Windows may know no Hangul."""
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
