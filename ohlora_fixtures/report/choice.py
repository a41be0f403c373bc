"""The choice in words: for a terminal, as Markdown, as JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..base import safe_text
from ..base.messages import Language, Message, message
from ..choice.caveats import names_of
from ..choice.contenders import Exclusion, Option
from ..choice.selection import CRITERIA, Selection
from ..choice.sensitivity import Shift
from ..quality.grading import Quality
from . import digits
from .layout import Terminal, as_markdown, figures, words
from .notes import listed
from .tables import Table
from .words import Say

_FORMS: Mapping[str, Callable[[float], str]] = {
    "quality": digits.points,
    "leaderboard": digits.points,
    "seconds": lambda time: f"{digits.seconds(time)} s",
    "memory": lambda size: f"{digits.mib(size)} MiB",
}
"""By the end of a criterion's name, how its figure is written."""
TERMS = {
    "quality": "quality",
    "leaderboard": "leaderboard",
    "fine_tuning_seconds": "seconds",
    "fine_tuning_memory": "peak_device",
    "inference_seconds": "steady",
    "inference_memory": "peak_device",
}
"""By criterion, the page's glossary entry for its figure."""
_MOST_EXCLUDED = 4
"""Candidates named with one reason where there is little room."""
_OVER = ("reason.above_budget", "reason.over_budget", "reason.out_of_memory")

_MOST_RANKED = 100
"""Options in `selection.json`; `comparison.md` has them all."""


def terminal(selection: Selection, terminal: Terminal) -> str:
    """The choice for a terminal, itself last: for `-v` with all its reasons, for `-q` without any."""
    said = () if terminal.verbosity < 0 else _reasons(selection, is_brief=terminal.verbosity == 0)
    choice, *others = map(str, conclusion(selection))
    told = [*map(terminal.noted, map(str, said)), terminal.filled(choice, "bold"), *map(terminal.filled, others)]
    return "\n".join(told)


def markdown(selection: Selection, language: Language = "en") -> str:
    """The choice as a section of a Markdown page."""
    told = (safe_text.markdown(each.text(language)) for each in conclusion(selection))
    heading = message("choice.heading").text(language)
    parts = [f"## {heading}", *(f"**{each}**" for each in told)]
    if selection.ranking:
        table = ranking(selection, Say(language))
        parts += [as_markdown(table.columns), message("choice.in_brackets").text(language)]
    parts.append("\n".join(f"- {safe_text.markdown(each.text(language))}" for each in _reasons(selection)))
    return "\n\n".join(filter(None, parts)) + "\n"


def as_facts(selection: Selection) -> dict[str, Any]:
    """The choice as `selection.json` holds it."""
    return {
        "choice": _facts(selection.choice),
        "reserve": _facts(selection.reserve),
        "obstacle": selection.obstacle and str(selection.obstacle),
        "any_license": selection.any_license,
        "weights": dict(selection.weights),
        "bases": dict(selection.bases),
        "ranked": len(selection.ranking),
        "ranking": [_facts(option) for option in selection.ranking[:_MOST_RANKED]],
        "possible": [_facts(option) for option in selection.possible[:_MOST_RANKED]],
        "pareto_front": [_place(option) for option in selection.front],
        "shifts": [
            {name: value for name, value in vars(each).items() if name != "becomes"} | _place(each.becomes)
            for each in selection.shifts
        ],
        "excluded": [{**vars(each), "reason": str(each.reason)} for each in selection.excluded],
        "doubts": list(map(str, selection.doubts)),
        "unknown": list(map(str, selection.unknown)),
        "cautions": list(map(str, selection.cautions)),
        "judging": list(map(str, selection.agreement)),
        "elsewhere": selection.elsewhere and str(selection.elsewhere),
        "next": list(map(str, selection.steps)),
    }


def conclusion(selection: Selection) -> Iterator[Message]:
    """The choice and the reserve, or why there is none and what to do next, a sentence each."""
    choice, reserve = selection.choice, selection.reserve
    if choice is None:
        yield message("choice.none", obstacle=selection.obstacle)
        yield from selection.steps
        return
    yield message("choice.final", option=choice.name, judged=judged(choice), total=choice.total)
    if reserve is None:
        yield message("choice.no_reserve")
    else:
        yield message("choice.reserve", option=reserve.name, judged=judged(reserve), total=reserve.total)


def judged(option: Option) -> Message | str:
    """An option's grade, who gave it, and the scores before and after fine-tuning where both are known."""
    quality, untuned = option.quality, option.untuned
    if quality is None:
        return digits.NONE
    said = message(f"judged_by.{quality.source}", grade=quality.grade)
    return said if untuned is None else message("judged_by.both", judged=said, was=untuned.score, now=quality.score)


def source_of(quality: Quality) -> Message:
    """Who has judged answers."""
    return message(f"source.{quality.source}")


