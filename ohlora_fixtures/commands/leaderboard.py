"""A leaderboard's export: its formats, and the models it lists, one entry a repository. All of it is others' text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.csv_files import read_table
from ..base.errors import InputError, one_line
from ..base.messages import message

_REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_LINK = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?!datasets/|spaces/)(?P<repo>[^?#]*?)/?(?:[?#].*)?")
_MOST_CHARACTERS = 96
"""Of a repository's id on the Hub."""
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
    """What it speaks."""


@dataclass(frozen=True)
class Leaderboard:
    """An export, read."""

    models: tuple[Listed, ...]
    """One entry a repository, best average first; those without one come last."""
    rows: int
    """How many rows the export has."""
    unnamed: tuple[str, ...]
    """What stands for the model in the rows where no repository could be read, shortened to a line."""


@dataclass(frozen=True)
class _Column:
    """A column that is looked for."""

    title: str
    """What the leaderboards call it."""
    heads: tuple[str, ...]
    """Patterns of its head without spaces and signs, in lower case; the first that some head fits is taken."""
    is_needed: bool = True


_COLUMNS = {
    "repo": _Column("fullname or Model", ("fullname", "modelnameforquery", "model(name|id)?", "repo(sitory)?(id)?")),
    "average": _Column("Average", ("average", "(average|avg).*")),
    "billions": _Column("#Params (B)", ("(param|parameter)s?(b|billions?)?", "(model)?sizeb")),
    "card_license": _Column("Hub License", ("hublicen[sc]e", "licen[sc]e")),
    "base": _Column("Base Model", ("basemodels?",), is_needed=False),
    "architecture": _Column("Architecture", ("architectures?",), is_needed=False),
    "languages": _Column("Language", ("languages?",), is_needed=False),
}
"""By the field of a `Listed`. The heads are those of the Open LLM and Open Ko-LLM Leaderboards, and near spellings."""


def read_leaderboard(path: Path) -> Leaderboard:
    """Read an export: CSV, JSON, JSON lines or Parquet, by the file's ending.

    Of several rows of one repository the one with the best average counts.

    Raises InputError for a file that cannot be read, and for a missing column, naming it and those there are.
    """
    sheet = _read_sheet(path)
    places = _places(sheet, path)
    best: dict[str, Listed] = {}
    unnamed = []
    for row in sheet.rows:
        cells = {field: row[place] for field, place in places.items()}
        repo = repository(_text(cells["repo"]))
        if repo is None:
            unnamed.append(safe_text.line(_text(cells["repo"]))[:80])
            continue
        listed = Listed(**{field: _READ[field](cell) for field, cell in (cells | {"repo": repo}).items()})
        before = best.get(repo.casefold())
        if before is None or _merit(listed) > _merit(before):
            best[repo.casefold()] = listed
    return Leaderboard(tuple(sorted(best.values(), key=_merit, reverse=True)), len(sheet.rows), tuple(unnamed))


def _places(sheet: _Sheet, path: Path) -> dict[str, int]:
    """By field, the number of its column."""
    plain = [re.sub(r"[^a-z0-9]", "", head.casefold()) for head in sheet.heads]
    places = {}
    for field, column in _COLUMNS.items():
        fitting = (place for pattern in column.heads for place, head in enumerate(plain) if re.fullmatch(pattern, head))
        place = next(fitting, None)
        if place is not None:
            places[field] = place
        elif column.is_needed:
            raise InputError(
                f"leaderboard {path} lacks the column {column.title!r}; its columns are {_short_list(sheet.heads)}: "
                "export it with that column, or rename the one that holds this"
            )
    return places


def _short_list(heads: Sequence[str], most: int = 40) -> str:
    names = [repr(head[:60]) for head in heads[:most]]
    return ", ".join(names) + (f" and {len(heads) - most} more" if len(heads) > most else "")


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


def _merit(listed: Listed) -> float:
    return -1.0 if listed.average is None else listed.average


