"""A shortlist as text: what of a leaderboard is kept, and what is dropped and why."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from ..base import safe_text
from ..report.columns import Column, for_terminal
from .criteria import CRITERIA, KOREAN_NOT_KNOWN
from .shortlist import Choice, Shortlist, line

_MOST_LISTED = 30
"""Models named in one list where the candidates file holds the whole."""


def terminal(found: Shortlist, width: int) -> str:
    """The shortlist for a terminal of `width` characters; long lists are cut short if the file will have all of it."""
    most = _MOST_LISTED if found.written else len(found.choices)
    kept = found.kept
    blocks = [
        _filled([f"{found.board.rows} rows of {len(found.choices)} models; criteria: {CRITERIA}"], width),
        f"kept: {len(kept)}, best average first" if kept else "kept: none",
        for_terminal(_columns(kept), width) if kept else "",
        _filled(_footnotes(kept), width),
        _filled(_listed("kept, but not in the candidates file", found.incomplete, most), width),
        _filled(_counts(found), width),
        _filled(_listed("dropped, but not for a size that is known", found.near_misses, most), width),
        _filled(_advice(found), width),
    ]
    return "\n\n".join(filter(None, blocks))


def _filled(lines: Iterable[str], width: int) -> str:
    return "\n".join(
        textwrap.fill(safe_text.line(each), width, subsequent_indent="    ", break_on_hyphens=False) for each in lines
    )


def _columns(kept: Sequence[Choice]) -> list[Column]:
    judged = [choice.judged for choice in kept]
    averages = [each.listed.average for each in judged]
    return [
        Column("model", [each.listed.repo for each in judged]),
        Column("average", ["-" if each is None else f"{each:.2f}" for each in averages], is_text=False),
        Column("size", [_size(choice) for choice in kept], is_text=False),
        Column("licence", [f"{each.terms.license}{'*' if each.terms.is_card_alone else ''}" for each in judged]),
        Column("Korean", [f"{each.korean.level} ({each.korean.basis})" for each in judged]),
    ]


def _size(choice: Choice) -> str:
    parameters = choice.judged.parameters
    if parameters is None:
        return f"~{choice.judged.listed.billions:.2f} B"
    return f"{parameters / 1e9:.2f} B{'?' if choice.candidate and choice.candidate.unverified else ''}"


def _footnotes(kept: Sequence[Choice]) -> Iterable[str]:
    if any(choice.judged.terms.is_card_alone for choice in kept):
        yield "*: from the model's card alone; what it was made from is not known, and its licence could bind instead"
    if any(choice.judged.parameters is None for choice in kept):
        yield "~: as the leaderboard has it, which can be off; its config.json would tell"
    for choice in kept:
        if choice.candidate and choice.candidate.unverified:
            yield f"?: {choice.candidate.name} is unverified: {choice.candidate.unverified}"


def _listed(title: str, choices: Sequence[Choice], most: int) -> Iterable[str]:
    if not choices:
        return
    yield f"{title}: {len(choices)}"
    yield from (f"  {line(choice)}" for choice in choices[:most])
    if len(choices) > most:
        yield f"  and {len(choices) - most} more; the candidates file ends with all of them"


def _counts(found: Shortlist) -> Iterable[str]:
    kinds = Counter(choice.judged.reasons[0].kind for choice in found.dropped)
    yield f"dropped: {len(found.dropped)}"
    yield from (f"  {count} {kind}" for kind, count in kinds.most_common())
    if found.board.unnamed:
        some = ", ".join(map(repr, found.board.unnamed[:3]))
        yield f"rows that name no repository of the Hub: {len(found.board.unnamed)}, such as {some}"


def _advice(found: Shortlist) -> Iterable[str]:
    if found.incomplete:
        yield (
            "a config.json tells exact parameters and LoRA targets: put one as <owner>--<name>.json into a folder and "
            "give it to --configs, or have it downloaded with --download-configs"
        )
    count = sum(choice.judged.reasons == (KOREAN_NOT_KNOWN,) for choice in found.near_misses)
    if count:
        yield (
            f"{count} would be kept if for Korean, of which nothing here tells: look at their cards, or keep them all "
            "with --assume-korean"
        )
