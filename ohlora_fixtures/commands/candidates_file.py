"""Writing a candidates file: what `candidates.read_candidates` reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import InputError
from ..base.files import replace_text
from ..inputs.candidates import Candidate


@dataclass(frozen=True)
class Entry:
    """A candidate, and what a reader of the file should know of it."""

    candidate: Candidate
    """The candidate."""
    comments: tuple[str, ...]
    """Said above it, a line each."""


def write_candidates(path: Path, head: Iterable[str], entries: Iterable[Entry], foot: Iterable[str]) -> None:
    """Write candidates, with comments of a line each above and below all of them; paths become relative to the file.

    Raises InputError if it cannot be written.
    """
    blocks = ["\n".join(map(_comment, head))]
    blocks += ["\n".join([*map(_comment, each.comments), *_table(each.candidate, path.parent)]) for each in entries]
    blocks.append("\n".join(map(_comment, foot)))
    try:
        replace_text(path, "\n\n".join(filter(None, blocks)) + "\n")
    except OSError as error:
        raise InputError(
            f"candidates file {path} cannot be written ({error.strerror}): choose another --into"
        ) from None


def _comment(text: str) -> str:
    return f"# {safe_text.line(text)}".rstrip()


def _table(candidate: Candidate, folder: Path) -> list[str]:
    values = {field.name: getattr(candidate, field.name) for field in fields(Candidate)}
    values["config"] = _relative(candidate.config, folder)
    defaults = {field.name: field.default for field in fields(Candidate)}
    written = (f"{name} = {_toml(value)}" for name, value in values.items() if value != defaults[name])
    return ["[[candidate]]", *written]


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.absolute().as_posix()


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return safe_text.toml_string(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)
