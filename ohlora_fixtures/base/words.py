"""Korean and English: which of them is asked for, and the files that hold texts in both."""

import re
import tomllib
from collections.abc import Mapping
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
def read(path: Path) -> Texts:
    """The texts of a TOML file: in each table a text's name, and its text in each language."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{subject}.{name}": text for subject, table in tables.items() for name, text in table.items()}
