"""A judge's verdicts on disk, so that no answer is paid for twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..base.safe_text import json_line
from .grading import GRADES


@dataclass(frozen=True)
class KeptVerdict:
    """What a judge says of one answer; a line of the file."""

    key: str
    """SHA-256 of the model, what it was told, the prompt and the answer, hexadecimal."""
    grade: str
    """One of 최상, 상, 중, 하, 최하."""
    reason: str
    """The judge's, in its words."""
    tokens: int
    """What asking has cost."""
    model: str
    """The judge's name."""


class JudgeCache:
    """Verdicts by key, from a file that is only ever appended to; lines that are none are passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._verdicts: dict[str, KeptVerdict] = {}
        self.problem: str | None = None
        """Why a verdict is not on disk, in the system's words; None if all are."""
        try:
            data = path.read_bytes()
        except OSError:  # there is none yet, or adding to it will tell
            data = b""
        self._ends_within_a_line = not data.endswith(b"\n") and bool(data)
        for each in map(_verdict, data.splitlines()):
            if each:
                self._verdicts[each.key] = each

    def get(self, key: str) -> KeptVerdict | None:
        """The verdict of that key."""
        return self._verdicts.get(key)

    def add(self, verdict: KeptVerdict) -> None:
        """Keep a verdict; it has reached the disk, or `problem` says why not."""
        self._verdicts[verdict.key] = verdict
        data = b"\n" * self._ends_within_a_line + json_line(asdict(verdict))
        self._ends_within_a_line = True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
        else:
            self._ends_within_a_line = False


def _verdict(data: bytes) -> KeptVerdict | None:
    try:
        facts = json.loads(data)
        verdict = KeptVerdict(**{field.name: facts[field.name] for field in fields(KeptVerdict)})
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    is_one = isinstance(verdict.key, str) and verdict.grade in GRADES
    return verdict if is_one else None
