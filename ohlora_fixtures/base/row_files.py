"""Rows that others' files hold as objects: JSON, in the shapes in which tools write it, JSON lines and Parquet."""

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from .files import MOST_ROWS

Row = dict[str, Any]
"""Cells by their columns' heads."""


def json_rows(text: str, *, are_lines: bool | None = None) -> list[Row]:
    """The rows of a JSON text; None for `are_lines` finds out whether each line is a text of its own.

    A document is a list of objects; `{"data": [...]}`; the Hub's `{"rows": [{"row": {...}}]}`; rows as lists beside
    their heads, as Gradio and pandas' "split" write them; or, as pandas does unasked, an object or a list a column.

    Raises ValueError, with the line of what is no JSON.
    """
    if are_lines is None:
        are_lines = _is_json(next(filter(str.strip, text.split("\n")), "")) and not _is_json(text)
    rows = list(_lines(text) if are_lines else _document(_parsed(text, 1)))
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("its rows are not objects with a value for each column")
    return rows


def parquet_rows(data: bytes) -> list[Row]:
    """A Parquet file's rows; raises ImportError without pyarrow, and pyarrow's own errors, OSError and ValueError.

    ValueError also for more than `MOST_ROWS`.
    """
    from pyarrow import parquet

    file = parquet.ParquetFile(BytesIO(data))
    if file.metadata.num_rows > MOST_ROWS:
        raise ValueError(f"more than {MOST_ROWS:,} rows, the most that is read")
    rows: list[Row] = file.read().to_pylist()
    return rows


def _lines(text: str) -> Iterable[Any]:
    # split at this line end alone, as a JSON text may hold others
    return (_parsed(line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _document(document: Any) -> Iterable[Any]:
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


def _parsed(text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} in line {first_line + error.lineno - 1}") from None
    except RecursionError:
        raise ValueError(f"too deep a nesting in line {first_line}") from None


def _is_json(text: str) -> bool:
    try:
        _parsed(text, 1)
    except ValueError:
        return False
    return True
