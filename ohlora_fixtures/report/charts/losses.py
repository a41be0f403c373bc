"""Loss curves, a panel a candidate: training loss of each step by rank, held-out loss before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from ...comparison import FINE_TUNING, Comparison, Row
from ...records import Record
from .. import digits, svg
from ..figure import Column, Figure, Mark, Panel, Table
from ..words import Say

_HEIGHT = 190.0
_MOST_POINTS = 150
"""Of a curve: more could not be told apart, and would make a long run's page large."""


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None where no losses were recorded. Those of a mini replica are real, and marked as a replica's."""
    rows = [row for row in found.rows if _trained(found, row)]
    if not rows:
        return None
    highest = max(loss for row in rows for _, record in _trained(found, row) for loss in _plotted(record))
    up = svg.scale(0, highest, _HEIGHT - 34, 24, most_ticks=4)
    panels = tuple(
        Panel(row.candidate.name, _panel(found, row, up, say), "loss", _table(found, row, say)) for row in rows
    )
    overfitted = [
        f"{row.candidate.name} r{record.lora_rank}"
        for row in rows
        for _, record in _trained(found, row)
        if record.is_overfitted
    ]
    notes = (say("loss.overfitted_note", names=", ".join(overfitted)),) if overfitted else ()
    return Figure(say("loss.lead"), panels, _legend(found, say), (_held_out_table(found, rows, say),), notes)


def points_of(losses: Sequence[float | None]) -> list[tuple[int, float]]:
    """A curve's steps, counted from 1, and losses: of a long run the means of as many steps each as it takes."""
    stride = -(-len(losses) // _MOST_POINTS)
    points = []
    for start in range(0, len(losses), stride or 1):
        known = [loss for loss in losses[start : start + stride] if loss is not None and math.isfinite(loss)]
        if known:
            points.append((min(start + stride, len(losses)), sum(known) / len(known)))
    return points


def _trained(found: Comparison, row: Row) -> list[tuple[int, Record]]:
    """A candidate's records with losses, with the place of their rank."""
    records = [(place, row.records.get((FINE_TUNING, rank))) for place, rank in enumerate(found.lora_ranks)]
    return [(place, record) for place, record in records if record is not None and _plotted(record)]


def _plotted(record: Record) -> list[float]:
    held_out = (record.untuned_held_out_loss, record.held_out_loss)
    return [loss for _, loss in points_of(record.losses or ())] + [loss for loss in held_out if loss is not None]


def _panel(found: Comparison, row: Row, up: svg.Scale, say: Say) -> Markup:
    trained = _trained(found, row)
    curves = {place: points_of(record.losses or ()) for place, record in trained}
    steps = max(len(record.losses or ()) for _, record in trained)
    across = svg.scale(0, steps, 34, svg.WIDTH - 14)
    parts = [
        *svg.y_axis(up, 34, svg.WIDTH - 4, digits.tick, say("axis.loss")),
        *svg.x_axis(across, _HEIGHT - 38, _HEIGHT - 34, digits.tick, say("axis.step")),
    ]
    for place, record in trained:
        parts += _curve(place, record, curves[place], (across, up), say)
    said = "; ".join(_said(record, curves[place], say) for place, record in trained)
    return svg.drawing(_HEIGHT, say("loss.description", candidate=row.candidate.name, cases=said), parts)


def _curve(
    place: int, record: Record, points: list[tuple[int, float]], axes: tuple[svg.Scale, svg.Scale], say: Say
) -> list[Markup]:
    across, up = axes
    series, shape = svg.series(place), svg.shape(place)
    parts = [svg.line([(across(step), up(loss)) for step, loss in points], f"curve {series}")] if points else []
    ends = [(0, record.untuned_held_out_loss, "before"), (len(record.losses or ()), record.held_out_loss, "after")]
    known = [(across(step), up(loss), loss, when) for step, loss, when in ends if loss is not None]
    if len(known) == len(ends):
        parts.append(svg.line([(x, y) for x, y, *_ in known], f"held-out {series}"))
    for x, y, loss, when in known:
        hint = f"r{record.lora_rank}, {say(f'loss.held_out_{when}')}: {digits.nats(loss)}"
        parts.append(svg.marker(shape, x, y, f"{series} {'hollow' if when == 'before' else ''}".rstrip(), hint))
    return parts


def _said(record: Record, points: list[tuple[int, float]], say: Say) -> str:
    first, last = (points[0][1], points[-1][1]) if points else (None, None)
    return say("loss.said", rank=record.lora_rank, first=digits.nats(first), last=digits.nats(last)) + (
        f", {say('loss.overfitted')}" if record.is_overfitted else ""
    )


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


def _held_out_table(found: Comparison, rows: list[Row], say: Say) -> Table:
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
    for row in rows:
        for _, record in _trained(found, row):
            losses = record.losses or [None]
            figures = (losses[0], losses[-1], record.untuned_held_out_loss, record.held_out_loss)
            said = verdicts[record.is_overfitted]
            cells.append((row.candidate.name, f"r{record.lora_rank}", *map(digits.nats, figures), said))
    return Table(say("loss.held_out_caption"), columns, cells)


def _table(found: Comparison, row: Row, say: Say) -> Table:
    trained = _trained(found, row)
    curves = [dict(points_of(record.losses or ())) for _, record in trained]
    steps = sorted({step for points in curves for step in points})
    columns = (
        Column(say("head.step"), is_text=True),
        *(Column(f"r{record.lora_rank}", "loss") for _, record in trained),
    )
    cells = [(f"{step}", *(digits.nats(points.get(step)) for points in curves)) for step in steps]
    return Table(say("loss.caption"), columns, cells)
