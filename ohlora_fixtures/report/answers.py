"""The models' answers as a file to read: untrusted text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from ..files import replace_text
from ..untrusted import cell


def write_answers(path: Path, answers: Iterable[tuple[str, str]]) -> None:
    """Write prompts and answers as CSV that a spreadsheet will not run as formulas.

    Raises OSError if it cannot be written; an older file is then as it was.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)  # an answer may hold line ends
    writer.writerow(["prompt", "answer"])
    writer.writerows([cell(prompt), cell(answer)] for prompt, answer in answers)
    replace_text(path, buffer.getvalue())
