"""The models' answers as a file to read: untrusted text."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_answers(path: Path, answers: Iterable[tuple[str, str]]) -> None:
    """Write prompts and answers as CSV that a spreadsheet will not run as formulas."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # an answer may hold line ends
        writer.writerow(["prompt", "answer"])
        writer.writerows([_harmless(prompt), _harmless(answer)] for prompt, answer in answers)


def _harmless(text: str) -> str:
    """A leading apostrophe makes a spreadsheet take a cell as text (OWASP, CSV injection); control characters go."""
    text = "".join(each for each in text if each in "\n\t" or unicodedata.category(each) != "Cc")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
