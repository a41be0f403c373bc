"""Text that others wrote, made harmless for where it goes: a terminal, a spreadsheet, a Markdown page, JSON, TOML.

Models, datasets, candidates files, repositories and somebody else's results folder are such others.
"""

import json
import re
from pathlib import Path
from typing import Any

_HIDDEN = r"\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""C1 controls but NEL, and what changes the order of characters: Unicode's `Bidi_Control` (TR 36, 3.1: spoofing)."""
_IN_A_LINE = re.compile(rf"[\x00-\x08\x0e-\x1b{_HIDDEN}]")
_LINE_ENDS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_IN_A_BLOCK = re.compile(rf"[\x00-\x08\x0b-\x1f{_HIDDEN}]")
_OTHER_LINE_ENDS = re.compile(r"[\x85\u2028\u2029]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_IN_JSON = re.compile(rf"[{_HIDDEN}\x85\u2028\u2029\ud800-\udfff]")

_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
"""What begins a formula, the full-width forms included (OWASP, CSV injection)."""
_FORMULA_FIRST = re.compile(rf"[\t\n]|[\s\"\u200b-\u200f\u2060\ufeff]*{_FORMULA}")
_FORMULA_AFTER_SEPARATOR = re.compile(rf"([;\t\n][\s\"\u200b-\u200f\u2060\ufeff]*)(?={_FORMULA})")

_MARKUP = re.compile(
    r"""
    [\\`*<>|~$]                 # code, emphasis, HTML, cells, strike-through, mathematics
    | (?<![^\W_])_ | _(?![^\W_])  # within a word an underscore is one
    | &(?=[#a-zA-Z])            # entities
    | \](?=[(\[])               # links and images
    | :(?=//) | (?<=[wW]{3})\.  # addresses become links without any markup
    | ^[#=\[] | ^[+\-](?=[\s\-]|$)  # blocks and definitions begin a line
    """,
    re.VERBOSE,
)
_FIGURE = re.compile(r"-|[0-9][0-9,]*(\.[0-9]+)?")
"""What most cells hold, the dash for none included: nothing in it needs a look."""
_LIST_NUMBER = re.compile(r"^([0-9]{1,9})(?=[.)](?:\s|$))")


def line(text: str) -> str:
    """The text on one line, without what moves a terminal's cursor, colours it or turns the order of characters."""
    if _is_plain(text):
        return text
    return _SURROGATES.sub("\ufffd", _LINE_ENDS.sub(" ", _IN_A_LINE.sub("", text)))


def block(text: str) -> str:
    """The text, which may hold several lines, without what moves a cursor or turns the order of characters."""
    if _is_plain(text):
        return text
    return _SURROGATES.sub("\ufffd", _OTHER_LINE_ENDS.sub("\n", _IN_A_BLOCK.sub("", text)))


def cell(text: str) -> str:
    """The text, which may hold several lines, as a CSV cell that no spreadsheet runs as a formula.

    An apostrophe before it makes a spreadsheet take it as text (OWASP, CSV injection). Another stands after each line
    end, tab and semicolon where a formula could begin: with another separator than the comma, cells start there.
    """
    if _is_plain(text) and text[:1].isalnum() and ";" not in text:
        return text
    text = _FORMULA_AFTER_SEPARATOR.sub(r"\1'", block(text))
    return f"'{text}" if _FORMULA_FIRST.match(text) else text


def markdown(text: str) -> str:
    """The text on one line of GitHub's Markdown, to be read as it stands: no markup, HTML or link, no end of a cell."""
    if _FIGURE.fullmatch(text):
        return text
    if text.isascii() and text.isalnum():
        return text
    return _LIST_NUMBER.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", line(text).strip()))


def without_own_folders(text: str) -> str:
    """A text with paths as others may read it: `.` stands for the present folder, `~` for the home folder."""
    for place, name in ((Path.cwd(), "."), (Path.home(), "~")):
        if place != Path(place.anchor):
            text = re.sub(rf"{re.escape(str(place))}(?![\w.-])", name, text)
    return text


def json_line(facts: Any) -> bytes:
    """Facts as one line of JSON in UTF-8; characters that a terminal would obey, or UTF-8 cannot hold, are escaped.

    JSON's own escapes stand for them, so that the facts are read back as they were.
    """
    return _encoded(json.dumps(facts, ensure_ascii=False))


def json_page(facts: Any) -> bytes:
    """The same, laid out for a person."""
    return _encoded(json.dumps(facts, ensure_ascii=False, indent=2))


def toml_string(text: str) -> str:
    """The text as a basic string of TOML, quotes included; half of a surrogate pair, which TOML cannot name, is U+FFFD.

    JSON's escapes are among TOML's (TOML 1.0, "String"); DEL, which JSON lets stand, is escaped here, too.
    """
    return _escaped(json.dumps(_SURROGATES.sub("\ufffd", text), ensure_ascii=False))


def _is_plain(text: str) -> bool:
    """Whether it is printable ASCII, as most is: nothing in it needs a closer look, which takes ten times as long."""
    return text.isascii() and text.isprintable()


def _encoded(text: str) -> bytes:
    return _escaped(text).encode() + b"\n"


def _escaped(text: str) -> str:
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
