"""What can be chosen: the candidates file and what it must say."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from ..base.errors import InputError
from ..base.files import MOST_SETTINGS_BYTES, read_bytes
from ..base.toml_tables import Count, Flag, Number, Text, read_entry, read_tables

ALL_GROUPS = "all"
"""The group name that stands for every candidate of a file."""
DEFAULT_GROUP = "seed"
"""The group that runs where none is asked for."""

_MOST_LISTED = 30
"""Names in one sentence."""
_MOST = {r"layer|block": 1000, r"expert": 10_000, r"label": 100_000, r"": 2**31}
"""The most that a number in a config.json can be, by a pattern of its name: layers and experts are built one by one."""

_OTHER_HEAD = re.compile(
    r"For(MaskedLM|PreTraining|NextSentencePrediction|MultipleChoice|QuestionAnswering|(Sequence|Token)Classification)$"
)
_Name = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
        description="letters, digits, '.', '_' and '-' alone, 100 at most",
    ),
]
_Korean = Annotated[
    str,
    Meta(
        pattern=r"\A(supported|specialised|no|unknown)\Z",
        description="'supported', 'specialised', 'no' or 'unknown'",
    ),
]
_Template = Annotated[
    str,
    Meta(
        pattern=r"\A[^{}]*\{input\}[^{}]*\{output\}[^{}]*\Z",
        description="a text with {input} and then {output}, once each",
    ),
]


@dataclass(frozen=True)
class Candidate:
    """One model that could be fine-tuned."""

    name: _Name
    """Short name, used in case ids and file names."""
    group: Text
    """The group it is run with, such as `seed`."""
    repo: Text
    """Where the weights are: an id on the Hub, or a folder of this machine, in a file a path that begins with '.'."""
    config: Annotated[Path, Meta(description="a non-empty text")]
    parameters: Count
    """Exact parameter count, tied weights counted once."""
    card_license: Text
    binding_license: Text
    free_license: Flag
    """Whether the binding licence leaves use, change and sharing free."""
    korean: _Korean
    """`supported`, `specialised` for a model made for Korean, `no`, or `unknown`."""
    target_modules: Annotated[tuple[Text, ...], Meta(min_length=1, description="a list of module names")]
    text_template: _Template | None = None
    """None for the chat template of its tokenizer."""
    template_tokens: Count | None = None
    """Tokens of its chat template around a prompt: for lengths that are estimated."""
    base_model: Text | None = None
    """What it was made from, on the Hub; None if it was trained from scratch, or if that is not known."""
    license_source: Text | None = None
    """Where the binding licence can be looked up."""
    license_evidence: Text | None = None
    """What was read to know it, in words; None if nothing is said of that."""
    korean_benchmark: Text | None = None
    """A published figure of its Korean, with the benchmark's name, such as `KMMLU 45.1`."""
    korean_benchmark_source: Text | None = None
    """Where that is published."""
    leaderboard_average: Number | None = None
    """Average on a leaderboard, percent."""
    leaderboard: Text | None = None
    """Which leaderboard, and as of when."""
    chars_per_token: Number | None = None
    """Characters a token of its tokenizer, over rows in its text template: for a stand-in tokenizer."""
    revision: Text | None = None
    """Commit, tag or branch of the weights; None takes the newest."""
    remote_code: Flag = False
    """Whether the repository's own Python code is needed to load it."""
    unverified: Text | None = None
    """What of this is not verified, in words; None if nothing is known to be in doubt."""

    def folder(self, model_dir: Path | None) -> Path | None:
        """The folder of this machine with weights and tokenizer: `repo`, or else in `model_dir`; None for the Hub."""
        if Path(self.repo).is_absolute():
            return Path(self.repo)
        return None if model_dir is None else model_dir / self.name

    def architecture(self) -> dict[str, Any]:
        """The architecture's settings as its file has them."""
        settings: dict[str, Any] = _read_json(self.config)
        return settings


def read_candidates(path: Path) -> tuple[Candidate, ...]:
    """Every candidate of a TOML file, in its order, paths relative to it; raises InputError for one that is wrong."""
    entries = read_tables(path, "candidate", Candidate, what="candidates file", option="--candidates")
    candidates = tuple(
        replace(entry, config=path.parent / entry.config, repo=_absolute(entry.repo, path.parent)) for entry in entries
    )
    read: set[Path] = set()
    for candidate in candidates:
        if candidate.config not in read:
            read_architecture(candidate.config, f"candidate {candidate.name!r} in {path}")
            read.add(candidate.config)
    return candidates


def read_architecture(config: Path, where: str) -> dict[str, Any]:
    """The settings of a config.json; raises InputError, beginning with `where`, for what can be none."""
    try:
        settings = _read_json(config)
    except FileNotFoundError:
        raise InputError(f"{where} names the architecture {config}, which does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{where} names the architecture {config}, which cannot be read as JSON: {error}") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise InputError(
            f"{where} names the architecture {config}, which lacks the field 'model_type': take the file that "
            "save_pretrained writes"
        )
    for name, value in _counts(settings):
        for pattern, most in _MOST.items():
            if re.search(pattern, name) and value > most:
                raise InputError(
                    f"{where} names the architecture {config}, whose {name} is more than {most:,}: correct that number"
                )
    return settings


def other_head(architectures: object) -> str | None:
    """The class in a config.json's `architectures` that writes no text, such as `RobertaForMaskedLM`; None if none."""
    named = architectures if isinstance(architectures, list) else [architectures]
    return next((each for each in named if isinstance(each, str) and _OTHER_HEAD.search(each)), None)


def kept_candidate(entry: Any, where: str) -> Candidate:
    """A candidate as a session has kept it, with a digest of its architecture; raises InputError if it is none."""
    if not isinstance(entry, dict):
        raise InputError(f"{where} is not a candidate: give --candidates the file of the session's candidates")
    kept = {each.name: entry[each.name] for each in fields(Candidate) if entry.get(each.name) is not None}
    return read_entry(kept, Candidate, where)


def select_group(candidates: Sequence[Candidate], group: str) -> tuple[Candidate, ...]:
    """The candidates of one group, or all of them for `all`; raises InputError for a group that none is in."""
    selected = tuple(candidate for candidate in candidates if group in (ALL_GROUPS, candidate.group))
    if not selected:
        known = ", ".join(sorted({candidate.group for candidate in candidates} | {ALL_GROUPS}))
        raise InputError(f"candidate group {group!r} is unknown: choose with --candidate-group among {known}")
    return selected


def select_names(candidates: Sequence[Candidate], names: str) -> tuple[Candidate, ...]:
    """The candidates named in a comma-separated list, in their file's order; raises InputError for an unknown name."""
    wanted = [name.strip() for name in names.split(",")]
    known = [candidate.name for candidate in candidates]
    if unknown := [name for name in wanted if name not in known]:
        more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        listed = ", ".join(known[:_MOST_LISTED])
        raise InputError(f"candidate {unknown[0]!r} is unknown: choose with --candidate among {listed}{more}")
    return tuple(candidate for candidate in candidates if candidate.name in wanted)


def _read_json(path: Path) -> Any:
    return json.loads(read_bytes(path, MOST_SETTINGS_BYTES))


def _absolute(repo: str, folder: Path) -> str:
    return os.path.abspath(folder / repo) if repo.startswith(".") else repo  # noqa: PTH100 - no link is followed


def _counts(settings: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every whole number of an architecture, those of its parts and the lengths of its lists too, with its name."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield name, len(value)
            yield from _counts(value)
        elif isinstance(value, list):
            yield name, len(value)
        elif isinstance(value, int):
            yield name, value
