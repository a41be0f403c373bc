"""Korean and English: which of them is asked for, and the page's own texts, in `words.toml` side by side."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from .errors import InputError

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def language_of(environ: Mapping[str, str]) -> Language:
    """The language of a locale, Korean or else English; the first of the three variables that says anything decides."""
    told = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "ko" if re.match(r"ko(?![a-z])", told, re.IGNORECASE) else "en"


def report_language(asked: str | None, environ: Mapping[str, str]) -> Language:
    """The language that `--report-lang` asks for, or the locale's.

    Raises InputError for one that the page does not speak.
    """
    if asked is None:
        return language_of(environ)
    found = next((language for language in LANGUAGES if language == asked), None)
    if found is None:
        raise InputError(f"--report-lang {asked!r} is not one of {', '.join(LANGUAGES)}")
    return found


Texts = Mapping[str, Mapping[Language, str]]
"""By key, such as `memory.heading`, a text in each language."""


@cache
def read(name: str) -> Texts:
    """The texts of a file that lies beside this one."""
    tables = tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return {f"{subject}.{name}": text for subject, table in tables.items() for name, text in table.items()}


def texts() -> Texts:
    """Every text of the page."""
    return read("words.toml")


@dataclass(frozen=True)
class Say:
    """Says texts in one language."""

    language: Language
    """Which one."""

    def __call__(self, key: str, **values: object) -> str:
        """A text with values put into its braces; raises KeyError for one that does not exist."""
        return texts()[key][self.language].format(**values)

    def name(self, subject: str, field: str) -> str:
        """What a field of other code is called; one that this version does not know goes by its own name."""
        key = f"{subject}.{field}"
        return self(key) if key in texts() else field.replace("_", " ")

    def names(self, subject: str) -> set[str]:
        """The fields of a subject that have a name."""
        return {key.partition(".")[2] for key in texts() if key.partition(".")[0] == subject}

    def listed(self, names: list[str]) -> str:
        """Names in a row."""
        return ", ".join(names)
