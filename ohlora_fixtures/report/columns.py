"""A table's columns, laid out for a terminal or as Markdown; the page lays them out itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, zip_longest

from ..base.safe_text import line, markdown
from .terminal import Paint, plain, width_of

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """One column: its head, and a cell of one line or more for each row."""

    head: str
    """The head, lines separated by newlines."""
    cells: list[str]
    """A cell a row, lines separated by newlines."""
    is_text: bool = True
    """Whether it reads from the left, as words do, and not from the right, as figures do."""

    group: str = ""
    """Neighbours of one group stay in one table, if there is room for them in one."""
    colour: Callable[[str], str] | None = None
    """Names the colour of a cell's line, where a terminal has colours."""
    term: str | None = None
    """The page's glossary entry that says how its figures were taken."""

    @cached_property
    def lines(self) -> list[list[str]]:
        """The lines of the head and of each cell, with nothing in them that a terminal obeys."""
        return [[line(part) for part in text.split("\n")] for text in (self.head, *self.cells)]

    @cached_property
    def width(self) -> int:
        """Of the longest line, in a terminal's columns."""
        return max(width_of(part) for parts in self.lines for part in parts)

    def placed(self, part: str, paint: Paint = plain) -> str:
        """A line of a cell, as wide as the column."""
        blanks = " " * (self.width - width_of(part))
        shown = paint(part, self.colour(part)) if self.colour and part else part
        return shown + blanks if self.is_text else blanks + shown


def words(head: str, cells: Iterable[str], term: str | None = None) -> Column:
    """A column that reads from the left."""
    return Column(head, list(cells), term=term)


def figures(head: str, cells: Iterable[str], term: str | None = None) -> Column:
    """A column of figures."""
    return Column(head, list(cells), is_text=False, term=term)


def for_terminal(columns: Sequence[Column], width: int, paint: Paint = plain) -> str:
    """The table in `width` columns of a terminal; what does not fit goes into a table below, after the first two."""
    return "\n\n".join(aligned(block, paint) for block in _blocks(columns, width))


def aligned(columns: Sequence[Column], paint: Paint = plain) -> str:
    """One table for a terminal, as wide as its columns are."""
    head, *rows = zip(*(column.lines for column in columns), strict=True)
    lines = [_row(columns, parts) for parts in zip_longest(*head, fillvalue="")]
    lines.append(_row(columns, ["-" * column.width for column in columns]))
    lines += [_row(columns, parts, paint) for cells in rows for parts in zip_longest(*cells, fillvalue="")]
    return "\n".join(lines)


def needed(columns: Sequence[Column]) -> int:
    """Columns of a terminal that these take after others."""
    return sum(column.width + len(_GAP) for column in columns)


def as_markdown(columns: Sequence[Column]) -> str:
    """The table in Markdown."""
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [
        [" ".join(map(markdown, column.head.split("\n"))) for column in columns],
        [":---" if column.is_text else "---:" for column in columns],
        *(["<br>".join(map(markdown, cell.split("\n"))) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row(columns: Sequence[Column], parts: Sequence[str], paint: Paint = plain) -> str:
    return _GAP.join(column.placed(part, paint) for column, part in zip(columns, parts, strict=True)).rstrip()


def _blocks(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Split columns into tables that fit, each beginning with the first two."""
    heads = list(columns[:2])
    blocks = [list(heads)]
    for _, group in groupby(columns[2:], key=lambda column: column.group or id(column)):
        together = list(group)
        is_begun = len(blocks[-1]) > len(heads)
        if is_begun and _room(blocks[-1], width) < needed(together) <= _room(heads, width):
            blocks.append(list(heads))
        for column in together:
            if _room(blocks[-1], width) < needed([column]) and len(blocks[-1]) > len(heads):
                blocks.append(list(heads))
            blocks[-1].append(column)
    return blocks


def _room(block: Sequence[Column], width: int) -> int:
    return width + len(_GAP) - needed(block)
