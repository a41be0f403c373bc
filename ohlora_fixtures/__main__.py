"""The command line beside pytest's: `python -m ohlora_fixtures`. The standard library is enough for it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import merging, options, rebuilding
from .choosing import Choosing
from .comparison import Comparison
from .errors import InputError
from .grades import read_grades
from .judge_settings import judge_settings
from .report import choice_text, table
from .selection import Selection, parse_weights
from .shipped import DATA

_WRONG_INPUT = 2
"""The exit status that argparse, too, gives for what it cannot use."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the result is the exit status."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except InputError as error:
        _say(f"error: {error}", to_stderr=True)
        return _WRONG_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ohlora_fixtures", description="Work on sessions' results folders.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
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
        help="the candidates file that the sessions ran with (default: the suite's data/candidates.toml)",
    )
    merge.add_argument(
        "--keep", choices=("first", "last"), help="of a case that is in several folders, keep this folder's record"
    )
    merge.add_argument("--anyway", action="store_true", help="merge different protocols or datasets, too")
    merge.set_defaults(run=_merge)
    _add_report(commands)
    return parser


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="make sessions' tables and choice anew from their records",
        description="Make sessions' tables and choice anew from their records; nothing is measured.",
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
    for name in ("choice_weights", "judge", "judge_model", "judge_tokens"):
        option = options.by_name(name)
        report.add_argument(option.flag, metavar=option.metavar, help=option.help)
    report.add_argument(
        "--grades", type=Path, action="append", metavar="PATH", help="a person's grades (default: what DIR holds)"
    )
    report.set_defaults(run=_report)


def _merge(given: argparse.Namespace) -> int:
    found, selection = merging.merge(given.folders, given.into, given.candidates, given.keep, anyway=given.anyway)
    _show(found, selection, given.into)
    return 0


def _report(given: argparse.Namespace) -> int:
    if given.into and len(given.folders) > 1:
        raise InputError("--into takes the files of one results folder: give one, or leave --into out")
    weights = parse_weights(given.choice_weights or "")
    judge = judge_settings(given.judge, given.judge_model, given.judge_tokens)
    grades = read_grades(given.grades) if given.grades else None
    for path in given.folders:
        folder = rebuilding.Folder(path, given.candidates)
        if grades:
            grades.check({candidate.name for candidate in folder.candidates}, folder.prompts)
        choosing = Choosing(weights, given.any_license, grades, judge)
        into = given.into or path
        _show(*folder.rebuild(choosing, into), into)
    return 0


def _show(comparison: Comparison, selection: Selection, folder: Path) -> None:
    width = shutil.get_terminal_size().columns
    parts = (table.terminal(comparison, width), choice_text.terminal(selection, width), f"results: {folder}")
    _say("\n\n".join(parts))


def _say(text: str, *, to_stderr: bool = False) -> None:
    """Print what a stream can hold: one of Windows may know no Hangul."""
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")


if __name__ == "__main__":
    sys.exit(main())
