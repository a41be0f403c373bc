"""The config.json files of repositories, and what a candidates file needs of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError
from ..base.messages import sentence
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
        raise CandidateError(sentence("reason.not_json", path=path, error=error)) from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise CandidateError(sentence("reason.no_model_type", path=path))
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
