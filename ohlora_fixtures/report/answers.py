"""The models' answers as a file to read: untrusted text."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ..files import replace_text

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_answers(path: Path, answers: Iterable[tuple[str, str]]) -> None:
    """Write prompts and answers as CSV that a spreadsheet will not run as formulas.

    Raises OSError if it cannot be written; an older file is then as it was.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)  # an answer may hold line ends
    writer.writerow(["prompt", "answer"])
    writer.writerows([_harmless(prompt), _harmless(answer)] for prompt, answer in answers)
    replace_text(path, buffer.getvalue())


def _harmless(text: str) -> str:
    """A leading apostrophe makes a spreadsheet take a cell as text (OWASP, CSV injection); control characters go."""
    text = "".join(each for each in text if each in "\n\t" or unicodedata.category(each) != "Cc")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
