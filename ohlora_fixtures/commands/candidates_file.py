"""Making a candidates file: the config.json files that it needs, and writing what `read_candidates` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import CandidateError, InputError
from ..base.files import replace_text
from ..base.messages import message
from ..inputs.candidates import Candidate


def config_path(folder: Path, repo: str) -> Path:
    """Where a folder keeps a repository's config.json: `<owner>--<name>.json`."""
    return folder / f"{repo.replace('/', '--')}.json"


def find_config(folder: Path, repo: str, *, is_only_one_of_name: bool) -> Path | None:
    """A repository's config.json in a folder; `<name>.json` counts, too, if no other repository has that name."""
    paths = [config_path(folder, repo)]
    if is_only_one_of_name:
        paths.append(folder / f"{repo.rpartition('/')[2]}.json")
    return next((path for path in paths if path.is_file()), None)


def read_config(path: Path) -> dict[str, Any]:
    """A config.json's settings.

    Raises CandidateError if it is none.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CandidateError(message("reason.not_json", path=path, error=error)) from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise CandidateError(message("reason.no_model_type", path=path))
    return settings


def completed(candidate: Candidate, ours: Iterable[Candidate]) -> Candidate:
    """The candidate with its exact parameters and LoRA targets, both from its architecture built without weights.

    Its targets are those of the suite's candidates, `ours`, of the same architecture, so that ranks compare; else every
    linear module but the head, as QLoRA advises (Dettmers et al. 2023, section 4).

    Raises CandidateError if transformers cannot build it.
    """
    from ..workloads.models import outline

    found = outline(candidate)
    kind = candidate.architecture()["model_type"]
    alike = next((each.target_modules for each in ours if each.architecture()["model_type"] == kind), ())
    is_like_ours = bool(alike) and found.module_names.issuperset(alike)
    targets = alike if is_like_ours else tuple(sorted(found.linear_names))
    return replace(candidate, parameters=found.parameters, target_modules=targets)


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
