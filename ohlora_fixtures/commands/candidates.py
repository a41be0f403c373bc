"""`candidates`: a candidates file made of a leaderboard's export or of models, with what it rests on in comments."""

import argparse
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import InputError
from ..base.files import exists, is_folder
from ..base.installation import DATA
from ..inputs.candidates import DEFAULT_GROUP, read_candidates
from ..inputs.settings import option_named
from ..inputs.terms import Family
from ..report.layout import Column, for_terminal
from . import named_models
from .candidates_file import write_candidates
from .criteria import KOREAN_NOT_KNOWN, Criteria, Screening
from .leaderboard import read_leaderboard
from .printing import say
from .shortlist import WRONG_SIZE, Shortlist, shortlist

_NOTHING_TO_WRITE = 1
"""The exit status where a command came to nothing."""
_MOST_LISTED = 30
"""Models named in one list where the candidates file holds the whole."""
_MOST_OF_WRONG_SIZE = 3
"""Likewise, of those that say least."""


def add_to(commands: Any) -> None:
    """Declare it."""
    candidates = commands.add_parser(
        "candidates",
        help="make a candidates file of a leaderboard's export, or of models",
        description=f"Make a candidates file of a leaderboard's export: models of {Criteria()}. What cannot be known "
        "from the export is said, and drops a model; docs/candidates.md tells how each criterion is judged. Or of the "
        "models that --model names, all of which are kept.",
    )
    add = candidates.add_argument
    add("leaderboard", nargs="?", type=Path, metavar="LEADERBOARD", help="the export: .csv, .json, .jsonl or .parquet")
    add("--model", action="append", metavar=(model := option_named("model")).metavar, help=model.help)
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
    add("--assume-korean", action="store_true", help="keep models that are not known to support Korean")
    add("--any-license", action="store_true", help="keep models whose licence is not free, too")
    candidates.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    into, criteria = given.into, Criteria(given.assume_korean, given.any_license)
    if exists(into) and not given.overwrite:
        raise InputError(f"{into} exists: give --into another path, or replace it with --overwrite")
    configs = given.configs or into.parent / "configs"
    if bool(given.model) == bool(given.leaderboard):
        raise InputError("candidates needs a leaderboard's export, or --model with a model, and not both")
    if given.model:
        return named_models.write(given.model, into)
    if given.configs and not is_folder(configs) and not given.download_configs:
        raise InputError(f"there is no folder {configs}: give --configs the folder with the config.json files")
    found = shortlist(
        read_leaderboard(given.leaderboard),
        read_candidates(DATA / "candidates.toml"),
        configs,
        criteria,
        download=given.download_configs,
    )
    count = sum(each.candidate is not None for each in found.kept)
    if count:
        write_shortlist(found, into, given.leaderboard.name, criteria)
    say(_text(found, criteria, len(found.models) if count == 0 else _MOST_LISTED, shutil.get_terminal_size().columns))
    if count == 0:
        say("\nno candidates file: no model is kept with its architecture", to_stderr=True)
        return _NOTHING_TO_WRITE
    say(f"\nin {into}: {count} of the kept; run them with pytest benches --candidates {into}")
    return 0


def _text(found: Shortlist, criteria: Criteria, most: int, width: int) -> str:
    """The shortlist for a terminal of `width` characters; lists of more than `most` models are cut short."""
    kept = found.kept
    incomplete, *dropped = (_listed(title, models, most) for title, models in found.left_out.items())
    blocks = [
        _filled([f"{found.board.rows} rows of {len(found.models)} models; criteria: {criteria}"], width),
        f"kept: {len(kept)}, best average first" if kept else "kept: none",
        for_terminal(_columns(kept), width) if kept else "",
        _filled(_footnotes(kept), width),
        _filled(incomplete, width),
        _filled(_counts(found), width),
        *(_filled(models, width) for models in dropped),
        _filled(_advice(kept, found.dropped), width),
    ]
    return "\n\n".join(filter(None, blocks))


def _filled(lines: Iterable[str], width: int) -> str:
    return "\n".join(
        textwrap.fill(safe_text.line(each), width, subsequent_indent="    ", break_on_hyphens=False) for each in lines
    )


