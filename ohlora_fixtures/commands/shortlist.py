"""From a leaderboard to candidates: each listed model is screened, and what is kept gets its architecture."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError, InputError
from ..base.files import MOST_SETTINGS_BYTES, is_file, read_bytes
from ..base.messages import message
from ..inputs.candidates import DEFAULT_GROUP, Candidate
from ..session.hub import download_config
from ..session.named_models import parameters_and_targets
from .criteria import Criteria, Screening, screen
from .leaderboard import Leaderboard, Listed

WRONG_SIZE = "dropped for a wrong size"
_NEEDS_CONFIG = "needs its config.json"


@dataclass(frozen=True)
class Shortlist:
    """Every model of a leaderboard, screened."""

    board: Leaderboard
    models: tuple[Screening, ...]
    """Best average first."""

    @property
    def kept(self) -> list[Screening]:
        """What meets the criteria."""
        return [each for each in self.models if not each.reasons]

    @property
    def dropped(self) -> list[Screening]:
        """What does not meet the criteria."""
        return [each for each in self.models if each.reasons]

    @property
    def left_out(self) -> dict[str, list[Screening]]:
        """What becomes no candidate, by why: for want of an architecture, for its size, or for something else."""
        return {
            "kept, but not in the candidates file": [each for each in self.kept if not each.candidate],
            "dropped for other reasons than a wrong size": [each for each in self.dropped if each.is_near_miss],
            WRONG_SIZE: [each for each in self.dropped if not each.is_near_miss],
        }


def shortlist(
    board: Leaderboard, ours: Sequence[Candidate], configs: Path, criteria: Criteria, *, download: bool
) -> Shortlist:
    """Screen every model of a leaderboard, and complete what is kept.

    The suite's own candidates, `ours`, are known. Of others the architecture comes from a config.json in the folder
    `configs`; with `download`, one that is missing there is downloaded into it.

    Raises InputError where an architecture can be neither downloaded, for want of the Hub or of a folder to write to,
    nor built, for want of the libraries.
    """
    known = {each.repo.lower(): each for each in ours}
    screened = partial(screen, ours=known, criteria=criteria)
    names = Counter(listed.name.lower() for listed in board.models)

    def considered(listed: Listed) -> Screening:
        screening, is_alone = screened(listed), names[listed.name.lower()] == 1
        if screening.known:
            adopted = replace(screening.known, group=DEFAULT_GROUP, leaderboard_average=listed.average)
            return screening if screening.reasons else replace(screening, candidate=adopted)
        try:
            path = _config(listed, configs, is_alone=is_alone, download=download and not screening.reasons)
            if path is not None:
                screening = screened(listed, settings=_read_config(path))
            if path is None or screening.of_rest:
                return screening if screening.reasons else replace(screening, missing=_NEEDS_CONFIG)
            candidate = _candidate(screening, path, ours, is_alone=is_alone)
        except CandidateError as error:
            return replace(screening, missing=str(error))
        except ModuleNotFoundError as error:
            raise InputError(f"architectures need {error.name}: install the suite with pip install -e .") from None
        screening = screening.with_parameters(candidate.parameters)
        return screening if screening.reasons else replace(screening, candidate=candidate)

    return Shortlist(board, tuple(map(considered, board.models)))


def _config(listed: Listed, configs: Path, *, is_alone: bool, download: bool) -> Path | None:
    """A model's config.json in the folder; `<name>.json` counts, too, if the model is alone in having that name."""
    stems = (_as_file_name(listed.repo), *([listed.name] if is_alone else []))
    paths = [configs / f"{stem}.json" for stem in stems]
    found = next(filter(is_file, paths), None)
    if found is None and download:
        found = paths[0]
        download_config(listed.repo, found)
    return found


def _read_config(path: Path) -> dict[str, Any]:
    """A config.json's settings; raises CandidateError if it is none."""
    try:
        settings = json.loads(read_bytes(path, MOST_SETTINGS_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CandidateError(message("reason.not_json", path=path, error=error)) from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise CandidateError(message("reason.no_model_type", path=path))
    return settings


def _candidate(screening: Screening, config: Path, ours: Iterable[Candidate], *, is_alone: bool) -> Candidate:
    """The candidate that a kept model is: parameters and LoRA targets are its architecture's, built without weights.

    Raises CandidateError if transformers cannot build it, or peft accepts none of its modules.
    """
    listed = screening.listed
    is_own_name = is_alone and listed.name.lower() not in {each.name.lower() for each in ours}
    candidate = Candidate(
        name=listed.name if is_own_name else _as_file_name(listed.repo),
        group=DEFAULT_GROUP,
        repo=listed.repo,
        config=config,
        parameters=0,
        card_license=listed.card_license,
        binding_license=screening.terms.license,
        free_license=bool(screening.terms.free),
        korean=screening.korean.level or "",
        target_modules=(),
        leaderboard_average=listed.average,
    )
    parameters, targets = parameters_and_targets(candidate, ours)
    return replace(candidate, parameters=parameters, target_modules=targets)


def _as_file_name(repo: str) -> str:
    return repo.replace("/", "--")
