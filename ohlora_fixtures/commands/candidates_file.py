"""Writing a shortlist as a candidates file, with comments that say what it rests on; `read_candidates` reads it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import InputError
from ..base.files import replace_text
from ..inputs.candidates import Candidate
from .criteria import CRITERIA, Screening
from .shortlist import GROUP, Shortlist


def write_shortlist(found: Shortlist, path: Path, origin: str) -> None:
    """Write what is kept as a candidates file, and as comments what is not in it.

    Raises InputError if it cannot be written.
    """
    head = [
        f"Candidates from {origin}, best average first; leaderboard_average is that of this export.",
        f"Criteria: {CRITERIA}.",
        f'The group is "{GROUP}", the default of --candidate-group.',
    ]
    foot = []
    if found.incomplete:
        foot += ["Kept, but not in this file:", *(f"- {each.in_words}" for each in found.incomplete), ""]
    if found.near_misses:
        foot += ["Dropped for other reasons than a wrong size:", *(f"- {each.in_words}" for each in found.near_misses)]
    entries = [(each.candidate, _basis(each.screening)) for each in found.kept if each.candidate]
    write_candidates(path, head, entries, foot)


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


def _basis(screening: Screening) -> Sequence[str]:
    """What a candidate's facts rest on."""
    if screening.known:
        return ["As the suite's own candidates file has it, but for group and leaderboard_average."]
    alone = (
        "; its base model is not known, and that licence could bind instead" if screening.terms.is_card_alone else ""
    )
    return [
        f"Licence: {screening.terms.basis}{alone}.",
        f"Korean: {screening.korean.basis}.",
        "Not from the model: text_template is the suite's, target_modules go by the architecture.",
    ]


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