def _columns(kept: Sequence[Screening]) -> list[Column]:
    averages = [each.listed.average for each in kept]
    return [
        Column("model", [each.listed.repo for each in kept]),
        Column("average", ["-" if each is None else f"{each:.2f}" for each in averages], is_text=False),
        Column("size", list(map(_size, kept)), is_text=False),
        Column("licence", [f"{each.terms.license}{_mark(each)}" for each in kept]),
        Column("Korean", [f"{each.korean.level} ({each.korean.basis})" for each in kept]),
    ]


def _mark(model: Screening) -> str:
    return "*!" if model.terms.suspect else "*" if model.terms.is_card_alone else ""


def _size(model: Screening) -> str:
    parameters = model.parameters
    if parameters is None:
        return f"~{model.listed.billions:.2f} B"
    return f"{parameters / 1e9:.2f} B{'?' if model.candidate and model.candidate.unverified else ''}"


def _footnotes(kept: Sequence[Screening]) -> Iterable[str]:
    if any(model.terms.is_card_alone for model in kept):
        yield "*: from the model's card alone; its base model is not known, and that licence could bind instead"
    if any(model.parameters is None for model in kept):
        yield "~: as the leaderboard has it, which can be off; a config.json has the exact one"
    for model in kept:
        if (suspect := model.terms.suspect) is not None:
            yield f"!: {model.listed.repo} {_hint(suspect)}"
        if model.candidate and model.candidate.unverified:
            yield f"?: {model.candidate.name} is unverified: {model.candidate.unverified}"


def _listed(title: str, models: Sequence[Screening], most: int) -> Iterable[str]:
    if not models:
        return
    most = min(most, _MOST_OF_WRONG_SIZE) if title == WRONG_SIZE else most
    yield f"{title}: {len(models)}"
    yield from (f"  {model.in_words}" for model in models[:most])
    if len(models) > most:
        yield f"  and {len(models) - most} more; the candidates file ends with all of them"


def _counts(found: Shortlist) -> Iterable[str]:
    kinds = Counter(model.reasons[0].kind for model in found.dropped)
    yield f"dropped: {len(found.dropped)}"
    yield from (f"  {count} {kind}" for kind, count in kinds.most_common())
    if found.board.unnamed:
        some = ", ".join(map(repr, found.board.unnamed[:3]))
        yield f"rows that name no repository of the Hub: {len(found.board.unnamed)}, such as {some}"


def _advice(kept: Iterable[Screening], dropped: Iterable[Screening]) -> Iterable[str]:
    if not all(model.candidate for model in kept):
        yield (
            "a config.json tells exact parameters and LoRA targets: put one as <owner>--<name>.json into a folder and "
            "give it to --configs, or have it downloaded with --download-configs"
        )
    if count := sum(model.reasons == [KOREAN_NOT_KNOWN] for model in dropped):
        yield (
            f"{count} would be kept if known to support Korean: look at the cards, or keep all such models with "
            "--assume-korean"
        )


def write_shortlist(found: Shortlist, path: Path, origin: str, criteria: Criteria) -> None:
    """Write what is kept as a candidates file, the rest as comments; raises InputError if it cannot be written."""
    head = [
        f"Candidates from {origin}, best average first; leaderboard_average is that of this export.",
        f"Criteria: {criteria}.",
        f'The group is "{DEFAULT_GROUP}", the default of --candidate-group.',
    ]
    left_out = ((title, models) for title, models in found.left_out.items() if models)
    foot = [[f"{title.capitalize()}:", *(f"- {each.in_words}" for each in models), ""] for title, models in left_out]
    kept = ((each.candidate, _basis(each)) for each in found.kept if each.candidate)
    entries = [
        (replace(each, leaderboard=None if each.leaderboard_average is None else origin), basis) for each, basis in kept
    ]
    write_candidates(path, head, entries, [*chain(*foot)][:-1])


def _hint(suspect: Family) -> str:
    return (
        f"has as many parameters, to the last one, as a model of {suspect.name}, whose licence ({suspect.license}) "
        "would bind: see what it was made from"
    )


def _basis(screening: Screening) -> Sequence[str]:
    """What a candidate's facts rest on."""
    if screening.known:
        return ["As the suite's own candidates file has it, but for group and leaderboard."]
    alone = (
        "; its base model is not known, and that licence could bind instead" if screening.terms.is_card_alone else ""
    )
    suspect = screening.terms.suspect
    return [
        f"Licence: {screening.terms.basis}{alone}.",
        *([f"Warning: it {_hint(suspect)}."] if suspect else []),
        f"Korean: {screening.korean.basis}.",
        "Not from the model: target_modules go by the architecture.",
    ]
