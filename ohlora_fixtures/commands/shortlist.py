"""From a leaderboard to candidates: each listed model is screened, and what is kept gets its architecture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError, InputError
from ..base.messages import message
from ..inputs.candidates import Candidate
from ..session.hub import download_config
from .criteria import Screening, screen
from .leaderboard import Leaderboard, Listed

GROUP = "seed"
"""The default of --candidate-group, so that `pytest --candidates` runs the whole file."""
_TEXT_TEMPLATE = "### 질문: {input} ### 답변: {output}"
"""That of the suite's own candidates."""
_NEEDS_CONFIG = "needs its config.json"


@dataclass(frozen=True)
class Considered:
    """A listed model, screened, and the candidate that it is."""

    screening: Screening
    """How it stands to the criteria."""
    candidate: Candidate | None = None
    """The candidate that it is; None if it is dropped, or kept without an architecture."""
    missing: str = ""
    """Why a kept model is no candidate yet; empty for every other."""

    @property
    def in_words(self) -> str:
        """A model that is no candidate, and why, in one line."""
        listed = self.screening.listed
        average = "no average" if listed.average is None else f"{listed.average:.2f}"
        why = "; ".join(reason.words for reason in self.screening.reasons) or self.missing
        return f"{listed.repo} ({average}): {why}"


@dataclass(frozen=True)
class Shortlist:
    """Every model of a leaderboard, screened."""

    board: Leaderboard
    """The export."""
    considered: tuple[Considered, ...]
    """Its models, best average first."""

    @property
    def kept(self) -> list[Considered]:
        """What meets the criteria."""
        return [each for each in self.considered if not each.screening.reasons]

    @property
    def incomplete(self) -> list[Considered]:
        """What of it is no candidate, for want of an architecture."""
        return [each for each in self.kept if not each.candidate]

    @property
    def dropped(self) -> list[Considered]:
        """What does not meet the criteria."""
        return [each for each in self.considered if each.screening.reasons]

    @property
    def near_misses(self) -> list[Considered]:
        """What is dropped although its size is right, or not known."""
        return [each for each in self.dropped if each.screening.is_near_miss]


def shortlist(
    board: Leaderboard, ours: Sequence[Candidate], configs: Path, *, download: bool, assume_korean: bool
) -> Shortlist:
    """Screen every model of a leaderboard, and complete what is kept.

    The suite's own candidates, `ours`, are known. Of others the architecture comes from a config.json in the folder
    `configs`; with `download`, one that is missing there is downloaded into it.

    Raises InputError where an architecture can be neither downloaded, for want of the Hub or of a folder to write to,
    nor built, for want of the libraries.
    """
    screener = _Screener(
        ours={each.repo.lower(): each for each in ours},
        configs=configs,
        names=Counter(_name(listed.repo).lower() for listed in board.models),
        download=download,
        assume_korean=assume_korean,
    )
    return Shortlist(board, tuple(map(screener.considered, board.models)))


@dataclass(frozen=True)
class _Screener:
    ours: Mapping[str, Candidate]
    configs: Path
    names: Counter[str]
    """How many repositories have a name, in lower case."""
    download: bool
    assume_korean: bool

    def considered(self, listed: Listed) -> Considered:
        screening = self._screened(listed)
        if screening.known:
            adopted = replace(screening.known, group=GROUP, leaderboard_average=listed.average)
            return Considered(screening, None if screening.reasons else adopted)
        try:
            path = self._config(listed.repo, download=self.download and not screening.reasons)
            if path is not None:
                screening = self._screened(listed, _read_config(path))
            if path is None or screening.of_rest:
                return Considered(screening, missing="" if screening.reasons else _NEEDS_CONFIG)
            candidate = _completed(self._draft(screening, path), self.ours.values())
        except CandidateError as error:
            return Considered(screening, missing=str(error))
        except ModuleNotFoundError as error:
            raise InputError(f"architectures need {error.name}: install the suite with pip install -e .") from None
        screening = screening.with_parameters(candidate.parameters)
        return Considered(screening, None if screening.reasons else candidate)

    def _screened(self, listed: Listed, settings: Mapping[str, Any] | None = None) -> Screening:
        return screen(listed, self.ours, settings, assume_korean=self.assume_korean)

    def _config(self, repo: str, *, download: bool) -> Path | None:
        """A repository's config.json in the folder; `<name>.json` counts, too, if no other repository has that name."""
        path = self.configs / f"{repo.replace('/', '--')}.json"
        if path.is_file():
            return path
        by_name = self.configs / f"{_name(repo)}.json"
        if self.names[_name(repo).lower()] == 1 and by_name.is_file():
            return by_name
        if not download:
            return None
        download_config(repo, path)
        return path

    def _draft(self, screening: Screening, config: Path) -> Candidate:
        """The candidate that a kept model is, without what only its architecture can tell."""
        listed, name = screening.listed, _name(screening.listed.repo)
        taken = {each.name.lower() for each in self.ours.values()}
        is_own = self.names[name.lower()] == 1 and name.lower() not in taken
        return Candidate(
            name=name if is_own else listed.repo.replace("/", "--"),
            group=GROUP,
            repo=listed.repo,
            config=config,
            parameters=0,
            card_license=listed.card_license,
            binding_license=screening.terms.license,
            free_license=bool(screening.terms.free),
            korean=screening.korean.level or "",
            target_modules=(),
            text_template=_TEXT_TEMPLATE,
            leaderboard_average=listed.average,
        )


def _read_config(path: Path) -> dict[str, Any]:
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


def _completed(candidate: Candidate, ours: Iterable[Candidate]) -> Candidate:
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


def _name(repo: str) -> str:
    return repo.rpartition("/")[2]
