"""Texts and tables laid out for a terminal, where a Hangul syllable takes two columns, and tables as Markdown."""

import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, zip_longest

from ..base import safe_text
from . import digits

Paint = Callable[[str, str], str]
"""Gives a text the colour of a name, such as `green`, or another look that pytest's terminal writer knows."""

_GAP = "  "
"""Between a table's columns."""
_LINES_OF_A_NOTE = 3
_FILLER = "\0"
"""Stands beside a wide character while lines are filled; nothing that comes from `safe_text.line` holds one."""


def plain(text: str, _: str) -> str:
    """Paints nothing."""
    return text


@dataclass(frozen=True)
class Terminal:
    """What a session's end is written for."""

    width: int
    verbosity: int = 0
    """As pytest has it: below 0 for `-q`, above 0 for `-v`."""
    paint: Paint = plain
    """Colours, where it has any."""

    def filled(self, text: str, look: str = "") -> str:
        """The text in lines as wide as this terminal, each of that colour or look."""
        lines = filled(text, self.width)
        return "\n".join(self.paint(line, look) for line in lines.split("\n")) if look else lines

    def noted(self, text: str) -> str:
        """A note, which takes no more than a few lines unless all is asked for."""
        return filled(text, self.width, most_lines=None if self.verbosity > 0 else _LINES_OF_A_NOTE)


def width_of(text: str) -> int:
    """Columns that a terminal shows a text in: wide and full-width characters take two (Unicode TR 11)."""
    return len(text) if text.isascii() else sum(map(_columns_of, unicodedata.normalize("NFC", text)))


def filled(text: str, width: int, most_lines: int | None = None) -> str:
    """The text in lines of `width` columns, indented from the second on; what is beyond the most lines is left out."""
    text = safe_text.line(text)
    if not text.isascii():
        width -= 1  # a word too long for a line can be broken between a wide character and its filler
        text = "".join(each + _FILLER * (_columns_of(each) - 1) for each in text)
    lines = textwrap.wrap(
        text, width, subsequent_indent="  ", break_on_hyphens=False, max_lines=most_lines, placeholder=" … (-v: all)"
    )
    return "\n".join(lines).replace(_FILLER, "")


def _columns_of(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


@dataclass(frozen=True)
class Column:
    """One column: its head, and a cell of one line or more for each row."""

    head: str
    """In lines separated by newlines, as each cell is."""
    cells: list[str]
    """A cell a row."""
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
        return [[safe_text.line(part) for part in text.split("\n")] for text in (self.head, *self.cells)]

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
    """A column of words."""
    return Column(head, list(cells), term=term)


def figures(head: str, cells: Iterable[str], term: str | None = None) -> Column:
    """A column of figures."""
    return Column(head, list(cells), is_text=False, term=term)


def in_mib(head: str, sizes_mib: Iterable[float | None], term: str | None = None) -> Column:
    """A column of sizes in MiB."""
    return figures(head, map(digits.mib, sizes_mib), term)


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
        [" ".join(map(safe_text.markdown, column.head.split("\n"))) for column in columns],
        [":---" if column.is_text else "---:" for column in columns],
        *(["<br>".join(map(safe_text.markdown, cell.split("\n"))) for cell in row] for row in rows),
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
