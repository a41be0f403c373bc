"""The choice as the page tells it: two cards, why, what was left out, and how firm it is."""

from ...base.messages import message
from ...choice.contenders import Option
from ...choice.selection import CRITERIA, Selection
from ...quality.grading import Quality
from .. import digits
from ..choice import criterion_in, written
from ..layout import words
from ..tables import Table
from ..words import Say


def facts(option: Option, say: Say) -> list[tuple[str, str]]:
    """What else to know of an option that was chosen: a label and a text each."""
    candidate = option.candidate
    told = [
        (say("head.parameters"), f"{candidate.parameters / 1e9:.2f} B"),
        (say("head.binding_license"), candidate.binding_license),
    ]
    if option.quality is not None:
        told.append((criterion_in("quality", say), _quality(option.quality, say)))
    if option.quality is not None and option.untuned is not None:
        both = {"was": digits.points(option.untuned.score), "now": digits.points(option.quality.score)}
        told.append((say("choice.tuning"), say("choice.before_and_after", **both)))
    return told


def figure(option: Option, criterion: str, basis: str, say: Say) -> str:
    """A criterion's figure with its unit, and what it was read from where that is not what was measured."""
    known = option.figures.get(criterion)
    if known is None:
        return digits.NONE
    notes = [say(f"choice.{note}") for note in ("planned", "allocated_after") if note in basis]
    said = f"{known:.2f} %" if criterion == "leaderboard" else written(criterion, known)
    return f"{said} ({', '.join(notes)})" if notes else said


def _quality(quality: Quality, say: Say) -> str:
    interval = "" if quality.interval is None else f" ({digits.interval(quality.interval)})"
    whose = say("choice.of_tuned" if quality.is_tuned else "choice.of_untuned")
    judged = message(f"judged_by.{quality.source}", grade=say.name("grade", quality.grade)).text(say.language)
    return f"{digits.points(quality.score)}{interval} · {judged} · {whose}"


def why(selection: Selection, say: Say) -> list[str]:
    """In which criteria the choice is ahead of its reserve, and in which behind, a sentence each."""
    choice, reserve = selection.choice, selection.reserve
    if choice is None or reserve is None:
        return []
    said: dict[str, list[str]] = {"choice.ahead": [], "choice.behind": []}
    for name in CRITERIA:
        ours, theirs = choice.scores.get(name), reserve.scores.get(name)
        if ours is None or theirs is None or not selection.weights.get(name):
            continue
        both = {"ours": digits.score(ours), "theirs": digits.score(theirs)}
        if both["ours"] != both["theirs"]:  # what reads alike is a tie
            key = "choice.ahead" if ours > theirs else "choice.behind"
            said[key].append(say("choice.against", criterion=criterion_in(name, say), **both))
    return [say(key, criteria=", ".join(names)) for key, names in said.items() if names]


def exclusions(selection: Selection, say: Say) -> Table:
    """What met a hard condition's refusal."""
    excluded = selection.excluded
    columns = (
        words(say("head.candidate"), (each.candidate for each in excluded)),
        words(say("head.variant"), (each.variant or say("choice.every_variant") for each in excluded)),
        words(say("head.reason"), (each.reason.text(say.language) for each in excluded)),
    )
    return Table(say("choice.excluded_caption"), columns, is_open=True)
