"""Quality against memory and against time, with the Pareto front, for every option that has a quality."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from ...choice.contenders import Option
from ...choice.selection import Selection
from ...results.comparison import Comparison
from .. import digits
from ..layout import figures, words
from ..tables import Shown, Table, trained
from ..words import Say
from . import svg
from .contents import Figure, Mark, Panel

_CHOSEN = ("choice", "reserve")
_KINDS = (*_CHOSEN, "front", "option", "excluded")
"""What a point can be, what matters most first."""

_COSTS = {"memory": "fine_tuning_memory", "time": "fine_tuning_seconds"}
"""By panel, the criterion that quality stands against."""

_HEIGHT = 380.0
_LEFT, _TOP, _BOTTOM = 34.0, 24.0, _HEIGHT - 36.0
"""Where the plot begins and ends."""
_ENOUGH = 17.0
"""Between a label and what is next to it."""
_LONGEST_LABELS = (170.0, 120.0, 70.0)
"""Of a candidate's name: from half of a drawing on."""
_MOST_LABELS = 12
"""With more candidates, labels would hide the points: the choice and the reserve alone have one."""


@dataclass(frozen=True)
class Point:
    """An option, or what would be one had it not been excluded."""

    case: Shown
    quality: float
    """0 to 100."""
    interval: tuple[float, float] | None
    """Its 95 % interval."""
    costs: Mapping[str, float | None]
    """`memory` in MiB and `time` in seconds."""
    kind: str
    """One of `_KINDS`."""
    is_on_front: bool


def figure(found: Comparison, selection: Selection, say: Say) -> Figure | None:
    """The figure; None without a quality that stands beside a memory or a time."""
    points = list(_points(trained(found, say), selection))
    panels = [_panel(points, cost, say) for cost in _COSTS]
    shown = tuple(panel for panel in panels if panel is not None)
    if not shown:
        return None
    lead = say("quality.lead") if selection.front else say("quality.lead_without_front")
    return Figure(lead, shown, _legend(points, say), (_table(points, say),))


def _points(cases: Iterable[Shown], selection: Selection) -> Iterator[Point]:
    """Every option of a selection that has a quality; of what is no option, what was measured and computed."""
    options = {(option.candidate.name, option.variant): option for option in selection.ranking}
    for case in cases:
        option, record = options.get((case.candidate, str(case.variant))), case.full_size
        if option is not None:
            if (quality := option.quality) is not None:
                costs = {cost: option.figures.get(name) for cost, name in _COSTS.items()}
                kind, is_on_front = _kind(option, selection), option in selection.front
                yield Point(case, quality.score, quality.interval, costs, kind, is_on_front)
        elif record is not None and (score := record.quality.score) is not None:
            costs = {"memory": record.peak_device_mib, "time": record.seconds}
            yield Point(case, score, record.quality.interval, costs, "excluded", is_on_front=False)


def _kind(option: Option, selection: Selection) -> str:
    if option in (selection.choice, selection.reserve):
        return "choice" if option == selection.choice else "reserve"
    return "front" if option in selection.front else "option"


def _panel(points: Iterable[Point], cost: str, say: Say) -> Panel | None:
    shown = [(point, at) for point in points if (at := point.costs[cost]) is not None]
    if not shown:
        return None
    heights = [end for point, _ in shown for end in (point.quality, *(point.interval or ()))]
    across = svg.scale(min(at for _, at in shown), max(at for _, at in shown), _LEFT, svg.WIDTH - 20, most_ticks=4)
    up = svg.scale(min(heights), max(heights), _BOTTOM, _TOP)
    placed = [(point, across(at), up(point.quality)) for point, at in shown]
    by_weight = sorted(placed, key=lambda each: -_KINDS.index(each[0].kind))  # what matters is drawn over the rest
    parts = [
        *svg.y_axis(up, _LEFT, svg.WIDTH - 4, digits.tick, say("axis.quality")),
        *svg.x_axis(across, _TOP, _BOTTOM, digits.tick, say("axis.mib" if cost == "memory" else "axis.seconds")),
        *_front(placed),
        *(svg.line([(x, up(end)) for end in point.interval], "error-bar") for point, x, _ in placed if point.interval),
        *_kin(placed),
        *(_marker(point, x, y) for point, x, y in by_weight),
        *_labels(placed, say),
    ]
    drawn = svg.drawing(_HEIGHT, say(f"quality.{cost}_description"), parts)
    return Panel(say(f"quality.{cost}"), drawn, "pareto")


_Placed = tuple[Point, float, float]
"""A point, and where it lies."""


def _front(placed: Sequence[_Placed]) -> list[Markup]:
    """The front's members that no other beats in quality and this cost alone, joined by steps."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted((x, y) for point, x, y in placed if point.is_on_front):
        if not corners or y < corners[-1][1]:
            corners += [(x, corners[-1][1])] if corners else []
            corners.append((x, y))
    return [svg.line(corners, "front-line")] if len(corners) > 1 else []


def _kin(placed: Sequence[_Placed]) -> list[Markup]:
    """A line through a candidate's points, from variant to variant."""
    by_candidate = groupby(placed, key=lambda each: each[0].case.number)
    ways = [[(x, y) for _, x, y in own] for _, own in by_candidate]
    return [svg.line(way, "kin") for way in ways if len(way) > 1]


