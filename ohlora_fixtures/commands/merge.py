"""`merge`: one comparison of several sessions' results folders."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..base.installation import DATA
from . import merging
from .printing import add_verbosity, show


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
        help="the candidates file that the sessions ran with (default: the suite's data/candidates.toml)",
    )
    merge.add_argument(
        "--keep", choices=("first", "last"), help="of a case that is in several folders, keep this folder's record"
    )
    merge.add_argument("--anyway", action="store_true", help="merge different protocols or datasets, too")
    add_verbosity(merge)
    merge.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    found, selection = merging.merge(given.folders, given.into, given.candidates, given.keep, anyway=given.anyway)
    show(found, selection, given.into, given.verbosity)
    return 0
