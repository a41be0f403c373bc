"""Rows, whatever they are kept in: CSV, JSON, JSON lines, Parquet, or a dataset on the Hub."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.csv_files import read_table, read_text
from ..base.errors import InputError, one_line
from ..base.files import MOST_TEXT_BYTES, read_bytes
from ..base.messages import Message, message
from ..base.row_files import Row, json_rows, parquet_rows

_WHAT = message("what.dataset")
_PARQUET = b"PAR1"
"""How a Parquet file begins."""
_LINES = {".jsonl", ".ndjson"}
_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(?:@[\w./-]+)?", re.ASCII)
_FILE = re.compile(r"\.(?:csv|tsv|txt|json|jsonl|ndjson|parquet|arrow|xlsx?|gz|zip|zst)", re.IGNORECASE)


@dataclass(frozen=True)
class DatasetRows:
    """A dataset's rows, as they are kept."""

    kind: str
    """What they are kept in, such as `CSV`."""
    heads: tuple[str, ...]
    """Every column, in order; a CSV file's repeated ones as often as they are there."""
    rows: tuple[tuple[int, Mapping[str, Any]], ...]
    """Each row's line in a CSV file, or its number from 1, and its cells by their columns."""
    digest: str
    """SHA-256 of the file, or of what a repository holds; hexadecimal."""


def is_id(text: str) -> bool:
    """Whether a text reads as the id of a dataset on the Hub, `owner/name` or `owner/name@revision`."""
    return _ID.fullmatch(text) is not None and not _FILE.fullmatch(Path(text).suffix)


def read_file(path: Path, likely: Collection[str] = (), what: Message = _WHAT) -> DatasetRows:
    """Read a file; of a CSV file the separator is the one that gives the most of the `likely` columns.

    Raises InputError for what cannot be read, and says in one sentence `what` it is, and why.
    """
    try:
        data = read_bytes(path, MOST_TEXT_BYTES)
    except OSError as error:
        raise InputError(message("mistake.unreadable", what=what, path=path, error=error.strerror)) from None
    is_parquet = data.startswith(_PARQUET)
    text = "" if is_parquet else read_text(path, what)
    if text.lstrip().startswith(("{", "[")):
        kind = "JSON lines" if path.suffix.lower() in _LINES else "JSON"
    else:
        kind = "Parquet" if is_parquet else "CSV"
    digest = hashlib.sha256(data).hexdigest()
    if kind == "CSV":
        table = read_table(path, what, tuple(likely))
        cells = tuple((line, dict(zip(table.heads, row, strict=False))) for line, row in table.rows)
        return DatasetRows(kind, table.heads, cells, digest)
    try:
        rows = parquet_rows(data) if is_parquet else json_rows(text, are_lines=kind == "JSON lines" or None)
    except ImportError:
        raise InputError(message("mistake.extra", what=what, path=path, kind=kind, package="pyarrow")) from None
    except Exception as error:  # noqa: BLE001 - whatever a reader finds wrong with somebody's file
        raise InputError(message("mistake.no_rows", what=what, path=path, kind=kind, error=one_line(error))) from None
    return _numbered(kind, rows, digest)


def read_from_hub(dataset_id: str) -> DatasetRows:
    """Download a dataset, every split of it; where it has several, their names are the rows' column `split`.

    Raises InputError without the package `datasets`, and for what that cannot load.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(message("mistake.no_hub", what=_WHAT, path=dataset_id)) from None
    name, _, revision = dataset_id.partition("@")
    try:
        datasets.disable_progress_bars()
        splits = datasets.load_dataset(name, revision=revision or None)
        named = len(splits) > 1
        rows = [row | {"split": split} if named else row for split, each in splits.items() for row in each]
    except Exception as error:  # noqa: BLE001 - whatever the network or the library has to say
        raise InputError(message("mistake.hub", what=_WHAT, path=dataset_id, error=one_line(error))) from None
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return _numbered("Hub", rows, digest.hexdigest())


def _numbered(kind: str, rows: list[Row], digest: str) -> DatasetRows:
    heads = dict.fromkeys(str(head) for row in rows for head in row)
    return DatasetRows(kind, tuple(heads), tuple(enumerate(rows, 1)), digest)