def _marker(point: Point, x: float, y: float) -> Markup:
    hint = f"{point.case.full_name}: {digits.points(point.quality)}"
    return svg.marker(svg.shape(point.case.place), x, y, _class(point), hint)


def _class(point: Point) -> str:
    return f"point {point.kind} on-front" if point.is_on_front else f"point {point.kind}"


def _labels(placed: Sequence[_Placed], say: Say) -> list[Markup]:
    """Each candidate's name, once, where there is most room beside its points; choice and reserve say so."""
    taken = [(x, y, 0.0) for _, x, y in placed]
    labels = []
    by_candidate = {number: list(own) for number, own in groupby(placed, key=lambda each: each[0].case.number)}
    for own in sorted(by_candidate.values(), key=lambda own: min(_KINDS.index(point.kind) for point, *_ in own)):
        chosen = [each for each in own if each[0].kind in _CHOSEN]
        if len(by_candidate) > _MOST_LABELS and not chosen:
            continue
        said = f" · {say(f'quality.{chosen[0][0].kind}')}" if chosen else ""
        for longest in _LONGEST_LABELS:  # the next shorter one where a longer one is nowhere within the drawing
            label = svg.fitted(own[0][0].case.candidate, longest) + said
            half = svg.width_of(label) / 2
            if spots := [spot for _, x, y in chosen or own for spot in _spots(x, y, half)]:
                x, y = max(spots, key=lambda spot: min(_room(spot, half, other) for other in taken))
                taken.append((x, y, half))
                labels.append(svg.text(x, y + 4, label, "number said" if chosen else "number", "middle"))
                break
    return labels


def _spots(x: float, y: float, half: float) -> list[tuple[float, float]]:
    """Where the middle of a label could be that is so wide from there to its ends: beside, above and below a point."""
    beside = 8 + half
    near = [(x + beside, y), (x - beside, y), (x, y - 12), (x, y + 12), (x + beside, y - 10), (x - beside, y - 10)]
    far = [(x + side * beside, y + up) for side in (1, 0, -1) for up in (-24, 24, -38, 38)]
    return [(x, y) for x, y in near + far if _LEFT + half < x < svg.WIDTH - half and _TOP + 6 < y < _BOTTOM - 6]


def _room(spot: tuple[float, float], half: float, other: tuple[float, float, float]) -> float:
    """How far a label's middle line is from a point or another's; beyond `_ENOUGH` it does not matter."""
    across = max(0.0, abs(spot[0] - other[0]) - half - other[2])
    return min(_ENOUGH, across + abs(spot[1] - other[1]))


def _legend(points: Sequence[Point], say: Say) -> tuple[Mark, ...]:
    variants = sorted({(point.case.place, point.case.name) for point in points})
    marks = [Mark(svg.sample(svg.marker(svg.shape(place), 9, 6, "point option")), name) for place, name in variants]
    for kind in _KINDS:
        of_kind = sorted((point for point in points if point.kind == kind), key=lambda point: not point.is_on_front)
        if of_kind:
            marks.append(Mark(svg.sample(svg.marker("circle", 9, 6, _class(of_kind[0]))), say(f"quality.{kind}")))
    if any(point.interval for point in points):
        marks.append(Mark(svg.sample(svg.line([(9, 0), (9, 12)], "error-bar")), say("quality.legend_interval")))
    if any(point.is_on_front for point in points):
        steps = svg.line([(0, 9), (9, 9), (9, 3), (18, 3)], "front-line")
        marks.append(Mark(svg.sample(steps), say("quality.legend_front")))
    return tuple(marks)


def _table(points: Sequence[Point], say: Say) -> Table:
    ends = [point.interval or (None, None) for point in points]
    columns = (
        words(say("head.option"), (point.case.full_name for point in points)),
        figures(say("head.quality_score"), (digits.points(point.quality) for point in points), "quality"),
        figures(say("head.interval_low"), (digits.points(low) for low, _ in ends), "quality"),
        figures(say("head.interval_high"), (digits.points(high) for _, high in ends), "quality"),
        figures(say("head.fine_tuning_memory"), (digits.mib(point.costs["memory"]) for point in points), "peak_device"),
        figures(say("head.fine_tuning_seconds"), (digits.seconds(point.costs["time"]) for point in points), "seconds"),
        words(say("head.standing"), (_standing(point, say) for point in points)),
    )
    return Table(say("quality.caption"), columns)


def _standing(point: Point, say: Say) -> str:
    kinds = [point.kind, *(["front"] if point.is_on_front and point.kind in _CHOSEN else [])]
    return ", ".join(say(f"quality.{kind}") for kind in kinds)
