"""Writing a candidates file."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import InputError
from ..base.files import replace_text
from ..inputs.candidates import Candidate


def write_candidates(
    path: Path, head: Iterable[str], entries: Iterable[tuple[Candidate, Sequence[str]]], foot: Iterable[str]
) -> None:
    """Write candidates, each with comments above it, and others above and below all; a comment is a line.

    Paths become relative to the file. Raises InputError if it cannot be written.
    """
    blocks: list[Iterable[str]] = [map(_comment, head)]
    blocks += [[*map(_comment, comments), *_table(candidate, path.parent)] for candidate, comments in entries]
    blocks.append(map(_comment, foot))
    try:
        replace_text(path, "\n\n".join(filter(None, map("\n".join, blocks))) + "\n")
    except OSError as error:
        raise InputError(
            f"candidates file {path} cannot be written ({error.strerror}): choose another --into"
        ) from None


def _comment(text: str) -> str:
    return f"# {safe_text.line(text)}".rstrip()


def _table(candidate: Candidate, folder: Path) -> list[str]:
    values = vars(candidate) | {"config": _relative(candidate.config, folder)}
    if (own := candidate.folder(None)) is not None:
        values["repo"] = _dotted(_relative(own, folder))
    written = [each.name for each in fields(Candidate) if values[each.name] != each.default]
    return ["[[candidate]]", *(f"{name} = {_toml(values[name])}" for name in written)]


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.absolute().as_posix()


def _dotted(path: str) -> str:
    """A folder's path as `repo` has it, so that it is not taken for an id on the Hub."""
    return path if path.startswith((".", "/")) or Path(path).is_absolute() else f"./{path}"


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return safe_text.toml_string(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)
