"""TOML files of like tables, read into dataclasses with errors of one sentence."""

import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from .errors import InputError
from .files import MOST_SETTINGS_BYTES, read_bytes

Text = Annotated[str, Meta(pattern=r"\S", description="a non-empty text")]
Flag = Annotated[bool, Meta(description="true or false")]
Count = Annotated[int, Meta(gt=0, description="a whole number above 0")]
Number = (
    Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0, le=sys.float_info.max, description="a number above 0")]
)

_MOST_DOTS = 200
"""In a line: tomllib takes minutes for a key of 100,000 parts."""

Kind = TypeVar("Kind")


def read_tables(path: Path, table: str, kind: type[Kind], what: str, option: str) -> list[Kind]:
    """The `[[table]]` entries of a file that consists of nothing else, each as a dataclass of that kind.

    Each has a name, and no two the same but for case. The dataclass's annotations say what a key must be, and their
    `Meta.description` says it in words. Raises InputError, calling the file `what`, naming the `option` it is given
    with, and the entry and the key that are wrong.
    """
    try:
        document = _document(read_bytes(path, MOST_SETTINGS_BYTES).decode("utf-8-sig"))
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"{what} {path} {reason}: give {option} the path of a TOML file") from None
    except (ValueError, RecursionError) as error:  # the first also of a number with thousands of digits
        raise InputError(f"{what} {path} is not valid TOML: {error}") from None
    entries: Any = document.get(table)
    is_list = isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)
    if set(document) != {table} or not is_list:
        raise InputError(f"{what} {path} must consist of [[{table}]] tables, at least one")
    found = [
        read_entry(entry, kind, f"{table} {entry.get('name', number)!r} in {path}")
        for number, entry in enumerate(entries, 1)
    ]
    names = Counter(str(entry["name"]).lower() for entry in entries)  # files are named after them, on any system
    if repeated := sorted(name for name, count in names.items() if count > 1):
        raise InputError(f"{what} {path} has {repeated[0]!r} more than once: give each {table} its own name")
    return found


def _document(text: str) -> dict[str, Any]:
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines() if not line.lstrip().startswith("#")):
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def read_entry(entry: Mapping[str, Any], kind: type[Kind], where: str) -> Kind:
    """A dataclass of that kind from the keys and values of an entry.

    Raises InputError for the first key that is unknown, missing or of the wrong kind, beginning with `where`; what a
    ValueError of the dataclass itself says follows on "has".
    """
    known: Any = fields(kind)  # type: ignore[arg-type]  # a dataclass
    needed = [field.name for field in known if field.default is field.default_factory is MISSING]
    hints = get_type_hints(kind, include_extras=True)
    if unknown := [key for key in entry if key not in hints]:  # asked first: a misspelt key is missing, too
        raise InputError(f"{where} has the unknown key {unknown[0]!r}: the keys are {', '.join(hints)}")
    if missing := [name for name in needed if name not in entry]:
        raise InputError(f"{where} lacks the key {missing[0]!r}")
    values = {}
    for key, value in entry.items():
        try:
            values[key] = msgspec.convert(value, hints[key], dec_hook=_from_text)
        except msgspec.ValidationError:
            raise InputError(f"{where} has {key} = {value!r}, which must be {_words(hints[key])}") from None
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(f"{where} has {error}") from None


def _from_text(kind: type, value: Any) -> Any:
    """A value of a kind that TOML does not have, such as a path."""
    return kind(msgspec.convert(value, Text))


def _words(hint: Any) -> str:
    metas: list[Meta] = [meta for part in (hint, *get_args(hint)) for meta in getattr(part, "__metadata__", ())]
    return next(meta.description for meta in metas if meta.description)
