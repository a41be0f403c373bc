"""The repository on the Hub that somebody's text names."""

from __future__ import annotations

import re
from html.parser import HTMLParser

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
