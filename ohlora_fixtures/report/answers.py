"""The models' answers as a file to read: untrusted text."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from ..untrusted import cell


def write_answers(path: Path, answers: Iterable[tuple[str, str]]) -> None:
    """Write prompts and answers as CSV that a spreadsheet will not run as formulas."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # an answer may hold line ends
        writer.writerow(["prompt", "answer"])
        writer.writerows([cell(prompt), cell(answer)] for prompt, answer in answers)
