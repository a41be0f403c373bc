"""Results folders of several sessions, made into one: a comparison of what ran on several machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..base.errors import InputError
from ..base.files import replace_text
from ..base.messages import Message, message
from ..base.safe_text import json_page
from ..base.shipped import REFERENCE
from ..base.words import language_of
from ..choice.choosing import Choosing
from ..choice.selection import DEFAULT_WEIGHTS, Selection
from ..inputs.candidates import Candidate, read_candidates
from ..inputs.cases import Case
from ..report import files
from ..report.notes import distinct, listed
from ..results.answers import Answers, name_of, read_folder, write_answers
from ..results.comparison import Comparison, compare, read_published
from ..results.folder import RECORDS, read_records
from ..results.record import Record

Keep = Literal["first", "last"]

_MUST_AGREE = (("protocol_hash", "protocols"), ("dataset_sha256", "datasets"))
"""What makes another experiment."""


@dataclass(frozen=True)
class Shard:
    """One session's results folder."""

    folder: Path
    """Where it is."""
    records: tuple[Record, ...]
    """Its whole records."""
    has_torn_line: bool
    """Whether its last line is no whole record."""
    answers: Answers
    """What its candidates have answered."""
    environment: Any
    """What its `environment.json` says; None without a readable one."""


def merge(
    folders: Sequence[Path], into: Path, candidates_path: Path, keep: Keep | None, *, anyway: bool
) -> tuple[Comparison, Selection]:
    """Make one results folder of several.

    Args:
        folders: The sessions' results folders.
        into: The new folder.
        candidates_path: The candidates file they ran with.
        keep: Whose record stays of a case that is in several folders; None refuses such folders.
        anyway: Merge records of different protocols or datasets, too.

    Returns:
        The comparison that has been written, and what is chosen on it.

    Raises:
        InputError: A folder or file cannot be used, or the folders do not go together.
    """
    if (into / RECORDS).exists():
        raise InputError(f"results folder {into} already holds records: give --into another one")
    candidates = read_candidates(candidates_path)
    shards = [_read(folder, {candidate.name for candidate in candidates}) for folder in folders]
    origins, clashes = _one_of_each_case(shards, keep)
    records = [record for record, _ in origins]
    if not records:
        raise InputError(f"there is no complete record in {_names(shards)}: nothing can be merged")
    _check_candidates(origins, candidates, candidates_path)
    _check_agreement(origins, anyway=anyway)
    order = {candidate.name: place for place, candidate in enumerate(candidates)}
    records.sort(
        key=lambda record: order[record.case.candidate]
    )  # sorting leaves each candidate's cases in their order
    found = compare(candidates, (), records, read_published(REFERENCE), tuple(_notes(shards, clashes, keep)))
    try:
        return found, _write(into, found, shards, origins)
    except OSError as error:
        raise InputError(
            f"results folder {into} cannot be written ({error.strerror}): give --into another one"
        ) from None


def _read(folder: Path, known: Collection[str]) -> Shard:
    stored = read_records(folder)
    try:
        environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        environment = None
    answers = read_folder(folder, {record.case.candidate for record in stored.records} & set(known))
    return Shard(folder, stored.records, stored.torn_line is not None, answers, environment)


def _one_of_each_case(shards: Sequence[Shard], keep: Keep | None) -> tuple[list[tuple[Record, Shard]], list[str]]:
    """A record a case with its shard, and the cases that are in several.

    Raises InputError for such a case if nothing says which record to keep.
    """
    found: dict[Case, tuple[Record, Shard]] = {}
    clashes: dict[str, None] = {}
    for shard in shards:
        for record in shard.records:
            if (earlier := found.get(record.case)) is None:
                found[record.case] = record, shard
                continue
            clashes[record.case.id] = None
            if keep is None:
                raise InputError(
                    f"case {record.case.id!r} is in {earlier[1].folder} and {shard.folder}: leave one folder out, or "
                    "say with --keep first or --keep last which folder counts"
                )
            if keep == "last":
                found[record.case] = record, shard
    return list(found.values()), list(clashes)


def _check_candidates(
    origins: Iterable[tuple[Record, Shard]], candidates: Iterable[Candidate], candidates_path: Path
) -> None:
    known = {candidate.name for candidate in candidates}
    for record, shard in origins:
        if record.case.candidate not in known:
            raise InputError(
                f"candidate {record.case.candidate!r} of {shard.folder} is not in the file {candidates_path}: "
                "give --candidates the file it ran with"
            )


def _check_agreement(origins: Sequence[tuple[Record, Shard]], *, anyway: bool) -> None:
    first, first_shard = origins[0]
    for record, shard in origins:
        for name, what in _MUST_AGREE:
            one, other = getattr(first.experiment, name), getattr(record.experiment, name)
            if one != other and not anyway:
                raise InputError(
                    f"{first_shard.folder} and {shard.folder} have different {what} ({one[:12]}, {other[:12]}): their "
                    "figures do not compare; to merge them all the same, add --anyway, and the comparison will say so"
                )
    variants: dict[str, Any] = {}
    for record, shard in origins:
        variant, settings = record.case.variant, record.experiment.variant
        if variant is not None and variants.setdefault(variant, settings) != settings:
            raise InputError(
                f"variant {variant!r} has other settings in {shard.folder} than in an earlier folder: rename it"
            )
    measured = [(record.environment.scale, shard) for record, shard in origins if not record.case.is_planned]
    if len(scales := distinct(scale for scale, _ in measured)) > 1:
        mini, full = (next(shard.folder for scale, shard in measured if scale == wanted) for wanted in scales[:2])
        raise InputError(
            f"{mini} and {full} were measured at different scales, which do not compare: merge them separately"
        )


def _names(shards: Sequence[Shard]) -> Message | str:
    return listed([str(shard.folder) for shard in shards])


def _notes(shards: Sequence[Shard], clashes: Sequence[str], keep: Keep | None) -> list[Message]:
    key = "note.merged_one" if len(shards) == 1 else "note.merged"
    notes = [message(key, count=len(shards), names=_names(shards))]
    if clashes:
        notes.append(message(f"note.kept_{keep}", names=listed(clashes)))
    if torn := [shard for shard in shards if shard.has_torn_line]:
        notes.append(message("note.torn_shards", names=_names(torn)))
    if without := [shard for shard in shards if shard.environment is None]:
        notes.append(message("note.no_environment", names=_names(without)))
    return notes


def _write(
    into: Path, found: Comparison, shards: Iterable[Shard], origins: Iterable[tuple[Record, Shard]]
) -> Selection:
    """Choose, and write every file, the records last: a folder without them can be merged into once more."""
    answers: Answers = {}
    for record, shard in origins:
        if record.case in shard.answers:
            answers[record.case] = shard.answers[record.case]
    into.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(case.candidate for case in answers):
        write_answers(into / name_of(name), {case: given for case, given in answers.items() if case.candidate == name})
    environment = {
        "merged_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "shards": [
            {"folder": str(shard.folder), "records": len(shard.records), "environment": shard.environment}
            for shard in shards
        ],
    }
    (into / "environment.json").write_bytes(json_page(environment))
    selection = Choosing(DEFAULT_WEIGHTS, any_license=False).choose(found, answers, into)
    findings = files.Findings(found, selection, answers, environment)
    for name, text in files.texts(findings, language_of(os.environ)):
        replace_text(into / name, text)
    (into / RECORDS).write_bytes(b"".join(record.as_line() for record in found.records))
    return selection
