"""A leaderboard's export: its formats, and the models it lists, one entry a repository. All of it is others' text."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.csv_files import read_table, read_text
from ..base.errors import InputError, one_line
from ..base.files import MOST_TEXT_BYTES, read_bytes
from ..base.messages import message
from ..base.row_files import Row, json_rows, parquet_rows
from ..report.notes import listed

_REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_LINK = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?!datasets/|spaces/)(?P<repo>[^?#]*?)/?(?:[?#].*)?")
_MOST_CHARACTERS = 96
"""Of a repository's id on the Hub."""
_MOST_HEADS = 40
"""Of columns in one sentence."""
_LONGEST_CELL = 4096
"""Characters. An anchor of the Open LLM Leaderboard has 400."""


@dataclass(frozen=True)
class Listed:
    """A model as a leaderboard lists it; an empty text or None is what it does not say."""

    repo: str
    """Its repository on the Hub, `owner/name`, of letters, digits, '.', '_' and '-'."""
    average: float | None
    """Its average there, above 0."""
    billions: float | None
    """Its parameters in billions, rounded by the leaderboard or estimated from the size of its files."""
    card_license: str
    """The licence its card names."""
    base: str = ""
    """The model it was made from."""
    architecture: str = ""
    """The class it is, such as `LlamaForCausalLM`."""
    languages: str = ""

    @property
    def name(self) -> str:
        """Its repository's name, without the owner's."""
        return self.repo.rpartition("/")[2]


@dataclass(frozen=True)
class Leaderboard:
    """An export, read."""

    models: tuple[Listed, ...]
    """One entry a repository, best average first; those without one come last."""
    rows: int
    """How many the export has."""
    unnamed: tuple[str, ...]
    """What stands for the model in the rows where no repository could be read, shortened to a line."""


_COLUMNS = {
    "repo": ("fullname or Model", "fullname", "modelnameforquery", "model(name|id)?", "repo(sitory)?(id)?"),
    "average": ("Average", "average", "(average|avg).*"),
    "billions": ("#Params (B)", "(param|parameter)s?(b|billions?)?", "(model)?sizeb"),
    "card_license": ("Hub License", "hublicen[sc]e", "licen[sc]e"),
    "base": ("", "basemodels?"),
    "architecture": ("", "architectures?"),
    "languages": ("", "languages?"),
}
"""By the field of a `Listed`: what the leaderboards call its column, nothing for one that an export may lack; and
patterns of its head without spaces and signs, in lower case, of which the first that fits counts.

The heads are those of the Open LLM and Open Ko-LLM Leaderboards, and near spellings.
"""


def read_leaderboard(path: Path) -> Leaderboard:
    """Read an export: CSV, JSON, JSON lines or Parquet, by the file's ending.

    Of several rows of one repository the one with the best average counts.

    Raises InputError for a file that cannot be read, and for a missing column, naming it and those there are.
    """
    rows = _read_rows(path)
    heads = _heads(rows, path)
    best: dict[str, Listed] = {}
    unnamed = []
    for row in rows:
        facts: dict[str, Any] = {field: _text(row.get(head)) for field, head in heads.items()}
        repo = repository(facts["repo"])
        if repo is None:
            unnamed.append(safe_text.line(facts["repo"])[:80])
            continue
        facts |= {field: _above_zero(row.get(heads[field])) for field in ("average", "billions")}
        model = Listed(**facts | {"repo": repo})
        key = repo.casefold()
        best[key] = max(best.get(key, model), model, key=_merit)
    return Leaderboard(tuple(sorted(best.values(), key=_merit, reverse=True)), len(rows), tuple(unnamed))


