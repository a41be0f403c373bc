"""The final choice in words: for a terminal, as Markdown, as JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..base import safe_text
from ..choice.contenders import Exclusion, Option
from ..choice.selection import CRITERIA, Selection
from ..choice.sensitivity import Shift
from ..quality.grading import Quality
from . import digits
from .layout import Column, Terminal, as_markdown, figures, words
from .notes import listed

SOURCES = {"person": "a person", "judge": "the judge", "computed": "the computed score"}
_FORMS: Mapping[str, Callable[[float], str]] = {
    "quality": digits.points,
    "leaderboard": digits.points,
    "seconds": lambda time: f"{digits.seconds(time)} s",
    "memory": lambda size: f"{digits.mib(size)} MiB",
}
"""By the end of a criterion's name, how its figure is written."""
_MOST_EXCLUDED = 3
"""Candidates named with one reason where there is little room."""

_MOST_RANKED = 100
"""Options in `selection.json`; `comparison.md` has them all."""


def terminal(selection: Selection, terminal: Terminal) -> str:
    """The choice for a terminal, itself last: for `-v` with all its reasons, for `-q` without any."""
    said = _cautions(selection) if terminal.verbosity == 0 else _reasons(selection) if terminal.verbosity > 0 else ()
    choice, *reserve = conclusion(selection)
    told = [*map(terminal.noted, said), terminal.filled(choice, "bold"), *map(terminal.filled, reserve)]
    return "\n".join(told)


def markdown(selection: Selection) -> str:
    """The choice as a section of a Markdown page."""
    parts = ["## The choice", "\n\n".join(f"**{safe_text.markdown(each)}**" for each in conclusion(selection))]
    if selection.ranking:
        parts += [as_markdown(_columns(selection)), _WEIGHED]
    parts.append("\n".join(f"- {safe_text.markdown(each)}" for each in _reasons(selection)))
    return "\n\n".join(filter(None, parts)) + "\n"


def as_facts(selection: Selection) -> dict[str, Any]:
    """The choice as `selection.json` holds it."""
    return {
        "choice": _facts(selection.choice),
        "reserve": _facts(selection.reserve),
        "any_license": selection.any_license,
        "weights": dict(selection.weights),
        "bases": dict(selection.bases),
        "ranked": len(selection.ranking),
        "ranking": [_facts(option) for option in selection.ranking[:_MOST_RANKED]],
        "pareto_front": [_place(option) for option in selection.front],
        "shifts": [
            {name: value for name, value in vars(each).items() if name != "becomes"} | _place(each.becomes)
            for each in selection.shifts
        ],
        "excluded": [{**vars(each), "reason": str(each.reason)} for each in selection.excluded],
        "unknown": list(map(str, selection.unknown)),
        "cautions": list(map(str, selection.cautions)),
        "judging": list(map(str, selection.agreement)),
    }


def conclusion(selection: Selection) -> Iterator[str]:
    """The choice and the reserve, a sentence each."""
    choice, reserve = selection.choice, selection.reserve
    if choice is None:
        why = "no candidate meets the conditions" if selection.excluded else "nothing was measured or planned"
        yield f"No choice: {'no criterion with a weight is known for any option' if selection.ranking else why}"
        return
    what = "Provisional choice, answers not judged" if selection.is_provisional else "Final choice"
    yield f"{what}: {choice.name} ({_quality(choice.quality)}total {choice.total:.1f} of 100)"
    if reserve is None:
        yield "Reserve: none, no other candidate meets the conditions"
    else:
        yield f"Reserve: {reserve.name} ({_quality(reserve.quality)}total {reserve.total:.1f})"


_WEIGHED = (
    "In brackets the score, 0 to 1, that the figure comes to, or the others' mean where it is not known; * marks the "
    "Pareto front of quality, memory and time."
)


def _reasons(selection: Selection) -> Iterator[str]:
    yield from _by_reason(selection.excluded, most=len(selection.excluded))
    if selection.choice is not None:
        yield f"weights: {', '.join(f'{name}={weight:g}' for name, weight in selection.weights.items())}"
        if selection.front:
            yield f"Pareto front of quality, memory and time: {', '.join(each.name for each in selection.front)}"
        yield from _turns(selection.shifts)
        if selection.reserve is not None and {each.criterion for each in selection.shifts} != {*CRITERIA}:
            yield f"no {'other' if selection.shifts else 'single'} weight, moved alone, changes the choice"
    yield from map(str, (*selection.unknown, *selection.cautions, *selection.agreement))


def _cautions(selection: Selection) -> Iterator[str]:
    """What must be known with the choice: who was no option at all, what is not known, what speaks against one."""
    yield from _by_reason((each for each in selection.excluded if each.variant is None), most=_MOST_EXCLUDED)
    yield from map(str, (*selection.unknown, *selection.cautions, *selection.agreement))


def _by_reason(exclusions: Iterable[Exclusion], most: int) -> Iterator[str]:
    """Each reason with the candidates that were excluded for it, so many of them by name, and in which variants."""
    found: dict[str, dict[str, list[str]]] = {}
    for each in exclusions:
        variants = found.setdefault(str(each.reason), {}).setdefault(each.candidate, [])
        variants += [] if each.variant is None else [each.variant]
    for reason, candidates in found.items():
        names = [f"{name} {'/'.join(variants)}".rstrip() for name, variants in candidates.items()]
        yield f"excluded: {listed(names, most)}: {reason}"


def _turns(shifts: Iterable[Shift]) -> Iterator[str]:
    """What would be chosen instead, with every weight that could bring it about."""
    weights: dict[str, list[str]] = {}
    for each in shifts:
        weights.setdefault(each.becomes.name, []).append(f"{each.criterion} {each.side} {each.turns_at:.3g}")
    for option, those in weights.items():
        yield f"{option} would be chosen with a weight of {', or of '.join(those)}"


def written(criterion: str, figure: float) -> str:
    """A criterion's figure and unit."""
    return _FORMS[criterion.rpartition("_")[2]](figure)


def _quality(quality: Quality | None) -> str:
    return f"{quality.grade} by {SOURCES[quality.source]}, " if quality else ""


def _columns(selection: Selection) -> list[Column]:
    front = [id(option) for option in selection.front]
    options = selection.ranking
    heads = {name: f"{name.replace('_', ' ')}\nweight {selection.weights[name]:g}" for name in CRITERIA}
    return [
        words("option", (f"{each.name}{'*' if id(each) in front else ''}" for each in options)),
        figures("total", (digits.points(each.total) for each in options)),
        words("judged by", (SOURCES[each.quality.source] if each.quality else digits.NONE for each in options)),
        *(figures(head, [_figure(each, name) for each in options]) for name, head in heads.items()),
    ]


def _figure(option: Option, criterion: str) -> str:
    figure, score = option.figures[criterion], option.scores[criterion]
    if score is None:
        return digits.NONE
    if figure is None:
        return f"({digits.score(score)})"
    grade = f"{option.quality.grade} " if criterion == "quality" and option.quality else ""
    return f"{grade}{written(criterion, figure)} ({digits.score(score)})"


def _place(option: Option) -> dict[str, Any]:
    return {"candidate": option.candidate.name, "variant": option.variant}


def _facts(option: Option | None) -> Mapping[str, Any] | None:
    if option is None:
        return None
    quality = option.quality and vars(option.quality)
    ranked_by = {"total": option.total, "figures": option.figures, "scores": option.scores, "quality": quality}
    return _place(option) | ranked_by
