"""The command line beside pytest's: `python -m ohlora_fixtures`. The standard library is enough for it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import merging
from .errors import InputError
from .report import table
from .shipped import DATA

_WRONG_INPUT = 2
"""The exit status that argparse, too, gives for what it cannot use."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the result is the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
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
    return parser


def _merge(options: argparse.Namespace) -> int:
    found = merging.merge(options.folders, options.into, options.candidates, options.keep, anyway=options.anyway)
    _say(table.terminal(found, shutil.get_terminal_size().columns))
    _say(f"\nresults: {options.into}")
    return 0


def _say(text: str, *, to_stderr: bool = False) -> None:
    """Print what a stream can hold: one of Windows may know no Hangul."""
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")


if __name__ == "__main__":
    sys.exit(main())
