"""Loss curves, a panel a candidate: training loss of each step by variant, held-out loss before and after."""

import itertools
import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from ...results.comparison import Comparison
from ...results.record import Record
from .. import digits
from ..layout import figures, words
from ..tables import Shown, Table, known_of, subjects, trained
from ..words import Say
from . import svg
from .contents import Figure, Mark, Panel

_HEIGHT = 190.0
_MOST_POINTS = 150
"""Of a curve: more could not be told apart, and would make a long run's page large."""


class _Trained:
    """A fine-tuning case, and what is drawn of its losses."""

    def __init__(self, case: Shown, record: Record) -> None:
        self.case, self.quality, self.losses = case, record.quality, record.measured.losses or ()
        self.points = points_of(self.losses)
        ends = (
            ("before", 0, self.quality.untuned_held_out_loss),
            ("after", len(self.losses), self.quality.held_out_loss),
        )
        self.held_out = [(when, step, loss) for when, step, loss in ends if loss is not None]
        """When, at which step, and the loss, as far as it is known."""
        self.plotted = [*(loss for _, loss in self.points), *(loss for *_, loss in self.held_out)]


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None where no losses of a full-size model were recorded."""
    measured = zip(*known_of(trained(found, say), lambda case: case.full_size), strict=True)
    drawn = [each for each in itertools.starmap(_Trained, measured) if each.plotted]
    if not drawn:
        return None
    up = svg.scale(0, max(loss for each in drawn for loss in each.plotted), _HEIGHT - 34, 24, most_ticks=4)
    by_name = itertools.groupby(drawn, key=lambda each: each.case.candidate)
    panels = tuple(_panel(name, list(own), up, say) for name, own in by_name)
    overfitted = [each.case.full_name for each in drawn if each.quality.is_overfitted]
    notes = (say("loss.overfitted_note", names=", ".join(overfitted)),) if overfitted else ()
    return Figure(
        say("loss.lead"),
        panels,
        _legend(found.variants, say),
        (_held_out_table(drawn, say),),
        notes,
        say("loss.curves"),
    )


def points_of(losses: Sequence[float | None]) -> list[tuple[int, float]]:
    """A curve's steps, counted from 1, and losses: of a long run the means of as many steps each as it takes."""
    stride = -(-len(losses) // _MOST_POINTS)
    points = []
    for start in range(0, len(losses), stride or 1):
        known = [loss for loss in losses[start : start + stride] if loss is not None and math.isfinite(loss)]
        if known:
            points.append((min(start + stride, len(losses)), sum(known) / len(known)))
    return points


def _panel(name: str, drawn: Sequence[_Trained], up: svg.Scale, say: Say) -> Panel:
    steps = max(len(each.losses) for each in drawn)
    across = svg.scale(0, steps, 34, svg.WIDTH - 14)
    parts = [
        *svg.y_axis(up, 34, svg.WIDTH - 4, digits.tick, say("axis.loss")),
        *svg.x_axis(across, _HEIGHT - 38, _HEIGHT - 34, digits.tick, say("axis.step")),
        *(part for each in drawn for part in _curve(each, across, up, say)),
    ]
    said = "; ".join(_said(each, say) for each in drawn)
    drawing = svg.drawing(_HEIGHT, say("loss.description", candidate=name, cases=said), parts)
    return Panel(name, drawing, "loss", _table(drawn, say))


def _curve(drawn: _Trained, across: svg.Scale, up: svg.Scale, say: Say) -> list[Markup]:
    place, name = drawn.case.place, drawn.case.name
    series = svg.series(place)
    ends = [(across(step), up(loss)) for _, step, loss in drawn.held_out]
    parts = []
    if drawn.points:
        parts.append(svg.line([(across(step), up(loss)) for step, loss in drawn.points], f"curve {series}"))
    if len(ends) > 1:
        parts.append(svg.line(ends, f"held-out {series}"))
    for (when, _, loss), (x, y) in zip(drawn.held_out, ends, strict=True):
        hint = f"{name}, {say(f'loss.held_out_{when}')}: {digits.nats(loss)}"
        class_ = f"{series} hollow" if when == "before" else series
        parts.append(svg.marker(svg.shape(place), x, y, class_, hint))
    return parts


def _said(drawn: _Trained, say: Say) -> str:
    first, last = (drawn.points[0][1], drawn.points[-1][1]) if drawn.points else (None, None)
    said = say("loss.said", variant=drawn.case.name, first=digits.nats(first), last=digits.nats(last))
    return f"{said}, {say('loss.overfitted')}" if drawn.quality.is_overfitted else said


def _legend(variants: Iterable[str], say: Say) -> tuple[Mark, ...]:
    curves = [
        Mark(svg.sample(svg.line([(0, 6), (18, 6)], f"curve {svg.series(place)}")), say("loss.legend", variant=name))
        for place, name in enumerate(variants)
    ]
    marks = [
        Mark(svg.sample(svg.marker("circle", 9, 6, f"series-0{hollow}")), say(f"loss.held_out_{when}"))
        for when, hollow in (("before", " hollow"), ("after", ""))
    ]
    return (*curves, *marks)


def _held_out_table(drawn: Sequence[_Trained], say: Say) -> Table:
    losses, quality = [each.losses or (None,) for each in drawn], [each.quality for each in drawn]
    verdicts = {None: digits.NONE, True: say("loss.overfitted"), False: say("loss.not_overfitted")}
    columns = (
        *subjects([each.case for each in drawn], say),
        figures(say("head.first_loss"), (digits.nats(each[0]) for each in losses), "loss"),
        figures(say("head.last_loss"), (digits.nats(each[-1]) for each in losses), "loss"),
        figures(say("loss.held_out_before"), (digits.nats(each.untuned_held_out_loss) for each in quality), "held_out"),
        figures(say("loss.held_out_after"), (digits.nats(each.held_out_loss) for each in quality), "held_out"),
        words(say("head.overfitted"), (verdicts[each.is_overfitted] for each in quality), "overfitted"),
    )
    return Table(say("loss.held_out_caption"), columns)


def _table(drawn: Sequence[_Trained], say: Say) -> Table:
    curves = [dict(each.points) for each in drawn]
    steps = sorted({step for points in curves for step in points})
    named = zip((each.case.name for each in drawn), curves, strict=True)
    columns = (figures(name, (digits.nats(points.get(step)) for step in steps), "loss") for name, points in named)
    return Table(say("loss.caption"), (words(say("head.step"), map(str, steps)), *columns))
