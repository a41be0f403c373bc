"""Loss curves, a panel a candidate: training loss of each step by rank, held-out loss before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ....base.words import Say
from ....results.comparison import FINE_TUNING, Comparison, Row
from ....results.record import Record
from ... import digits
from .. import svg
from ..figure import Column, Figure, Mark, Panel, Table

_HEIGHT = 190.0
_MOST_POINTS = 150
"""Of a curve: more could not be told apart, and would make a long run's page large."""


@dataclass(frozen=True)
class _Trained:
    """A fine-tuning case whose losses are known."""

    place: int
    """Of its rank, which gives its colour and shape."""
    record: Record
    """Its record."""
    points: list[tuple[int, float]]
    """Its curve."""

    @property
    def held_out(self) -> list[tuple[str, int, float]]:
        """When, at which step, and the loss, as far as it is known."""
        record = self.record
        ends = (("before", 0, record.untuned_held_out_loss), ("after", len(record.losses or ()), record.held_out_loss))
        return [(when, step, loss) for when, step, loss in ends if loss is not None]

    @property
    def plotted(self) -> list[float]:
        """Every loss that is drawn."""
        return [*(loss for _, loss in self.points), *(loss for *_, loss in self.held_out)]


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None where no losses were recorded. Those of mini replicas are shown: the page marks them."""
    rows = [(row.candidate.name, trained) for row in found.rows if (trained := _trained(found, row))]
    if not rows:
        return None
    highest = max(loss for _, trained in rows for each in trained for loss in each.plotted)
    up = svg.scale(0, highest, _HEIGHT - 34, 24, most_ticks=4)
    panels = tuple(Panel(name, _panel(name, trained, up, say), "loss", _table(trained, say)) for name, trained in rows)
    overfitted = [
        f"{name} r{each.record.lora_rank}" for name, trained in rows for each in trained if each.record.is_overfitted
    ]
    notes = (say("loss.overfitted_note", names=", ".join(overfitted)),) if overfitted else ()
    return Figure(say("loss.lead"), panels, _legend(found, say), (_held_out_table(rows, say),), notes)


def points_of(losses: Sequence[float | None]) -> list[tuple[int, float]]:
    """A curve's steps, counted from 1, and losses: of a long run the means of as many steps each as it takes."""
    stride = -(-len(losses) // _MOST_POINTS)
    points = []
    for start in range(0, len(losses), stride or 1):
        known = [loss for loss in losses[start : start + stride] if loss is not None and math.isfinite(loss)]
        if known:
            points.append((min(start + stride, len(losses)), sum(known) / len(known)))
    return points


def _trained(found: Comparison, row: Row) -> list[_Trained]:
    records = [(place, row.records.get((FINE_TUNING, rank))) for place, rank in enumerate(found.lora_ranks)]
    cases = [_Trained(place, record, points_of(record.losses or ())) for place, record in records if record is not None]
    return [each for each in cases if each.plotted]


def _panel(name: str, trained: list[_Trained], up: svg.Scale, say: Say) -> Markup:
    steps = max(len(each.record.losses or ()) for each in trained)
    across = svg.scale(0, steps, 34, svg.WIDTH - 14)
    parts = [
        *svg.y_axis(up, 34, svg.WIDTH - 4, digits.tick, say("axis.loss")),
        *svg.x_axis(across, _HEIGHT - 38, _HEIGHT - 34, digits.tick, say("axis.step")),
        *(part for each in trained for part in _curve(each, across, up, say)),
    ]
    said = "; ".join(_said(each, say) for each in trained)
    return svg.drawing(_HEIGHT, say("loss.description", candidate=name, cases=said), parts)


def _curve(case: _Trained, across: svg.Scale, up: svg.Scale, say: Say) -> list[Markup]:
    series = svg.series(case.place)
    ends = [(across(step), up(loss)) for _, step, loss in case.held_out]
    parts = []
    if case.points:
        parts.append(svg.line([(across(step), up(loss)) for step, loss in case.points], f"curve {series}"))
    if len(ends) > 1:
        parts.append(svg.line(ends, f"held-out {series}"))
    for (when, _, loss), (x, y) in zip(case.held_out, ends, strict=True):
        hint = f"r{case.record.lora_rank}, {say(f'loss.held_out_{when}')}: {digits.nats(loss)}"
        class_ = f"{series} hollow" if when == "before" else series
        parts.append(svg.marker(svg.shape(case.place), x, y, class_, hint))
    return parts


def _said(case: _Trained, say: Say) -> str:
    first, last = (case.points[0][1], case.points[-1][1]) if case.points else (None, None)
    said = say("loss.said", rank=case.record.lora_rank, first=digits.nats(first), last=digits.nats(last))
    return f"{said}, {say('loss.overfitted')}" if case.record.is_overfitted else said


def _legend(found: Comparison, say: Say) -> tuple[Mark, ...]:
    curves = [
        Mark(svg.sample(svg.line([(0, 6), (18, 6)], f"curve {svg.series(place)}")), say("loss.legend", rank=rank))
        for place, rank in enumerate(found.lora_ranks)
    ]
    marks = [
        Mark(svg.sample(svg.marker("circle", 9, 6, f"series-0{hollow}")), say(f"loss.held_out_{when}"))
        for when, hollow in (("before", " hollow"), ("after", ""))
    ]
    return (*curves, *marks)


def _held_out_table(rows: list[tuple[str, list[_Trained]]], say: Say) -> Table:
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        Column(say("head.first_loss"), "loss"),
        Column(say("head.last_loss"), "loss"),
        Column(say("loss.held_out_before"), "held_out"),
        Column(say("loss.held_out_after"), "held_out"),
        Column(say("head.overfitted"), "overfitted", is_text=True),
    )
    verdicts = {None: digits.NONE, True: say("loss.overfitted"), False: say("loss.not_overfitted")}
    cells = []
    for name, trained in rows:
        for record in (each.record for each in trained):
            losses = record.losses or [None]
            figures = (losses[0], losses[-1], record.untuned_held_out_loss, record.held_out_loss)
            said = verdicts[record.is_overfitted]
            cells.append((name, f"r{record.lora_rank}", *map(digits.nats, figures), said))
    return Table(say("loss.held_out_caption"), columns, cells)


def _table(trained: list[_Trained], say: Say) -> Table:
    curves = [dict(each.points) for each in trained]
    steps = sorted({step for points in curves for step in points})
    ranks = (Column(f"r{each.record.lora_rank}", "loss") for each in trained)
    cells = [(f"{step}", *(digits.nats(points.get(step)) for points in curves)) for step in steps]
    return Table(say("loss.caption"), (Column(say("head.step"), is_text=True), *ranks), cells)
