"""What is said: a key and its values, a sentence in Korean or in English only where it is printed; texts in both."""

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import InputError, one_line
from .files import shown

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

Texts = Mapping[str, Mapping[Language, str]]
"""By key, such as `memory.heading`, a text in each language."""


def language_of(environ: Mapping[str, str]) -> Language:
    """The language of a locale, Korean or else English; the first of the three variables that says anything decides."""
    told = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "ko" if re.match(r"ko(?![a-z])", told, re.IGNORECASE) else "en"


def report_language(asked: str | None, environ: Mapping[str, str]) -> Language:
    """The language that `--report-lang` asks for, or the locale's; raises InputError for another."""
    if asked is None:
        return language_of(environ)
    for language in LANGUAGES:
        if language == asked:
            return language
    raise InputError(f"--report-lang {asked!r} is not one of {', '.join(LANGUAGES)}")


@cache
def read_texts(path: Path) -> Texts:
    """The texts of a TOML file: in each table a text's name, and its text in each language."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{subject}.{name}": text for subject, table in tables.items() for name, text in table.items()}


def texts() -> Texts:
    """Every text by key; `sentences.toml` says how its values are named."""
    return read_texts(Path(__file__).with_name("sentences.toml"))


@dataclass(frozen=True)
class Message:
    """What is said, as data: records, notes and errors keep it like this, and nothing reads printed text back."""

    key: str
    """Its text's key in `sentences.toml`, such as `reason.above_budget`."""
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the text's braces name: others' text, paths (told from the present or home folder), figures (whose digits
    the text says), further messages, or several in a row. JSON can hold them all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {name: _value(each) for name, each in self.values.items()})

    def text(self, language: Language = "en") -> str:
        """The sentence; a key that this version does not know is shown with its values."""
        known = texts().get(self.key)
        if known is None:
            return ", ".join([self.key, *(f"{name} {value}" for name, value in self.values.items())])
        return _Formatter(language).vformat(known[language], (), self.values)

    def __str__(self) -> str:
        return self.text()


def message(key: str, /, **values: Any) -> Message:
    """A message with its values; raises KeyError for a key that has no text: a mistake of ours."""
    if key not in texts():
        raise KeyError(key)
    return Message(key, values)


def verbatim(text: str) -> Message:
    """What others say, a library or a person: the same text in every language."""
    return Message("others.text", {"text": text})


def told_by(error: BaseException) -> Message:
    """What an error of ours was raised with; of another, its kind and its text in one line."""
    said = getattr(error, "said", None)
    if said is None:
        return verbatim(one_line(error))
    return said if isinstance(said, Message) else verbatim(str(error))


def _value(given: Any) -> Any:
    """A value in the one form that messages keep, whether it comes from code or from JSON."""
    if isinstance(given, Mapping):
        return Message(str(given["key"]), given["values"])
    if isinstance(given, (list, tuple)):
        return tuple(map(_value, given))
    if isinstance(given, Path):
        return shown(given)
    return given if given is None or isinstance(given, (str, bool, int, float, Message)) else str(given)


class _Formatter(string.Formatter):
    """Puts values into a text: messages in its language, several in a row with what their format says between them."""

    def __init__(self, language: Language) -> None:
        self._language: Language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Message):
            return value.text(self._language)
        if isinstance(value, tuple):
            return (format_spec or ", ").join(self.format_field(each, "") for each in value)
        if isinstance(value, str) or value is None:  # a figure that is not known has no digits
            return str(value)
        return format(value, format_spec)
