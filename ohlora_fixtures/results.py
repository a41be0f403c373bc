"""A results folder, read back: its records, whole or torn."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

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
        except (ValueError, TypeError):
            if number == len(lines) and torn_line is None:
                torn_line = line
                break
            raise InputError(f"{path} has no record in line {number}: mend or delete that line") from None
        by_case.pop(record.case, None)
        by_case[record.case] = record
    return StoredRecords(tuple(by_case.values()), torn_line)


def record_of(facts: Any) -> Record:
    """A record from what its line says.

    Raises TypeError for what is no record's line.
    """
    if not isinstance(facts, dict):
        raise TypeError(facts)
    return Record(**{name: value for name, value in facts.items() if name in _FIELDS})
