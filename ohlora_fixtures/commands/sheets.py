"""Tables that others wrote, as CSV, JSON, JSON lines or Parquet, read into heads and rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import InputError, one_line


@dataclass(frozen=True)
class Sheet:
    """A table."""

    heads: tuple[str, ...]
    """The columns' heads."""
    rows: tuple[tuple[Any, ...], ...]
    """A cell a head in each; None where a row has nothing."""


def read_sheet(path: Path) -> Sheet:
    """Read a table in the format that the file's ending names.

    Raises InputError if it cannot be read or has no row.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"leaderboard {path} is none of {', '.join(_READERS)} by its ending: export it as one of them")
    try:
        sheet = read(path)
    except InputError:
        raise
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"leaderboard {path} {reason}: give the path of an export") from None
    except UnicodeDecodeError:
        raise InputError(f"leaderboard {path} is not UTF-8: export it in UTF-8") from None
    except Exception as error:  # noqa: BLE001 - whatever a reader finds wrong with somebody's file
        kind = path.suffix.lower().removeprefix(".")
        raise InputError(f"leaderboard {path} cannot be read as {kind}: {one_line(error)}") from None
    if not sheet.rows:
        raise InputError(f"leaderboard {path} has no rows: export it again")
    return sheet


def _csv(path: Path) -> Sheet:
    text = path.read_text(encoding="utf-8-sig")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    heads = tuple(next(reader, ()))
    rows = []
    for row in reader:
        if row and len(row) != len(heads):
            raise ValueError(f"line {reader.line_num} ends a row of {len(row)} cells under {len(heads)} heads")
        rows += [tuple(row)] if row else []
    return Sheet(heads, tuple(rows))


def _json(path: Path) -> Sheet:
    return _from_objects(_objects(json.loads(path.read_text(encoding="utf-8-sig"))))


def _json_lines(path: Path) -> Sheet:
    lines = path.read_text(encoding="utf-8-sig").split("\n")  # a JSON text may hold other line ends
    return _from_objects(json.loads(line) for line in lines if line.strip())


def _parquet(path: Path) -> Sheet:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"leaderboard {path} is Parquet, which needs pyarrow: pip install pyarrow, or export it as CSV or JSON"
        ) from None
    table = parquet.read_table(path)
    columns = [column.to_pylist() for column in table.columns]
    return Sheet(tuple(table.column_names), tuple(zip(*columns, strict=True)))


def _objects(document: Any) -> Iterable[Any]:
    """A JSON document's rows as objects.

    It is a list of them; `{"data": [...]}`; the Hub's `{"rows": [{"row": {...}}]}`; rows as lists beside their heads,
    as Gradio and pandas' "split" write them; or, as pandas does unasked, an object or a list a column.
    """
    if not isinstance(document, dict):
        return document if isinstance(document, list) else [document]
    rows = next((document[name] for name in ("rows", "data") if isinstance(document.get(name), list)), None)
    heads = next((document[name] for name in ("headers", "columns") if isinstance(document.get(name), list)), None)
    if rows is None:
        columns = {head: dict(enumerate(each)) if isinstance(each, list) else each for head, each in document.items()}
        columns = {head: cells for head, cells in columns.items() if isinstance(cells, dict)}
        return [{head: cells.get(key) for head, cells in columns.items()} for key in next(iter(columns.values()), ())]
    if heads is not None:
        return [dict(zip(heads, row, strict=True)) for row in rows]
    return [row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row for row in rows]


def _from_objects(objects: Iterable[Any]) -> Sheet:
    found = list(objects)
    if not all(isinstance(each, dict) for each in found):
        raise ValueError("its rows are not objects with a value for each column")
    heads = dict.fromkeys(head for each in found for head in each)
    return Sheet(tuple(map(str, heads)), tuple(tuple(each.get(head) for head in heads) for each in found))


_READERS = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet}
