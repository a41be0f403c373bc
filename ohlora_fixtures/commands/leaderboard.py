"""A leaderboard's export: the models it lists, one entry a repository. All of it is others' text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import InputError
from .sheets import Sheet, read_sheet

_REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_LINK = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?!datasets/|spaces/)(?P<repo>[^?#]*?)/?(?:[?#].*)?")
_MOST_CHARACTERS = 96
"""Of a repository's id on the Hub."""
_LONGEST_CELL = 4096
"""Characters. An anchor of the Open LLM Leaderboard has 400."""


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
    sheet = read_sheet(path)
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


def _places(sheet: Sheet, path: Path) -> dict[str, int]:
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
