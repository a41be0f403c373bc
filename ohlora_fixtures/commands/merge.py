"""`merge`: one results folder of several sessions', a comparison of what ran on several machines."""

import argparse
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import exists, replace_bytes, replace_text, shown
from ..base.installation import DATA, REFERENCE
from ..base.messages import Message, language_of, message
from ..base.safe_text import json_page
from ..choice.selection import DEFAULT_WEIGHTS, Choosing, Selection
from ..inputs.candidates import Candidate, read_candidates
from ..inputs.cases import Case
from ..report import files
from ..report.notes import listed
from ..results.answers import Answers, name_of, write_answers
from ..results.comparison import Comparison, compare, read_published
from ..results.environment import published, published_command
from ..results.folder import ENVIRONMENT, RECORDS, SESSION, StoredResults, read_records
from ..results.record import Record
from ..session.resume import entry_of
from .printing import add_verbosity, show
from .report import check_candidate

_Origin = tuple[Record, StoredResults]
"""A record and the results folder that it is from."""

_MUST_AGREE = (("protocol_hash", "protocols"), ("dataset_sha256", "datasets"))
"""What makes another experiment."""


def add_to(commands: Any) -> None:
    """Declare it."""
    merge = commands.add_parser(
        "merge",
        help="make one comparison of several sessions' results folders",
        description="Make one comparison of several sessions' results folders.",
    )
    merge.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a session's results folder")
    merge.add_argument("--into", required=True, type=Path, metavar="DIR", help="the folder to make")
    merge.add_argument(
        "--candidates",
        type=Path,
        metavar="PATH",
        default=DATA / "candidates.toml",
        help="a candidates file (default: the suite's data/candidates.toml); of others, what the sessions have kept",
    )
    merge.add_argument(
        "--keep", choices=("first", "last"), help="of a case that is in several folders, keep this folder's record"
    )
    merge.add_argument("--anyway", action="store_true", help="merge different protocols or datasets, too")
    add_verbosity(merge)
    merge.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    into = given.into
    if exists(into / RECORDS):
        raise InputError(f"results folder {into} already holds records: give --into another one")
    shards = [read_records(folder) for folder in given.folders]
    origins, clashes = _one_of_each_case(shards, given.keep)
    if not origins:
        raise InputError(f"there is no complete record in {_names(shards)}: nothing can be merged")
    of_file = {each.name: each for each in read_candidates(given.candidates)}
    kept = _kept_candidates(shards, of_file)
    candidates = of_file | kept
    _check_agreement(origins, anyway=given.anyway)
    order = {name: place for place, name in enumerate(candidates)}
    answers = _answers(origins, shards, order)
    # sorting leaves each candidate's cases in their order
    records = sorted((record for record, _ in origins), key=lambda record: order[record.case.candidate])
    notes = tuple(_notes(shards, clashes, given.keep))
    found = compare(candidates.values(), (), records, read_published(REFERENCE), notes)
    entries = {row.candidate.name: entry_of(row.candidate, was_kept=row.candidate.name in kept) for row in found.rows}
    try:
        selection = _write(into, found, answers, shards, entries)
    except OSError as error:
        raise InputError(
            f"results folder {into} cannot be written ({error.strerror}): give --into another one"
        ) from None
    show(found, selection, into, given.verbosity)
    return 0


def _one_of_each_case(shards: Iterable[StoredResults], keep: str | None) -> tuple[list[_Origin], list[str]]:
    """A record a case with its folder, and the cases that are in several.

    Raises InputError for such a case if nothing says which record to keep.
    """
    found: dict[Case, _Origin] = {}
    clashes: dict[str, None] = {}
    for shard in shards:
        for record in shard.records:
            _, earlier = found.setdefault(record.case, (record, shard))
            if earlier is shard:
                continue
            clashes[record.case.id] = None
            if keep is None:
                raise InputError(
                    f"case {record.case.id!r} is in {earlier.folder} and {shard.folder}: leave one folder out, or "
                    "say with --keep first or --keep last which folder counts"
                )
            if keep == "last":
                found[record.case] = record, shard
    return list(found.values()), list(clashes)


def _kept_candidates(shards: Iterable[StoredResults], known: Collection[str]) -> dict[str, Candidate]:
    """By name, the candidates that the candidates file does not have, as their sessions have kept them.

    Raises InputError for one that its session has not kept either.
    """
    found: dict[str, Candidate] = {}
    for shard in shards:
        missing = {record.case.candidate: record for record in shard.records if record.case.candidate not in known}
        kept = {each.name: each for each in shard.candidates or ()} if missing else {}
        for name, record in missing.items():
            check_candidate(record, kept, shard.folder)
            found.setdefault(name, kept[name])
    return found


def _check_agreement(origins: Sequence[_Origin], *, anyway: bool) -> None:
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
    by_scale: dict[str, Path] = {}
    for record, shard in origins:
        variant, settings = record.case.variant, record.experiment.variant
        if variant is not None and variants.setdefault(variant, settings) != settings:
            raise InputError(
                f"variant {variant!r} has other settings in {shard.folder} than in an earlier folder: rename it"
            )
        if record.environment.scale is not None and not record.case.is_planned:
            by_scale.setdefault(record.environment.scale, shard.folder)
    if len(by_scale) > 1:
        one, other, *_ = by_scale.values()
        raise InputError(
            f"{one} and {other} were measured at different scales, which do not compare: merge them separately"
        )


def _answers(origins: Iterable[_Origin], shards: Iterable[StoredResults], known: Collection[str]) -> Answers:
    """Each case's answers from the folder that its record is from."""
    by_folder = {shard.folder: shard.answers(known) for shard in shards}
    found = {record.case: by_folder[shard.folder].get(record.case) for record, shard in origins}
    return {case: given for case, given in found.items() if given}


def _names(shards: Iterable[StoredResults]) -> Message | str:
    return listed([shown(shard.folder) for shard in shards])


def _notes(shards: Sequence[StoredResults], clashes: Sequence[str], keep: str | None) -> list[Message]:
    key = "note.merged_one" if len(shards) == 1 else "note.merged"
    notes = [message(key, count=len(shards), names=_names(shards))]
    if clashes:
        notes.append(message(f"note.kept_{keep}", names=listed(clashes)))
    if torn := [shard for shard in shards if shard.torn_line is not None]:
        notes.append(message("note.torn_shards", names=_names(torn)))
    if without := [shard for shard in shards if shard.environment is None]:
        notes.append(message("note.no_environment", names=_names(without)))
    return notes


def _write(
    into: Path, found: Comparison, answers: Answers, shards: Iterable[StoredResults], entries: Mapping[str, Any]
) -> Selection:
    """Choose, and write every file, the records last: a folder without them can be merged into once more."""
    into.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(case.candidate for case in answers):
        write_answers(into / name_of(name), {case: given for case, given in answers.items() if case.candidate == name})
    environment = {
        "merged_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        **published_command(),
        "shards": [
            {"folder": published(str(shard.folder)), "records": len(shard.records), "environment": shard.environment}
            for shard in shards
        ],
    }
    replace_bytes(into / ENVIRONMENT, json_page(environment))
    replace_bytes(into / SESSION, json_page({"candidates": entries}))
    selection = Choosing(DEFAULT_WEIGHTS, any_license=False).choose(found, answers, into)
    for name, text in files.texts(files.Findings(found, selection, answers, environment), language_of(os.environ)):
        replace_text(into / name, text)
    replace_bytes(into / RECORDS, b"".join(record.as_line() for record in found.records))
    return selection