def remaining(selection: Selection) -> Iterator[Message]:
    """Without a choice: what remains possible, by variant, and what is known of it from elsewhere."""
    if selection.possible and selection.choice is None:
        is_unchecked = any(each.key.startswith("unknown.budget") for each in selection.unknown)
        key = "choice.possible" if is_unchecked else "choice.fits"
        yield message(key, options=names_of(selection.possible))
    if selection.elsewhere is not None:
        yield selection.elsewhere


def _reasons(selection: Selection, *, is_brief: bool = False) -> Iterator[Message]:
    """What is no option and what remains, how firm a choice is, what is not known and what speaks against one.

    In brief, what must be known with the choice.
    """
    yield from selection.doubts
    yield from _excluded(selection, _MOST_EXCLUDED if is_brief else None)
    yield from remaining(selection)
    if selection.choice is not None and not is_brief:
        weights = ", ".join(f"{name}={weight:g}" for name, weight in selection.weights.items())
        yield message("choice.weights", weights=weights)
        if selection.front:
            yield message("choice.front", options=[each.name for each in selection.front])
        yield from _turns(selection.shifts)
        if selection.reserve is not None and {each.criterion for each in selection.shifts} != {*CRITERIA}:
            yield message("choice.no_other_weight" if selection.shifts else "choice.no_weight")
    if selection.choice is not None or not is_brief:
        yield from (*selection.unknown, *selection.cautions)
    yield from selection.agreement


def _excluded(selection: Selection, most: int | None = None) -> Iterator[Message]:
    """Each reason with the candidates that were excluded for it, and in which variants.

    With a `most`, so many of them by name, and without by how much each is over the budget.
    """
    is_brief, most = most is not None, len(selection.excluded) if most is None else most
    licences: dict[str, list[str]] = {}
    found: dict[Message | None, list[Exclusion]] = {}
    for each in selection.excluded:
        if each.reason.key == "reason.licence":
            licences.setdefault(str(each.reason.values["licence"]), []).append(each.candidate)
        else:
            found.setdefault(None if is_brief and _is_over(each.reason) else each.reason, []).append(each)
    if licences:
        told = [f"{listed(names, most)} ({licence})" for licence, names in licences.items()]
        yield message("choice.excluded_licence", options=told)
    for reason, those in found.items():
        names = listed(_names(those), most)
        if reason is None:
            yield message("choice.excluded_over", options=names)
        else:
            yield message("choice.excluded", options=names, reason=reason)


def _is_over(reason: Message) -> bool:
    inner = reason.values.get("reason")
    return reason.key in _OVER or (isinstance(inner, Message) and _is_over(inner))


def _names(exclusions: Iterable[Exclusion]) -> list[str]:
    candidates: dict[str, list[str]] = {}
    for each in exclusions:
        variants = candidates.setdefault(each.candidate, [])
        variants += [] if each.variant is None else [each.variant]
    return [f"{name} {'/'.join(variants)}".rstrip() for name, variants in candidates.items()]


def _turns(shifts: Iterable[Shift]) -> Iterator[Message]:
    """What would be chosen instead, with every weight that could bring it about."""
    weights: dict[str, list[Message]] = {}
    for each in shifts:
        turn = message(f"turn.{each.side}", criterion=each.criterion, weight=f"{each.turns_at:.3g}")
        weights.setdefault(each.becomes.name, []).append(turn)
    return (message("turn.option", option=option, turns=those) for option, those in weights.items())


def written(criterion: str, figure: float) -> str:
    """A criterion's figure and unit."""
    return _FORMS[criterion.rpartition("_")[2]](figure)


def criterion_in(name: str, say: Say) -> str:
    """What a criterion is called."""
    return message(f"criterion.{name}").text(say.language)


def ranking(selection: Selection, say: Say) -> Table:
    """Every option, best first: its figures, and in brackets the scores that they come to."""
    options, front = selection.ranking, [id(option) for option in selection.front]

    def weighed(name: str) -> str:
        weight = f"{selection.weights[name]:g}"
        return message("choice.weighed", criterion=criterion_in(name, say), weight=weight).text(say.language)

    sources = (source_of(each.quality).text(say.language) if each.quality else digits.NONE for each in options)
    columns = (
        words(say("head.option"), (f"{each.name}{'*' if id(each) in front else ''}" for each in options)),
        figures(say("head.total"), (digits.points(each.total) for each in options), "total"),
        words(say("head.source"), sources),
        *(figures(weighed(name), [_figure(each, name) for each in options], TERMS[name]) for name in CRITERIA),
    )
    return Table(say("choice.ranking_caption"), columns)


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
    quality, untuned = (each and vars(each) for each in (option.quality, option.untuned))
    ranked_by = {"total": option.total, "figures": option.figures, "scores": option.scores}
    return _place(option) | ranked_by | {"quality": quality, "untuned": untuned}