def _heads(rows: Iterable[Row], path: Path) -> dict[str, str]:
    """By field, the head of its column."""
    there = list(dict.fromkeys(head for row in rows for head in row))
    plain = {head: re.sub(r"[^a-z0-9]", "", head.casefold()) for head in there}
    found = {}
    for field, (needed, *patterns) in _COLUMNS.items():
        fitting = [head for pattern in patterns for head in there if re.fullmatch(pattern, plain[head])]
        if fitting:
            found[field] = fitting[0]
        elif needed:
            columns = listed([repr(head[:60]) for head in there], _MOST_HEADS)
            raise InputError(
                f"leaderboard {path} lacks the column {needed!r}; its columns are {columns}: "
                "export it with that column, or rename the one that holds this"
            )
    return found


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return ", ".join(map(str, cell)) if isinstance(cell, list) else str(cell).strip()


def _above_zero(cell: Any) -> float | None:
    """A number above 0; leaderboards write 0 or -1 for what they do not know."""
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _merit(model: Listed) -> float:
    return -1.0 if model.average is None else model.average


def repository(cell: str) -> str | None:
    """The repository on the Hub that a cell names, as it stands or by a link; None if it is none, or not one alone.

    A link that shows another repository than it leads to names none.
    """
    if len(cell) > _LONGEST_CELL:
        return None
    if "<" not in cell:
        return _linked(cell) or (cell if _is_repo(cell) else None)
    anchors = _Anchors()
    anchors.feed(cell)
    anchors.close()
    names = set()
    for link, shown in anchors.found:
        linked = _linked(link)
        if linked:
            names |= {linked, shown.strip()} if "/" in shown else {linked}
    return names.pop() if len(names) == 1 else None


class _Anchors(HTMLParser):
    """Collects an HTML cell's links, and what each shows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._is_open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_open = tag == "a"
        if self._is_open:
            self.found.append((dict(attrs).get("href") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        self._is_open = self._is_open and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._is_open:
            link, shown = self.found[-1]
            self.found[-1] = (link, shown + data)


def _linked(link: str) -> str | None:
    """The model's repository that an address leads to."""
    found = _LINK.fullmatch(link)
    return found["repo"] if found and _is_repo(found["repo"]) else None


def _is_repo(name: str) -> bool:
    """Whether a text is a repository's id by the Hub's rules (`huggingface_hub.utils.validate_repo_id`)."""
    is_short = len(name) <= _MOST_CHARACTERS
    return is_short and _REPO.fullmatch(name) is not None and "--" not in name and ".." not in name


def _read_rows(path: Path) -> list[Row]:
    """Read an export in the format that its ending names."""
    kind = path.suffix.lower().removeprefix(".")
    read = _FORMATS.get(kind)
    if read is None:
        endings = ", ".join(f".{each}" for each in _FORMATS)
        raise InputError(f"leaderboard {path} does not end in {endings}: export it as one of them")
    try:
        rows = list(read(path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"leaderboard {path} cannot be read ({error.strerror}): give the path of an export") from None
    except Exception as error:  # noqa: BLE001 - whatever a reader finds wrong with somebody's file
        raise InputError(f"leaderboard {path} cannot be read as {kind}: {one_line(error)}") from None
    if not rows:
        raise InputError(f"leaderboard {path} has no rows: export it again")
    return rows


def _csv(path: Path) -> Iterable[Row]:
    table = read_table(path, message("what.leaderboard"))
    empty = dict.fromkeys(table.heads)
    # of columns with the same head the first counts
    return (empty | dict(reversed([*zip(table.heads, cells, strict=False)])) for _, cells in table.rows)


def _json(path: Path) -> Iterable[Row]:
    return json_rows(read_text(path, message("what.leaderboard")), are_lines=False)


def _json_lines(path: Path) -> Iterable[Row]:
    return json_rows(read_text(path, message("what.leaderboard")), are_lines=True)


def _parquet(path: Path) -> Iterable[Row]:
    try:
        return parquet_rows(read_bytes(path, MOST_TEXT_BYTES))
    except ImportError:
        raise InputError(
            f"leaderboard {path} is Parquet, which needs pyarrow: pip install pyarrow, or export it as CSV or JSON"
        ) from None


_FORMATS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _json_lines,
    "parquet": _parquet,
}
"""Readers by the ending of a file's name."""
