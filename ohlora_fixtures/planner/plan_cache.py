"""Plans kept between sessions, a file each, named after a digest of all that the plan depends on."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

_PACKAGE = Path(__file__).parents[1]


class PlanStore:
    """A folder of JSON files. What cannot be read is as good as not there; what cannot be written is not kept."""

    def __init__(self, folder: Path | None) -> None:
        """Keep nothing if there is no folder."""
        self._folder = folder

    def read(self, facts: dict[str, Any]) -> dict[str, Any] | None:
        """What was kept under these facts."""
        if self._folder is None:
            return None
        try:
            kept = json.loads(self._path(facts).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        is_whole = isinstance(kept, dict) and kept.get("digest") == _digest(kept.get("result"))
        return kept["result"] if is_whole else None

    def write(self, facts: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep a result; a reader finds all of it or nothing, even if the machine stops meanwhile."""
        if self._folder is None:
            return
        path = self._path(facts)
        unfinished = path.with_name(f"{path.name}.{uuid4().hex}")
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"digest": _digest(result), "result": result}), encoding="utf-8")
            unfinished.replace(path)

    def _path(self, facts: dict[str, Any]) -> Path:
        assert self._folder is not None
        return self._folder / f"{_digest(facts)}.json"


@cache
def source_digest() -> str:
    """A digest of this package's own code: a plan made by other code is not looked at."""
    files = sorted(_PACKAGE.rglob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def file_digest(path: Path) -> str:
    """A digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
