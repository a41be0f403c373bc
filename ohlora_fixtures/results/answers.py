"""The models' answers as files to read and to grade, one a candidate: untrusted text."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.csv_files import read_rows
from ..base.errors import InputError
from ..base.files import exists, refuse_link, replace_text
from ..base.messages import message
from ..base.safe_text import cell, line
from ..inputs.cases import Case, answering_case

FOLDER = "answers"
COLUMNS = ("candidate", "variant", "prompt", "dataset_answer", "answer", "tokens", "seconds", "ended", "grade")
_OLD_COLUMN = "lora_rank"
BY_ITSELF, CUT_OFF = "by itself", "cut off"

_BYTE_ORDER_MARK = "\ufeff"
_LARGEST = 2.0**53
"""Above it a float no longer tells whole numbers apart."""


@dataclass(frozen=True)
class GivenAnswer:
    """What a model has answered to one prompt."""

    prompt: str
    """The dataset's prompt, without the candidate's template."""
    answer: str
    tokens: int | None = None
    """Tokens generated for it."""
    seconds: float | None = None
    """Time it took."""
    is_cut_off: bool | None = None
    """Whether it reached the protocol's length before the model ended it."""
    grade: str = ""
    """What a person has written beside it."""
    dataset_answer: str = ""
    """What the dataset itself answers to the prompt; empty where that is not known."""


Answers = dict[Case, list[GivenAnswer]]
"""By the case whose model has given them."""


def name_of(candidate: str) -> str:
    """A candidate's answers file within a results folder."""
    return f"{FOLDER}/{candidate}.csv"


def read_folder(folder: Path, candidates: Iterable[str]) -> Answers:
    """What a results folder holds of these candidates' answers; raises InputError for a file that cannot be read."""
    found: Answers = {}
    for name in candidates:
        path = folder / name_of(name)
        if exists(path):
            found |= {case: given for case, given in read_answers(path).items() if case.candidate == name}
    return found


def write_answers(path: Path, answers: Mapping[Case, Sequence[GivenAnswer]]) -> None:
    """Write a candidate's answers as CSV that a spreadsheet will not run as formulas; what is untuned stands first.

    The file begins with a byte-order mark: without it Excel takes UTF-8 for the system's own encoding.
    Raises OSError if it cannot be written, also where its folder is a link; an older file is then as it was.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)  # an answer may hold line ends
    writer.writerow(COLUMNS)
    for case in sorted(answers, key=lambda case: case.variant is not None):
        for each in answers[case]:
            ended = {None: "", True: CUT_OFF, False: BY_ITSELF}[each.is_cut_off]
            seconds = "" if each.seconds is None else f"{each.seconds:.3f}"
            tokens = "" if each.tokens is None else each.tokens
            texts = (cell(each.prompt), cell(each.dataset_answer), cell(each.answer))
            figures = (tokens, seconds, ended, cell(line(each.grade)))
            writer.writerow([case.candidate, case.variant or "", *texts, *figures])
    refuse_link(path.parent)
    replace_text(path, _BYTE_ORDER_MARK + buffer.getvalue())


def read_answers(path: Path) -> Answers:
    """Read such a file, perhaps graded and saved by a spreadsheet: answers by case.

    Texts are as the file has them, with the apostrophe that keeps a formula from running. Columns may stand in any
    order, and those but `candidate`, `prompt` and `grade` may be missing. `csv_files.read_rows` tells what else a
    spreadsheet may have done.

    Raises InputError, in one sentence, for what cannot be read so.
    """
    found: Answers = {}
    what, optional = message("what.answers_file"), (*COLUMNS, _OLD_COLUMN)
    for number, cells in read_rows(path, what, ("candidate", "prompt", "grade"), optional):
        texts = {name: cells.get(name, "") for name in COLUMNS}
        where = {"path": path, "count": number}
        candidate, variant = texts["candidate"].strip(), _variant(cells, where)
        if not candidate:
            raise InputError(message("mistake.no_candidate", **where))
        given = GivenAnswer(
            prompt=texts["prompt"],
            answer=texts["answer"],
            tokens=_whole(texts["tokens"], where, "tokens"),
            seconds=_figure(texts["seconds"], where, "seconds"),
            is_cut_off={BY_ITSELF: False, CUT_OFF: True}.get(texts["ended"].strip()),
            grade=texts["grade"].strip(),
            dataset_answer=texts["dataset_answer"],
        )
        found.setdefault(answering_case(candidate, variant), []).append(given)
    return found


def _variant(cells: Mapping[str, str], where: Mapping[str, object]) -> str | None:
    """The variant a line names; files of the first version have a LoRA rank in its place."""
    variant = cells.get("variant", "").strip()
    if variant or not cells.get(_OLD_COLUMN, "").strip():
        return variant or None
    rank = _whole(cells[_OLD_COLUMN], where, _OLD_COLUMN)
    if rank == 0:
        raise InputError(message("mistake.rank", **where))
    return f"r{rank}"


def _whole(text: str, where: Mapping[str, object], column: str) -> int | None:
    figure = _figure(text, where, column)
    if figure is None:
        return None
    if figure != int(figure):
        raise InputError(message("mistake.whole", **where, column=column, text=repr(text)))
    return int(figure)


def _figure(text: str, where: Mapping[str, object], column: str) -> float | None:
    """A cell's figure, with either decimal sign; None for an empty cell."""
    if not text.strip():
        return None
    try:
        figure = float(text.replace(",", "."))
    except ValueError:
        figure = math.nan
    if not 0 <= figure < _LARGEST:
        raise InputError(message("mistake.figure", **where, column=column, text=repr(text)))
    return figure
