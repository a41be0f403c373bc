"""CSV files from outside, read by one policy: what a spreadsheet makes of a file that somebody saves is no obstacle.

UTF-8, UTF-16 or CP949 (which a Korean Excel writes); commas, semicolons or tabs. What cannot be read is refused, with
its line.
"""

import codecs
import contextlib
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .files import MOST_ROWS, MOST_TEXT_BYTES, read_bytes
from .messages import Message, message
from .safe_text import cell

_SEPARATORS = ",;\t"
"""A spreadsheet takes the semicolon where the comma is the decimal sign, and the tab for "Unicode text"."""
_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""By the byte-order mark that a file begins with."""
_LINE_ENDS = re.compile(r"\r\n?")


@dataclass(frozen=True)
class CsvTable:
    """A CSV file's cells, without blank rows."""

    heads: tuple[str, ...]
    """The first row, without outer white space; empty for an empty file."""
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """The line that a row ends in, and its cells; a row can be shorter than the heads, but not longer."""


def read_table(path: Path, what: Message, needed: Sequence[str] = ()) -> CsvTable:
    """Read a CSV file, which errors call `what`; InputError, in one sentence, says what cannot be read.

    Its separator is the one that gives the most of the `needed` columns, and the most columns.
    """
    text = read_text(path, what)
    if text.lstrip().startswith(("{", "[")):
        raise InputError(message("mistake.json", what=what, path=path))

    def merit(separator: str) -> tuple[int, int]:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        heads = next(filter(_is_filled, rows), [])
        return len({*needed} & {*map(str.strip, heads)}), len(heads)

    rows: list[tuple[int, list[str]]] = []
    with _cells_as_long_as(text):
        separator = max(_SEPARATORS, key=merit)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        try:
            rows.extend((reader.line_num, row) for row in itertools.islice(reader, MOST_ROWS + 1))
        except csv.Error as error:
            # a quote that nothing closes ends with the file: the line where its row begins is the one to look at
            line = rows[-1][0] + 1 if rows else 1
            raise InputError(message("mistake.csv", what=what, path=path, error=error, count=line)) from None
    if len(rows) > MOST_ROWS:
        raise InputError(message("mistake.rows", what=what, path=path, count=MOST_ROWS))
    filled = [(line, row) for line, row in rows if _is_filled(row)]
    heads = [head.strip() for head in filled[0][1]] if filled else []
    for line, row in filled:
        if _is_filled(row[len(heads) :]):
            raise InputError(message("mistake.cells", what=what, path=path, count=line, separator=repr(separator)))
    return CsvTable(tuple(heads), tuple((line, tuple(row[: len(heads)])) for line, row in filled[1:]))


def read_rows(
    path: Path, what: Message, needed: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """A CSV file's rows, each with the line it ends in: the cells of the needed and optional columns that it has.

    Columns may stand in any order. Raises InputError as `read_table`, and for a column that is missing or there twice.
    """
    table = read_table(path, what, needed)
    if missing := [name for name in needed if name not in table.heads]:
        raise InputError(
            message("mistake.no_column", what=what, path=path, column=repr(missing[0]), columns=", ".join(needed))
        )
    wanted = (*needed, *optional)
    if repeated := [name for name in wanted if table.heads.count(name) > 1]:
        raise InputError(message("mistake.columns", what=what, path=path, column=repr(repeated[0])))
    return [
        (line, {name: text for name, text in zip(table.heads, row, strict=False) if name in wanted})
        for line, row in table.rows
    ]


def read_text(path: Path, what: Message) -> str:
    """A file's text in whichever of these encodings it is; raises InputError if it cannot be read, or is in none."""
    try:
        data = read_bytes(path, MOST_TEXT_BYTES)
    except OSError as error:
        raise InputError(message("mistake.unreadable", what=what, path=path, error=error.strerror)) from None
    marked = [encoding for mark, encoding in _ENCODINGS.items() if data.startswith(mark)]
    for encoding in marked or ("utf-8", "cp949"):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise InputError(message("mistake.encoding", what=what, path=path))


class KnownTexts:
    """Texts that a file may hold, found even as a spreadsheet saves them.

    It changes line ends, outer white space, the apostrophe that keeps a formula from running, and in CP949 characters
    that it does not have, such as emoji: they come back as question marks.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._exact = {unchanged(text) for text in texts}
        # what two texts have in common tells neither
        rests = Counter(map(_in_cp949, self._exact))
        self._by_rest = {rest: text for text in self._exact if rests[rest := _in_cp949(text)] == 1}

    def find(self, written: str) -> str | None:
        """The text that is written there, as `unchanged` gives it; None if it is none of them."""
        text = unchanged(written)
        return text if text in self._exact else self._by_rest.get(_one_mark(text))


def unchanged(text: str) -> str:
    """A text without all that a spreadsheet changes, but for characters lost in CP949."""
    return cell(_LINE_ENDS.sub("\n", text)).strip().lstrip("'").strip()


def _in_cp949(text: str) -> str:
    return _one_mark(text.encode("cp949", "replace").decode("cp949"))


def _one_mark(text: str) -> str:
    """A lost character leaves one question mark, or one for each half of it that UTF-16 has."""
    return re.sub(r"\?+", "?", text)


def _is_filled(cells: Iterable[str]) -> bool:
    return any(map(str.strip, cells))


@contextlib.contextmanager
def _cells_as_long_as(text: str) -> Iterator[None]:
    """Lets the csv module read any cell of a text; it takes those over 131072 characters for a lost quote's."""
    usual = csv.field_size_limit()
    csv.field_size_limit(max(usual, len(text)))
    try:
        yield
    finally:
        csv.field_size_limit(usual)
