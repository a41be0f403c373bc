"""A results folder, read back: its records, whole or torn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .errors import InputError
from .records import Record

RECORDS = "records.jsonl"

_FIELDS = frozenset(field.name for field in fields(Record))


@dataclass(frozen=True)
class StoredRecords:
    """What a folder's `records.jsonl` holds."""

    records: tuple[Record, ...]
    """In the order in which their cases ended; the last one of a case that ran more than once."""
    torn_line: bytes | None
    """The end of a file whose writing broke off, which is no record; None if the file is whole."""


def read_records(folder: Path) -> StoredRecords:
    """Read a folder's records.

    A last line that is no whole record is set aside: the machine stopped while it was written. Fields that this
    version does not know are left out, those that an older one did not know are None.

    Raises InputError for a folder without records, and for a line within the file that is no record.
    """
    path = folder / RECORDS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"results folder {folder} has no readable {RECORDS} ({error.strerror})") from None
    *lines, rest = data.split(b"\n")
    by_case: dict[str, Record] = {}
    torn_line = rest or None
    for number, line in enumerate(lines, 1):
        try:
            record = record_of(json.loads(line))
        except (ValueError, TypeError, RecursionError):
            if number == len(lines) and torn_line is None:
                torn_line = line
                break
            raise InputError(f"{path} has no record in line {number}: mend or delete that line") from None
        by_case.pop(record.case, None)
        by_case[record.case] = record
    return StoredRecords(tuple(by_case.values()), torn_line)


def record_of(facts: Any) -> Record:
    """A record from what its line says.

    Raises TypeError for what is no record's line: a field may be missing, but what is there must be of its kind.
    """
    if not isinstance(facts, dict):
        raise TypeError(facts)
    known = {name: value for name, value in facts.items() if name in _FIELDS}
    wrong = [name for name, value in known.items() if not _IS_OF_KIND[name](value)]
    if wrong:
        raise TypeError(wrong)
    return Record(**known)


def _checker(kind: Any) -> Callable[[Any], bool]:
    """Whether a value that JSON holds is of an annotated kind: figures are finite, and True is no figure.

    A union is with None: a record's fields know no other.
    """
    parts = get_args(kind)
    if isinstance(kind, UnionType):
        part = _checker(next(part for part in parts if part is not type(None)))
        return lambda value: value is None or part(value)
    if get_origin(kind) is list:
        if float in (parts[0], *get_args(parts[0])):
            return partial(_are_figures, types={int, float, *get_args(parts[0])})
        of_part = _checker(parts[0])
        return lambda value: isinstance(value, list) and all(map(of_part, value))
    if get_origin(kind) is dict:
        of_value = _checker(parts[1])
        return lambda value: isinstance(value, dict) and all(map(of_value, value.values()))
    return _SIMPLE[kind]


def _are_figures(value: Any, types: set[type]) -> bool:
    """Whether a value is a list of figures, of which a record can have thousands."""
    if not isinstance(value, list) or not set(map(type, value)) <= types:
        return False
    return all(each is None or -_LARGEST < each < _LARGEST for each in value)


_LARGEST = 2.0**63
"""No figure of a record comes near it, and each below it can be shown."""

_SIMPLE: dict[Any, Callable[[Any], bool]] = {
    Any: lambda _: True,
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: type(value) is int and abs(value) < 2**100,
    float: lambda value: type(value) in (int, float) and -_LARGEST < value < _LARGEST,
}

_IS_OF_KIND = {name: _checker(kind) for name, kind in get_type_hints(Record).items()} | {
    "budget_mib": lambda value: _SIMPLE[float](value) and value > 0
}
