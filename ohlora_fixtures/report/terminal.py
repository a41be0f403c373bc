"""Text fitted to a terminal, where a Hangul syllable takes two columns."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from ..base import safe_text

Paint = Callable[[str, str], str]
"""Gives a text the colour of a name, such as `green`, or another look that pytest's terminal writer knows."""

_LINES_OF_A_NOTE = 3
_FILLER = "\0"
"""Stands beside a wide character while lines are filled; nothing that comes from `untrusted.line` holds one."""


def plain(text: str, _: str) -> str:
    """Paints nothing."""
    return text


@dataclass(frozen=True)
class Terminal:
    """What a session's end is written for."""

    width: int
    """Columns."""
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
