"""The choice as the page tells it: two cards, why, what was left out, and how firm it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...choice.selection import CRITERIA, Option, Selection
from ...quality.grading import Quality
from .. import digits
from ..columns import figures, words
from ..words import Say
from .figure import Table


@dataclass(frozen=True)
class Criterion:
    """One thing that was weighed."""

    name: str
    """What it is called."""
    term: str
    """The glossary's entry for its figure."""
    figure: str
    """Its figure and unit."""
    score: float | None
    """0 (worst) to 1 (best)."""
    weight: str
    """How much it counts."""


@dataclass(frozen=True)
class Card:
    """An option that was chosen."""

    role: str
    """`choice` or `reserve`."""
    name: str
    """The candidate's name."""
    variant: str
    """In which variant."""
    total: str
    """Weighted mean of its scores."""
    facts: tuple[tuple[str, str], ...]
    """What else to know of it: a label and a text each."""
    criteria: tuple[Criterion, ...]
    """What was weighed."""


@dataclass(frozen=True)
class Choice:
    """All that is said of a selection."""

    cards: tuple[Card, ...]
    """The final choice and its reserve."""
    why: tuple[str, ...]
    """How the two differ, a sentence each."""
    shifts: tuple[str, ...]
    """What would change the choice."""
    asides: tuple[tuple[str, tuple[str, ...]], ...]
    """What else there is to know of it: a heading, and under it a sentence each."""
    exclusions: Table
    """What met a hard condition's refusal."""
    ranking: Table
    """Every option, best first."""


def choice_of(selection: Selection, say: Say) -> Choice:
    """Put a selection in words."""
    chosen = (("choice", selection.choice), ("reserve", selection.reserve))
    return Choice(
        cards=tuple(_card(role, option, selection, say) for role, option in chosen if option is not None),
        why=_why(selection, say),
        shifts=_shifts(selection, say),
        asides=_asides(selection, say),
        exclusions=_exclusions(selection, say),
        ranking=_ranking(selection, say),
    )


def name_of(option: Option) -> str:
    """What an option is called."""
    return f"{option.candidate.name} {option.variant}"


def _card(role: str, option: Option, selection: Selection, say: Say) -> Card:
    candidate = option.candidate
    facts = [
        (say("head.parameters"), f"{candidate.parameters / 1e9:.2f} B"),
        (say("head.binding_license"), candidate.binding_license),
    ]
    if option.quality is not None:
        facts.append((say("criterion.quality"), _quality(option.quality, say)))
    criteria = [
        Criterion(
            name=say.name("criterion", name),
            term=_TERMS[name],
            figure=_figure(name, option.figures.get(name), selection.bases, say),
            score=option.scores.get(name),
            weight=f"{selection.weights.get(name, 0.0):g}",
        )
        for name in CRITERIA
    ]
    total = digits.points(option.total)
    return Card(role, candidate.name, option.variant, total, tuple(facts), tuple(criteria))


_TERMS = {
    "quality": "quality",
    "leaderboard": "leaderboard",
    "fine_tuning_seconds": "seconds",
    "fine_tuning_memory": "peak_device",
    "inference_seconds": "steady",
    "inference_memory": "peak_device",
}

_UNITS: Mapping[str, Callable[[float], str]] = {
    "quality": digits.points,
    "leaderboard": lambda percent: f"{percent:.2f} %",
    "fine_tuning_seconds": lambda time: f"{digits.seconds(time)} s",
    "fine_tuning_memory": lambda size: f"{digits.mib(size)} MiB",
    "inference_seconds": lambda time: f"{digits.seconds(time)} s",
    "inference_memory": lambda size: f"{digits.mib(size)} MiB",
}


def _figure(name: str, figure: float | None, bases: Mapping[str, str], say: Say) -> str:
    if figure is None:
        return digits.NONE
    basis = bases.get(name, "")
    notes = [say(f"choice.{note}") for note in ("planned", "allocated_after") if note in basis]
    return f"{_UNITS[name](figure)} ({', '.join(notes)})" if notes else _UNITS[name](figure)


def _quality(quality: Quality, say: Say) -> str:
    interval = "" if quality.interval is None else f" ({digits.interval(quality.interval)})"
    whose = say("choice.of_tuned" if quality.is_tuned else "choice.of_untuned")
    source = say.name("source", quality.source)
    return f"{digits.points(quality.score)}{interval} · {say.name('grade', quality.grade)} · {whose} · {source}"


def _why(selection: Selection, say: Say) -> tuple[str, ...]:
    """In which criteria the choice is ahead of its reserve, and in which behind."""
    choice, reserve = selection.choice, selection.reserve
    if choice is None or reserve is None:
        return ()
    ahead: list[str] = []
    behind: list[str] = []
    for name in CRITERIA:
        ours, theirs = choice.scores.get(name), reserve.scores.get(name)
        if ours is not None and theirs is not None and selection.weights.get(name):
            said = say(
                "choice.against", criterion=say.name("criterion", name), ours=f"{ours:.2f}", theirs=f"{theirs:.2f}"
            )
            (ahead if ours > theirs else behind if ours < theirs else []).append(said)
    sentences = [
        say(key, criteria=", ".join(names))
        for key, names in (("choice.ahead", ahead), ("choice.behind", behind))
        if names
    ]
    return tuple(sentences)


def _shifts(selection: Selection, say: Say) -> tuple[str, ...]:
    return tuple(
        say(
            "choice.shift_down" if shift.side == "below" else "choice.shift_up",
            criterion=say.name("criterion", shift.criterion),
            weight=f"{shift.weight:g}",
            turns_at=f"{shift.turns_at:.2f}",
            becomes=name_of(shift.becomes),
        )
        for shift in selection.shifts
    )


def _asides(selection: Selection, say: Say) -> tuple[tuple[str, tuple[str, ...]], ...]:
    told = (
        ("choice.unknown", selection.unknown),
        ("choice.cautions", selection.cautions),
        ("choice.agreement", selection.agreement),
    )
    return tuple(
        (say(heading), tuple(each.text(say.language) for each in messages)) for heading, messages in told if messages
    )


def _exclusions(selection: Selection, say: Say) -> Table:
    excluded = selection.excluded
    columns = (
        words(say("head.candidate"), (each.candidate for each in excluded)),
        words(say("head.variant"), (each.variant or say("choice.every_variant") for each in excluded)),
        words(say("head.reason"), (each.reason.text(say.language) for each in excluded)),
    )
    return Table(say("choice.excluded_caption"), columns, is_open=True)


def _ranking(selection: Selection, say: Say) -> Table:
    options = selection.ranking
    scores = (
        figures(say.name("criterion", name), (digits.score(each.scores.get(name)) for each in options), _TERMS[name])
        for name in CRITERIA
    )
    columns = (
        words(say("head.option"), map(name_of, options)),
        figures(say("head.total"), (digits.points(each.total) for each in options), "total"),
        *scores,
    )
    return Table(say("choice.ranking_caption"), columns)
