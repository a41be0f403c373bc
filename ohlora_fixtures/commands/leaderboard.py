"""A leaderboard's export: its formats, and the models it lists, one entry a repository. All of it is others' text."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import InputError
from ..base.messages import message
from ..inputs.dataset_files import read_file
from ..report.notes import listed

_WHAT = message("what.leaderboard")
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
    """Read an export: CSV, JSON, JSON lines or Parquet.

    Of several rows of one repository the one with the best average counts.

    Raises InputError for a file that cannot be read or has no rows, and for a missing column, naming it and those
    there are.
    """
    found = read_file(path, what=_WHAT)
    if not found.rows:
        raise InputError(message("mistake.empty", what=_WHAT, path=path))
    heads = _heads(dict.fromkeys(found.heads), path)
    best: dict[str, Listed] = {}
    unnamed = []
    for _, row in found.rows:
        facts: dict[str, Any] = {field: _text(row.get(head)) for field, head in heads.items()}
        repo = repository(facts["repo"])
        if repo is None:
            unnamed.append(safe_text.line(facts["repo"])[:80])
            continue
        facts |= {field: _above_zero(row.get(heads[field])) for field in ("average", "billions")}
        model = Listed(**facts | {"repo": repo})
        key = repo.casefold()
        best[key] = max(best.get(key, model), model, key=_merit)
    return Leaderboard(tuple(sorted(best.values(), key=_merit, reverse=True)), len(found.rows), tuple(unnamed))


def _heads(there: Iterable[str], path: Path) -> dict[str, str]:
    """By field, the head of its column."""
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
