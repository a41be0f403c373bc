"""A table's columns, laid out for a terminal or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, zip_longest

from ..untrusted import line, markdown


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

    @cached_property
    def lines(self) -> list[list[str]]:
        """The lines of the head and of each cell, with nothing in them that a terminal obeys."""
        return [[line(part) for part in text.split("\n")] for text in (self.head, *self.cells)]

    @cached_property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(len(part) for parts in self.lines for part in parts)


def for_terminal(columns: Sequence[Column], width: int) -> str:
    """The table in `width` characters; columns that do not fit go into a table below, after the first two."""
    return "\n\n".join("\n".join(_aligned(block)) for block in _blocks(columns, width))


def as_markdown(columns: Sequence[Column]) -> str:
    """The table in Markdown."""
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [
        [" ".join(map(markdown, column.head.split("\n"))) for column in columns],
        [":---" if column.is_text else "---:" for column in columns],
        *(["<br>".join(map(markdown, cell.split("\n"))) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _aligned(columns: Sequence[Column]) -> list[str]:
    lines: list[str] = []
    head, *rows = zip(*(column.lines for column in columns), strict=True)
    for cells in (head, [["-" * column.width] for column in columns], *rows):
        for parts in zip_longest(*cells, fillvalue=""):
            placed = (
                part.ljust(column.width) if column.is_text else part.rjust(column.width)
                for part, column in zip(parts, columns, strict=True)
            )
            lines.append("  ".join(placed).rstrip())
    return lines


def _blocks(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Split columns into tables that fit, each beginning with the first two."""
    heads = list(columns[:2])
    blocks = [list(heads)]
    for _, group in groupby(columns[2:], key=lambda column: column.group or id(column)):
        together = list(group)
        is_begun = len(blocks[-1]) > len(heads)
        if is_begun and _room(blocks[-1], width) < _needed(together) <= _room(heads, width):
            blocks.append(list(heads))
        for column in together:
            if _room(blocks[-1], width) < _needed([column]) and len(blocks[-1]) > len(heads):
                blocks.append(list(heads))
            blocks[-1].append(column)
    return blocks


def _needed(columns: Sequence[Column]) -> int:
    """Characters that columns take after others."""
    return sum(column.width + 2 for column in columns)


def _room(block: Sequence[Column], width: int) -> int:
    return width + 2 - _needed(block)