_READ: dict[str, Callable[[Any], Any]] = dict.fromkeys(_COLUMNS, _text) | {
    "average": _above_zero,
    "billions": _above_zero,
}


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
        """Begin a link at `<a href=...>`."""
        self._is_open = tag == "a"
        if self._is_open:
            self.found.append((dict(attrs).get("href") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        """End it at `</a>`."""
        self._is_open = self._is_open and tag != "a"

    def handle_data(self, data: str) -> None:
        """Take what stands between."""
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


@dataclass(frozen=True)
class _Sheet:
    """An export's cells, whatever its format."""

    heads: tuple[str, ...]
    """The columns' heads."""
    rows: tuple[tuple[Any, ...], ...]
    """A cell a head in each; None where a row has nothing."""


def _read_sheet(path: Path) -> _Sheet:
    """Read an export in the format that its ending names."""
    kind = path.suffix.lower().removeprefix(".")
    read = _FORMATS.get(kind)
    if read is None:
        endings = ", ".join(f".{each}" for each in _FORMATS)
        raise InputError(f"leaderboard {path} does not end in {endings}: export it as one of them")
    try:
        sheet = read(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"leaderboard {path} cannot be read ({error.strerror}): give the path of an export") from None
    except Exception as error:  # noqa: BLE001 - whatever a reader finds wrong with somebody's file
        raise InputError(f"leaderboard {path} cannot be read as {kind}: {one_line(error)}") from None
    if not sheet.rows:
        raise InputError(f"leaderboard {path} has no rows: export it again")
    return sheet


def _csv(path: Path) -> _Sheet:
    table = read_table(path, message("what.leaderboard"))
    nothing = (None,) * len(table.heads)
    return _Sheet(table.heads, tuple((*cells, *nothing)[: len(nothing)] for _, cells in table.rows))


def _json(path: Path) -> _Sheet:
    return _from_objects(_objects(json.loads(path.read_bytes())))


def _json_lines(path: Path) -> _Sheet:
    lines = path.read_text(encoding="utf-8-sig").split("\n")  # a JSON text may hold other line ends
    return _from_objects(json.loads(line) for line in lines if line.strip())


def _parquet(path: Path) -> _Sheet:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"leaderboard {path} is Parquet, which needs pyarrow: pip install pyarrow, or export it as CSV or JSON"
        ) from None
    table = parquet.read_table(path)
    columns = [column.to_pylist() for column in table.columns]
    return _Sheet(tuple(table.column_names), tuple(zip(*columns, strict=True)))


def _objects(document: Any) -> Iterable[Any]:
    """A JSON document's rows as objects.

    It is a list of them; `{"data": [...]}`; the Hub's `{"rows": [{"row": {...}}]}`; rows as lists beside their heads,
    as Gradio and pandas' "split" write them; or, as pandas does unasked, an object or a list a column.
    """
    if not isinstance(document, dict):
        return document if isinstance(document, list) else [document]
    rows = next((document[name] for name in ("rows", "data") if isinstance(document.get(name), list)), None)
    heads = next((document[name] for name in ("headers", "columns") if isinstance(document.get(name), list)), None)
    if rows is None:
        columns = {head: dict(enumerate(each)) if isinstance(each, list) else each for head, each in document.items()}
        columns = {head: cells for head, cells in columns.items() if isinstance(cells, dict)}
        return [{head: cells.get(key) for head, cells in columns.items()} for key in next(iter(columns.values()), ())]
    if heads is not None:
        return [dict(zip(heads, row, strict=True)) for row in rows]
    return [row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row for row in rows]


def _from_objects(objects: Iterable[Any]) -> _Sheet:
    found = list(objects)
    if not all(isinstance(each, dict) for each in found):
        raise ValueError("its rows are not objects with a value for each column")
    heads = dict.fromkeys(head for each in found for head in each)
    return _Sheet(tuple(map(str, heads)), tuple(tuple(each.get(head) for head in heads) for each in found))


_FORMATS = {"csv": _csv, "json": _json, "jsonl": _json_lines, "parquet": _parquet}
"""Readers by the ending of a file's name."""
