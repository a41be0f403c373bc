"""TOML files of like tables, read with errors of one sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from .errors import InputError

Check = tuple[str, Callable[[Any], bool]]
"""What a value must be, in words, and whether one is."""


def is_number(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def is_text(value: Any) -> bool:
    """Whether a value is a text with something in it."""
    return isinstance(value, str) and bool(value.strip())


TEXT: Check = ("a non-empty text", is_text)
FLAG: Check = ("true or false", lambda value: isinstance(value, bool))
NUMBER: Check = ("a number above 0", is_number)
COUNT: Check = ("a whole number above 0", lambda value: is_number(value) and isinstance(value, int))


def texts(what: str) -> Check:
    """The check of a list of texts, at least one."""
    return what, lambda value: isinstance(value, list) and bool(value) and all(map(is_text, value))


def read_tables(path: Path, table: str, what: str, option: str) -> list[dict[str, Any]]:
    """The `[[table]]` entries of a file that consists of nothing else.

    Raises InputError, calling the file `what` and naming the `option` it is given with.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"{what} {path} {reason}: give {option} the path of a TOML file") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{what} {path} is not valid TOML: {error}") from None
    entries: Any = document.get(table)
    is_list = isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)
    if set(document) != {table} or not is_list:
        raise InputError(f"{what} {path} must consist of [[{table}]] tables, at least one")
    return list(entries)


def check_keys(entry: Mapping[str, Any], kind: type, checks: Mapping[str, Check], where: str) -> None:
    """See that an entry has the keys and values of a dataclass; a key without a check of its own is a text.

    Raises InputError for the first that is missing, unknown or of the wrong kind, beginning with `where`.
    """
    needed = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
    missing = [name for name in needed if name not in entry]
    if missing:
        raise InputError(f"{where} lacks the key {missing[0]!r}")
    unknown = sorted(set(entry) - {field.name for field in fields(kind)})
    if unknown:
        known = ", ".join(field.name for field in fields(kind))
        raise InputError(f"{where} has the unknown key {unknown[0]!r}: the keys are {known}")
    for key, value in entry.items():
        words, accepts = checks.get(key, TEXT)
        if not accepts(value):
            raise InputError(f"{where} has {key} = {value!r}, which must be {words}")
