"""`report`: tables and choice made anew from records; nothing is measured, and no torch is needed."""

import argparse
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import replace_text
from ..base.installation import DATA, REFERENCE
from ..base.messages import message, report_language
from ..choice.selection import Choosing, parse_weights
from ..inputs.candidates import Candidate, read_candidates
from ..inputs.judge_settings import judge_settings
from ..inputs.settings import option_named
from ..quality.grades import asked_grades
from ..report import files
from ..results.comparison import Comparison, compare, read_published
from ..results.folder import StoredResults, read_records
from ..results.record import Record
from .printing import add_verbosity, show


def add_to(commands: Any) -> None:
    """Declare it."""
    report = commands.add_parser(
        "report",
        help="make the tables and the choice of sessions again from their records",
        description="Make the tables and the choice of sessions again from their records; nothing is measured.",
    )
    report.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a session's results folder")
    report.add_argument("--into", type=Path, metavar="DIR", help="write to this folder instead (default: each its own)")
    report.add_argument(
        "--candidates",
        type=Path,
        metavar="PATH",
        help="a candidates file (default: what the session had, or the suite's)",
    )
    report.add_argument("--any-license", action="store_true", help=option_named("any_license").help)
    for name in ("choice_weights", "judge", "judge_model", "judge_tokens", "report_lang"):
        option = option_named(name)
        report.add_argument(option.flag, metavar=option.metavar, help=option.help)
    report.add_argument(
        "--grades",
        type=Path,
        action="append",
        metavar="PATH",
        help="a person's grades (default: what DIR holds); `published`: the study's",
    )
    add_verbosity(report)
    report.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    if given.into and len(given.folders) > 1:
        raise InputError("--into takes the files of one results folder: give one, or leave --into out")
    weights = parse_weights(given.choice_weights) if given.choice_weights else None
    judge = judge_settings(given.judge, given.judge_model, given.judge_tokens)
    language = report_language(given.report_lang, os.environ)
    grades, published = asked_grades(given.grades or ())
    for folder in given.folders:
        stored = read_records(folder)
        candidates = candidates_of(stored, given.candidates)
        names = {candidate.name for candidate in candidates}
        answers = stored.answers(names)
        if grades:
            grades.check(names, {answer.prompt for own in answers.values() for answer in own})
        chosen_by = _object(stored.session.get("choice"))
        any_license = given.any_license or chosen_by.get("any_license") is True
        choosing = Choosing(
            weights or _kept_weights(chosen_by),
            any_license,
            grades,
            judge,
            published or chosen_by.get("published") is True,
        )
        comparison, into = _comparison(stored, candidates), given.into or folder
        for each in choosing.in_turn:
            selection = each.choose(comparison, answers, folder)
            findings = files.Findings(comparison, selection, answers, stored.environment)
            try:
                for name, text in files.texts(findings, language):
                    replace_text(into / name, text)
            except OSError as error:
                raise InputError(
                    f"folder {into} cannot be written ({error.strerror}): give --into another one"
                ) from None
        show(comparison, selection, into, given.verbosity)
    return 0


def candidates_of(stored: StoredResults, path: Path | None) -> tuple[Candidate, ...]:
    """Those of a file, if one is given, or of the folder's session, or the suite's own.

    Raises InputError for what cannot be read, for a folder without records, and for a record of none of them.
    """
    if not stored.records:
        raise InputError(f"results folder {stored.folder} has no complete record: there is nothing to report")
    candidates = None if path else stored.candidates
    if candidates is None:
        candidates = read_candidates(path or DATA / "candidates.toml")
    known = {candidate.name for candidate in candidates}
    for record in stored.records:
        check_candidate(record, known, stored.folder)
    return candidates


def check_candidate(record: Record, known: Collection[str], folder: Path) -> None:
    """Raise InputError for a record of a results folder whose candidate is not known."""
    if record.case.candidate not in known:
        raise InputError(
            f"candidate {record.case.candidate!r} of {folder} is not among the candidates: give --candidates the file "
            "it ran with"
        )


def _comparison(stored: StoredResults, candidates: tuple[Candidate, ...]) -> Comparison:
    """The records set beside each other, and beside the study's unless they are the study's."""
    is_study = stored.folder.resolve() == REFERENCE.resolve()
    notes = (message("note.torn"),) if stored.torn_line is not None else ()
    return compare(candidates, (), stored.records, {} if is_study else read_published(REFERENCE), notes)


def _kept_weights(chosen_by: dict[str, Any]) -> dict[str, float]:
    """The weights that a session chose with, or the default ones."""
    weights = _object(chosen_by.get("weights"))
    return parse_weights(" ".join(f"{name}={weight}" for name, weight in weights.items()))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
