"""From a leaderboard to a candidates file: each listed model is screened, and what is kept is completed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError, InputError
from ..inputs.candidates import Candidate
from ..session.hub import download_config
from .candidates_file import Entry, completed, config_path, find_config, read_config, write_candidates
from .criteria import CRITERIA, Screening, screen
from .leaderboard import Leaderboard, Listed

_GROUP = "seed"
"""The default of --candidate-group, so that `pytest --candidates` runs the whole file."""
_TEXT_TEMPLATE = "### 질문: {input} ### 답변: {output}"
"""That of the suite's own candidates."""
NEEDS_CONFIG = "needs its config.json"


@dataclass(frozen=True)
class Considered:
    """A listed model, screened, and the candidate that it is."""

    screening: Screening
    """How it stands to the criteria."""
    candidate: Candidate | None = None
    """The candidate that it is; None if it is dropped, or kept without an architecture."""
    missing: str = ""
    """Why a kept model is no candidate yet; empty for every other."""


@dataclass(frozen=True)
class Shortlist:
    """Every model of a leaderboard, screened."""

    board: Leaderboard
    """The export."""
    considered: tuple[Considered, ...]
    """Its models, best average first."""

    @property
    def kept(self) -> tuple[Considered, ...]:
        """What meets the criteria."""
        return tuple(each for each in self.considered if not each.screening.reasons)

    @property
    def written(self) -> tuple[Considered, ...]:
        """What of it goes into the candidates file."""
        return tuple(each for each in self.kept if each.candidate)

    @property
    def incomplete(self) -> tuple[Considered, ...]:
        """What of it does not, for want of an architecture."""
        return tuple(each for each in self.kept if not each.candidate)

    @property
    def dropped(self) -> tuple[Considered, ...]:
        """What does not meet the criteria."""
        return tuple(each for each in self.considered if each.screening.reasons)

    @property
    def near_misses(self) -> tuple[Considered, ...]:
        """What is dropped although its size is right, or not known."""
        return tuple(each for each in self.dropped if each.screening.is_near_miss)


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


def write_shortlist(found: Shortlist, path: Path, origin: str) -> None:
    """Write what is kept as a candidates file, with comments that say what it rests on and what is not in it.

    Raises InputError if it cannot be written.
    """
    head = [
        f"Candidates from {origin}, best average first; leaderboard_average is that of this export.",
        f"Criteria: {CRITERIA}.",
        f'The group is "{_GROUP}", the default of --candidate-group.',
    ]
    foot = []
    if found.incomplete:
        foot += ["Kept, but not in this file:", *(f"- {line(each)}" for each in found.incomplete), ""]
    if found.near_misses:
        foot += ["Dropped for other reasons than a wrong size:"]
        foot += [f"- {line(each)}" for each in found.near_misses]
    write_candidates(path, head, map(_entry, found.written), foot)


def line(model: Considered) -> str:
    """A model that is not in the file, and why, in one line."""
    listed = model.screening.listed
    average = "no average" if listed.average is None else f"{listed.average:.2f}"
    why = "; ".join(reason.words for reason in model.screening.reasons) or model.missing
    return f"{listed.repo} ({average}): {why}"


@dataclass(frozen=True)
class _Screener:
    ours: Mapping[str, Candidate]
    configs: Path
    names: Counter[str]
    download: bool
    assume_korean: bool

    def considered(self, listed: Listed) -> Considered:
        screening = self._screened(listed)
        if screening.known:
            return Considered(screening, None if screening.reasons else _adopted(screening.known, listed))
        try:
            path = self._find(listed.repo)
            if path is None and self.download and not screening.reasons:
                path = config_path(self.configs, listed.repo)
                download_config(listed.repo, path)
            if path is not None:
                screening = self._screened(listed, read_config(path))
            if path is None or screening.of_rest:
                return Considered(screening, missing="" if screening.reasons else NEEDS_CONFIG)
            candidate = completed(self._draft(screening, path), self.ours.values())
        except CandidateError as error:
            return Considered(screening, missing=str(error))
        except ModuleNotFoundError as error:
            raise InputError(f"architectures need {error.name}: install the suite with pip install -e .") from None
        screening = screening.with_parameters(candidate.parameters)
        return Considered(screening, None if screening.reasons else candidate)

    def _screened(self, listed: Listed, settings: Mapping[str, Any] | None = None) -> Screening:
        return screen(listed, self.ours, settings, assume_korean=self.assume_korean)

    def _find(self, repo: str) -> Path | None:
        return find_config(self.configs, repo, is_only_one_of_name=self.names[_name(repo).lower()] == 1)

    def _draft(self, screening: Screening, config: Path) -> Candidate:
        """The candidate that a kept model is, without what only its architecture can tell."""
        listed, name = screening.listed, _name(screening.listed.repo)
        taken = {each.name.lower() for each in self.ours.values()}
        is_own = self.names[name.lower()] == 1 and name.lower() not in taken
        return Candidate(
            name=name if is_own else listed.repo.replace("/", "--"),
            group=_GROUP,
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


def _adopted(known: Candidate, listed: Listed) -> Candidate:
    return replace(known, group=_GROUP, leaderboard_average=listed.average)


def _name(repo: str) -> str:
    return repo.rpartition("/")[2]


def _entry(model: Considered) -> Entry:
    screening, candidate = model.screening, model.candidate
    assert candidate is not None
    if screening.known:
        return Entry(candidate, ("As the suite's own candidates file has it, but for group and leaderboard_average.",))
    alone = (
        "; its base model is not known, and that licence could bind instead" if screening.terms.is_card_alone else ""
    )
    return Entry(
        candidate,
        (
            f"Licence: {screening.terms.basis}{alone}.",
            f"Korean: {screening.korean.basis}.",
            "Not from the model: text_template is the suite's, target_modules go by the architecture.",
        ),
    )
