"""The options of a choice as points: quality and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....base.words import Say
from ....choice.selection import Option, Selection
from ....quality.grading import Quality
from ....results.comparison import FINE_TUNING, Comparison
from ....results.record import Record
from ... import digits
from ..cases import full_size
from ..figure import Column, Table

CHOSEN = ("choice", "reserve")
KINDS = (*CHOSEN, "front", "option", "excluded")
"""What a point can be, what matters most first."""


@dataclass(frozen=True)
class Point:
    """An option, or what would be one had it not been excluded."""

    number: int
    """The candidate's, by which the legend names it."""
    place: int
    """Of its rank, which gives its shape."""
    name: str
    """Candidate and rank."""
    quality: float
    """0 to 100."""
    interval: tuple[float, float] | None
    """Its 95 % interval."""
    costs: Mapping[str, float | None]
    """`memory` in MiB and `time` in seconds."""
    kind: str
    """One of `KINDS`."""
    is_on_front: bool
    """Whether it is a member of the Pareto front."""


def points_of(found: Comparison, selection: Selection | None) -> list[Point]:
    """Every option of a selection that has a quality; of what is no option, what was measured and computed."""
    options = {(option.candidate.name, option.lora_rank): option for option in selection.ranking} if selection else {}
    points = []
    for number, row in enumerate(found.rows, 1):
        for place, rank in enumerate(found.lora_ranks):
            named = (number, place, f"{row.candidate.name} r{rank}")
            option = options.get((row.candidate.name, rank))
            record = full_size(row, (FINE_TUNING, rank))
            if selection is not None and option is not None:
                points += [_of_option(named, option, option.quality, selection)] if option.quality else []
            elif record is not None and record.quality_score is not None:
                kind = "option" if selection is None else "excluded"
                points.append(_of_record(named, record, record.quality_score, kind))
    return points


_Named = tuple[int, int, str]
"""A point's `number`, `place` and `name`."""


def _of_option(named: _Named, option: Option, quality: Quality, selection: Selection) -> Point:
    costs = {"memory": option.figures.get("fine_tuning_memory"), "time": option.figures.get("fine_tuning_seconds")}
    is_on_front = option in selection.front
    kinds = {"choice": option == selection.choice, "reserve": option == selection.reserve, "front": is_on_front}
    kind = next((kind for kind, applies in kinds.items() if applies), "option")
    return Point(*named, quality.score, quality.interval, costs, kind, is_on_front)


def _of_record(named: _Named, record: Record, score: float, kind: str) -> Point:
    costs = {"memory": record.peak_device_mib, "time": record.seconds}
    ends = record.quality_interval or ()
    interval = (min(ends), max(ends)) if ends else None
    return Point(*named, score, interval, costs, kind, is_on_front=False)


def table(points: list[Point], say: Say) -> Table:
    """Their numbers."""
    columns = (
        Column(say("head.number"), is_text=True),
        Column(say("head.option"), is_text=True),
        Column(say("head.quality"), "quality"),
        Column(say("head.interval_low"), "quality"),
        Column(say("head.interval_high"), "quality"),
        Column(say("criterion.fine_tuning_memory"), "peak_device"),
        Column(say("criterion.fine_tuning_seconds"), "seconds"),
        Column(say("head.standing"), is_text=True),
    )
    cells = [
        (
            f"{point.number}",
            point.name,
            *map(digits.points, (point.quality, *(point.interval or (None, None)))),
            digits.mib(point.costs["memory"]),
            digits.seconds(point.costs["time"]),
            ", ".join(say(f"quality.{kind}") for kind in _standing(point)),
        )
        for point in points
    ]
    return Table(say("quality.caption"), columns, cells)


def _standing(point: Point) -> list[str]:
    return [point.kind, "front"] if point.is_on_front and point.kind in CHOSEN else [point.kind]
