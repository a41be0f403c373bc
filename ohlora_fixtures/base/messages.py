"""Sentences about results: made in English, of which the page finds the values again to say them in its language.

Terminals, Markdown and JSON have the English, and so have records, from which a later session reads nothing else.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from .words import Language, Texts, read

_SEPARATORS = ("; ", ", ")
_DEEPEST = 16
"""Of sentences within sentences: deeper than any of ours, and no reason of others ends in a RecursionError."""


class _Template(NamedTuple):
    key: str
    pattern: re.Pattern[str]
    """What finds the values in its English."""


def texts() -> Texts:
    """Every sentence; `sentences.toml` says how its values are named."""
    return read("sentences.toml")


def sentence(key: str, **values: object) -> str:
    """A sentence in English."""
    return texts()[key]["en"].format(**values)


def again(table: str, text: str, language: Language) -> str:
    """A sentence of a table, or several in a row, from its English in a language; any other text as it is."""
    return _again(table, text, language, _DEEPEST) or text


def _again(table: str, text: str, language: Language, depth: int) -> str | None:
    for separator in _SEPARATORS:
        if separator in text:
            parts = []
            for part in text.split(separator):
                if (said := _one_again(table, part, language, depth)) is None:
                    break
                parts.append(said)
            else:
                return separator.join(parts)
    return _one_again(table, text, language, depth)


def _one_again(table: str, text: str, language: Language, depth: int) -> str | None:
    templates = _templates()
    for template in templates[table] if depth else ():
        if found := template.pattern.fullmatch(text):
            values = found.groupdict()
            for name, value in values.items():
                if (inner := name.rstrip("0123456789")) in templates:
                    values[name] = _again(inner, value, language, depth - 1) or value
            return texts()[template.key][language].format(**values)
    return None


@cache
def _templates() -> dict[str, list[_Template]]:
    """By table, in the file's order."""
    found: dict[str, list[_Template]] = {}
    for key, said in texts().items():
        found.setdefault(key.partition(".")[0], []).append(_Template(key, _pattern(said["en"])))
    return found


def _pattern(english: str) -> re.Pattern[str]:
    """Finds values that each end where the text behind them first comes: atomic, so that no text takes long."""
    first, *others = re.split(r"\{(?!count)(\w+)\}", english)
    parts = [f"(?P<{name}>.*?){_literal(after)}" for name, after in zip(others[::2], others[1::2], strict=True)]
    last = [parts.pop().replace(".*?", ".*", 1)] if parts else []
    return re.compile("".join([_literal(first), *(f"(?>{part})" for part in parts), *last]), re.DOTALL)


def _literal(text: str) -> str:
    return re.sub(r"\\\{(count\d*)\\\}", r"(?P<\1>[0-9,]+)", re.escape(text))
