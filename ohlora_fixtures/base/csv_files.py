"""What a spreadsheet makes of a CSV file that somebody opens, fills in and saves: read all the same."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .errors import InputError
from .messages import sentence
from .safe_text import cell

_SEPARATORS = ",;\t"
"""A spreadsheet takes the semicolon where the comma is the decimal sign, and the tab for "Unicode text"."""
_LINE_ENDS = re.compile(r"\r\n?")


def read_rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """A CSV file's rows, each with the line it ends in: cells by column.

    UTF-8, UTF-16 or CP949 (which a Korean Excel writes), separated by commas, semicolons or tabs; the columns in any
    order. Blank rows are left out, and what a short row lacks is not among its cells.

    Raises InputError, in one sentence, for what cannot be read so.
    """
    text = _decoded(path)
    separator = max(_SEPARATORS, key=lambda each: len({*needed} & {*_heads(text, each)}))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(sentence("mistake.csv", path=path, error=error, count=reader.line_num)) from None
    columns = [name.strip() for name in rows[0][1]] if rows else []
    if missing := [name for name in needed if name not in columns]:
        raise InputError(sentence("mistake.no_column", path=path, column=repr(missing[0]), columns=", ".join(needed)))
    if repeated := [name for name in columns if name and columns.count(name) > 1]:
        raise InputError(sentence("mistake.columns", path=path, column=repr(repeated[0])))
    for number, row in rows[1:]:
        if any(map(str.strip, row[len(columns) :])):
            raise InputError(sentence("mistake.cells", path=path, count=number, separator=repr(separator)))
    return [(number, dict(zip(columns, row, strict=False))) for number, row in rows[1:]]


class KnownTexts:
    """Texts that a file may mean, found although a spreadsheet has changed what it does change.

    That is line ends, outer white space, the apostrophe that keeps a formula from running, and in CP949 characters
    that it does not have, such as emoji: they come back as question marks.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._exact = {unchanged(text) for text in texts}
        # what two texts have in common tells neither
        rests = Counter(map(_in_cp949, self._exact))
        self._by_rest = {rest: text for text in self._exact if rests[rest := _in_cp949(text)] == 1}

    def find(self, written: str) -> str | None:
        """The text that is meant, as `unchanged` gives it; None if none is."""
        text = unchanged(written)
        return text if text in self._exact else self._by_rest.get(_one_mark(text))


def unchanged(text: str) -> str:
    """What of a text is the same before and after a spreadsheet has had it, but for characters lost in CP949."""
    return cell(_LINE_ENDS.sub("\n", text)).strip().lstrip("'").strip()


def _in_cp949(text: str) -> str:
    return _one_mark(text.encode("cp949", "replace").decode("cp949"))


def _one_mark(text: str) -> str:
    """A lost character leaves one question mark, or one for each half of it that UTF-16 has."""
    return re.sub(r"\?+", "?", text)


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(sentence("mistake.unreadable", path=path, error=error.strerror)) from None
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp949"):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise InputError(sentence("mistake.encoding", path=path))


def _heads(text: str, separator: str) -> list[str]:
    """The first row that is not blank, if this is the separator."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return next(([name.strip() for name in row] for row in rows if any(map(str.strip, row))), [])
    except csv.Error:  # an unclosed quote; reading the file tells where
        return []
