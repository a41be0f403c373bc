"""What can be chosen: the candidates file and what it must say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.toml_tables import COUNT, FLAG, NUMBER, Check, check_keys, read_tables, texts

ALL_GROUPS = "all"
"""The group name that stands for every candidate of a file."""

_MOST_LISTED = 30
"""Names in one sentence."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Candidate:
    """One model that could be fine-tuned."""

    name: str
    """Short name, used in case ids and file names."""
    group: str
    """The group it is run with, such as `seed`."""
    repo: str
    """Where the weights are on the Hub."""
    config: Path
    """The architecture, a `config.json` of transformers."""
    parameters: int
    """Exact parameter count, tied weights counted once."""
    card_license: str
    """The licence its model card names."""
    binding_license: str
    """The licence that binds, its base model's included."""
    free_license: bool
    """Whether the binding licence leaves use, change and sharing free."""
    korean: str
    """`supported`, or `specialised` for a model made for Korean."""
    target_modules: tuple[str, ...]
    """Names of the linear modules that get a LoRA adapter."""
    text_template: str
    """A training text with `{input}` and `{output}` in it."""
    leaderboard_average: float | None = None
    """Average on a leaderboard, percent; in the suite's own file the Open Ko-LLM Leaderboard's."""
    chars_per_token: float | None = None
    """Characters a token of its tokenizer, over rows in its text template: for a stand-in tokenizer."""
    revision: str | None = None
    """Commit, tag or branch of the weights; None takes the newest."""
    remote_code: bool = False
    """Whether the repository's own Python code is needed to load it."""
    unverified: str | None = None
    """What of this is not verified, in words; None if nothing is known to be in doubt."""

    def architecture(self) -> dict[str, Any]:
        """The architecture's settings as its file has them."""
        settings: dict[str, Any] = json.loads(self.config.read_text(encoding="utf-8"))
        return settings


def read_candidates(path: Path) -> tuple[Candidate, ...]:
    """Every candidate of a TOML file, in its order; paths in it are relative to it.

    Raises InputError where the file cannot be used, naming the candidate and the key.
    """
    entries = read_tables(path, "candidate", what="candidates file", option="--candidates")
    read: set[Path] = set()
    candidates = tuple(_candidate(entry, number, path, read) for number, entry in enumerate(entries, 1))
    names = Counter(candidate.name.lower() for candidate in candidates)  # files are named after them, on any system
    repeated = sorted(name for name, count in names.items() if count > 1)
    if repeated:
        raise InputError(f"candidates file {path} has {repeated[0]!r} more than once: give each candidate its own name")
    return candidates


def kept_candidate(entry: Any, where: str) -> Candidate:
    """A candidate as a session has kept it; of its architecture there is a digest alone.

    Raises InputError, beginning with `where`, if it is none.
    """
    known = {field.name for field in fields(Candidate)}
    if not isinstance(entry, dict):
        raise InputError(f"{where} is none: give --candidates the file of the session's candidates")
    entry = {key: value for key, value in entry.items() if key in known and value is not None}
    check_keys(entry, Candidate, _CHECKS, where)
    return Candidate(**{**entry, "config": Path(entry["config"]), "target_modules": tuple(entry["target_modules"])})


def select_group(candidates: Sequence[Candidate], group: str) -> tuple[Candidate, ...]:
    """The candidates of one group, or all of them for `all`.

    Raises InputError for a group that no candidate is in.
    """
    selected = tuple(candidate for candidate in candidates if group in (ALL_GROUPS, candidate.group))
    if not selected:
        known = ", ".join(sorted({candidate.group for candidate in candidates} | {ALL_GROUPS}))
        raise InputError(f"candidate group {group!r} is unknown: choose with --candidate-group among {known}")
    return selected


def select_names(candidates: Sequence[Candidate], names: str) -> tuple[Candidate, ...]:
    """The candidates with the names in a comma-separated list, in their file's order.

    Raises InputError for a name that none has.
    """
    wanted = [name.strip() for name in names.split(",")]
    known = [candidate.name for candidate in candidates]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        listed = ", ".join(known[:_MOST_LISTED])
        raise InputError(f"candidate {unknown[0]!r} is unknown: choose with --candidate among {listed}{more}")
    return tuple(candidate for candidate in candidates if candidate.name in wanted)


def _candidate(entry: dict[str, Any], number: int, path: Path, read: set[Path]) -> Candidate:
    """One entry's candidate; architectures that have been read before are not read again."""
    where = f"candidate {entry.get('name', number)!r} in {path}"
    check_keys(entry, Candidate, _CHECKS, where)
    config = path.parent / entry["config"]
    candidate = Candidate(**{**entry, "config": config, "target_modules": tuple(entry["target_modules"])})
    if config not in read:
        _check_architecture(candidate, where)
        read.add(config)
    return candidate


def _check_architecture(candidate: Candidate, where: str) -> None:
    config = candidate.config
    try:
        settings = candidate.architecture()
    except FileNotFoundError:
        raise InputError(f"{where} names the architecture {config}, which does not exist") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{where} names the architecture {config}, which cannot be read as JSON: {error}") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise InputError(f"{where} names the architecture {config}, which lacks the field 'model_type'")


def _is_template(value: Any) -> bool:
    return (
        isinstance(value, str) and re.fullmatch(r"[^{}]*\{input\}[^{}]*\{output\}[^{}]*", value, re.DOTALL) is not None
    )


_CHECKS: dict[str, Check] = {
    "name": (
        "letters, digits, '.', '_' and '-' alone, 100 at most",
        lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
    ),
    "parameters": COUNT,
    "free_license": FLAG,
    "remote_code": FLAG,
    "korean": ("'supported' or 'specialised'", lambda value: value in ("supported", "specialised")),
    "target_modules": texts("a list of module names"),
    "text_template": ("a text with {input} and then {output}, once each", _is_template),
    "leaderboard_average": NUMBER,
    "chars_per_token": NUMBER,
}
