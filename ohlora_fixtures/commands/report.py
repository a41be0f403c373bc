"""`report`: tables and choice made anew from records."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.words import report_language
from ..choice.choosing import Choosing
from ..choice.selection import parse_weights
from ..inputs import options
from ..inputs.judge_settings import judge_settings
from ..quality.grades import read_grades
from . import rebuild
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
    report.add_argument("--any-license", action="store_true", help=options.by_name("any_license").help)
    for name in ("choice_weights", "judge", "judge_model", "judge_tokens", "report_lang"):
        option = options.by_name(name)
        report.add_argument(option.flag, metavar=option.metavar, help=option.help)
    report.add_argument(
        "--grades", type=Path, action="append", metavar="PATH", help="a person's grades (default: what DIR holds)"
    )
    add_verbosity(report)
    report.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    if given.into and len(given.folders) > 1:
        raise InputError("--into takes the files of one results folder: give one, or leave --into out")
    weights = parse_weights(given.choice_weights) if given.choice_weights else None
    judge = judge_settings(given.judge, given.judge_model, given.judge_tokens)
    language = report_language(given.report_lang, os.environ)
    grades = read_grades(given.grades) if given.grades else None
    for path in given.folders:
        folder = rebuild.Folder(path, given.candidates)
        if grades:
            grades.check({candidate.name for candidate in folder.candidates}, folder.prompts)
        any_license = given.any_license or folder.any_license
        choosing = Choosing(weights or folder.weights, any_license, grades, judge)
        into = given.into or path
        show(*folder.rebuild(choosing, into, language), into, given.verbosity)
    return 0
