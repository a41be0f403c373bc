"""`candidates`: a candidates file made of a leaderboard's export."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.shipped import DATA
from ..inputs.candidates import read_candidates
from . import shortlist, shortlist_text
from .criteria import CRITERIA
from .leaderboard import read_leaderboard
from .printing import say

_NOTHING_TO_WRITE = 1
"""The exit status where a command came to nothing."""


def add_to(commands: Any) -> None:
    """Declare it."""
    candidates = commands.add_parser(
        "candidates",
        help="make a candidates file of a leaderboard's export",
        description=f"Make a candidates file of a leaderboard's export: models of {CRITERIA}. What cannot be known "
        "from the export is said, and drops a model; docs/candidates.md tells how each criterion is judged.",
    )
    add = candidates.add_argument
    add("leaderboard", type=Path, metavar="LEADERBOARD", help="the export: .csv, .json, .jsonl or .parquet")
    add("--into", type=Path, metavar="PATH", default=Path("candidates.toml"), help="the file to make (%(default)s)")
    add("--overwrite", action="store_true", help="replace the file if it exists")
    add(
        "--configs",
        type=Path,
        metavar="DIR",
        help="folder of config.json files, called <owner>--<name>.json or <name>.json: they tell what an export does "
        "not, exact parameters and architecture (default: configs, beside the file to make)",
    )
    add("--download-configs", action="store_true", help="download those that are missing from the Hub into it")
    add("--assume-korean", action="store_true", help="keep models of which nothing tells whether they support Korean")
    candidates.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    into = given.into
    if into.exists() and not given.overwrite:
        raise InputError(f"{into} exists: give --into another path, or replace it with --overwrite")
    configs = given.configs or into.parent / "configs"
    if given.configs and not configs.is_dir() and not given.download_configs:
        raise InputError(f"there is no folder {configs}: give --configs the folder with the config.json files")
    found = shortlist.shortlist(
        read_leaderboard(given.leaderboard),
        read_candidates(DATA / "candidates.toml"),
        configs,
        download=given.download_configs,
        assume_korean=given.assume_korean,
    )
    if found.written:
        shortlist.write_shortlist(found, into, given.leaderboard.name)
    say(shortlist_text.terminal(found, shutil.get_terminal_size().columns))
    if not found.written:
        say("\nno candidates file: no model is kept with its architecture", to_stderr=True)
        return _NOTHING_TO_WRITE
    say(f"\nin {into}: {len(found.written)} of the kept; run them with pytest benches --candidates {into}")
    return 0
