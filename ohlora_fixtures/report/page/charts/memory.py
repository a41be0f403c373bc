"""Peak memory by rank, a panel a candidate: the plan stacked by what it is made of, what was measured below it."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from ....base.words import Say
from ....results.comparison import Comparison, Key, Row
from ....results.record import Record
from ... import digits
from .. import svg
from ..cases import full_size, keys, name_of, verdict
from ..figure import Figure, Mark, Panel
from ..textures import texture
from . import memory_tables
from .memory_tables import unsplit_mib

_PARTS: Mapping[str, tuple[str, ...]] = {
    "weights": ("base_weights",),
    "adapter": ("adapters", "gradients", "optimizer"),
    "activations": ("activations",),
    "logits": ("logits_and_loss",),
}
"""The parts drawn, and which of a plan's they hold; `allocator` is what else is reserved, `context` lies outside."""
_TEXTURES = {
    "weights": "rising",
    "adapter": "upright",
    "activations": "dots",
    "logits": "falling",
    "allocator": "level",
    "context": "grid",
    "whole": "rising",
}
"""Of planned parts; what was measured has none."""

_ROW_HEIGHT = 45
_HEIGHTS = {"planned": 12, "measured": 7}
"""Of the bars."""
_FAR = 3
"""A budget so many times the highest peak would leave no room for the peaks."""


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None without any plan or measurement at full size."""
    rows = [row for row in found.rows if _shown(row, found, say)]
    if not rows:
        return None
    highest = max((mib for row in rows for key in keys(found) for mib in _peaks(row, key)), default=0.0)
    budgets = {record.budget_mib for record in found.records}
    near = [budget for budget in budgets if not highest or budget <= highest * _FAR]
    along = svg.scale(0, max([highest, *near]), 4, svg.WIDTH - 20, most_ticks=7)
    panels = [
        Panel(row.candidate.name, _panel(row, _shown(row, found, say), along, sorted(budgets), say)) for row in rows
    ]
    tables = [
        memory_tables.planned(found, rows, say),
        memory_tables.measured(found, rows, say),
        memory_tables.advice(found, say),
    ]
    shown = tuple(table for table in tables if table.rows)
    return Figure(_lead(rows, budgets, say), tuple(panels), _legend(rows, say), shown)


def parts_of(plan: Record) -> list[tuple[str, float]]:
    """What a planned peak on the device is made of, MiB; nothing where the plan does not tell."""
    if plan.breakdown_mib is None:
        return []
    sums = {part: sum(plan.breakdown_mib.get(name, 0.0) for name in names) for part, names in _PARTS.items()}
    reserved_mib = plan.peak_reserved_mib or sum(plan.breakdown_mib.values())
    sums |= {"allocator": reserved_mib - sum(sums.values()), "context": plan.context_mib or 0.0}
    return [(part, max(0.0, mib)) for part, mib in sums.items()]


def _pair(row: Row, key: Key) -> tuple[Record | None, Record | None]:
    return row.plans.get(key), full_size(row, key)


def _peaks(row: Row, key: Key) -> list[float]:
    return [mib for record in _pair(row, key) if record is not None for mib in [_reached(record)] if mib is not None]


def _reached(record: Record) -> float | None:
    """The peak on the device; of a case that ran out of memory, what it had reached."""
    if record.peak_device_mib is not None or record.peak_reserved_mib is None:
        return record.peak_device_mib
    return record.peak_reserved_mib + (record.context_mib or 0.0)


def _shown(row: Row, found: Comparison, say: Say) -> list[Key]:
    """The cases of which a peak, or that there was no room for one, is known."""
    return [key for key in keys(found) if _peaks(row, key) or verdict(_pair(row, key), say)]


def _panel(row: Row, shown: list[Key], along: svg.Scale, budgets: list[float], say: Say) -> Markup:
    bars: list[Markup] = []
    texts: list[Markup] = []
    described: list[str] = []
    bottom = 16.0 + _ROW_HEIGHT * len(shown)
    top = 18.0
    for key in shown:
        said = _said(row, key, say)
        described.append(" ".join(said))
        texts.append(_row_text(said, top + 11))
        bars += _bars(row, key, along, top + 16, say)
        top += _ROW_HEIGHT
    axis = svg.x_axis(along, 14, bottom, digits.tick, say("axis.mib"))
    lines = [part for budget in budgets for part in _budget_line(budget, along, bottom, say)]
    description = say("memory.description", candidate=row.candidate.name, cases="; ".join(described))
    return svg.drawing(bottom + 34, description, [*axis, *bars, *lines, *texts])


def _said(row: Row, key: Key, say: Say) -> tuple[str, str, str]:
    """A case's name, its figures, and what is wrong with it, in words."""
    plan, measured = _pair(row, key)
    figures = [
        say(f"memory.{word}_short", mib=digits.mib(record.peak_device_mib))
        for word, record in (("planned", plan), ("measured", measured))
        if record is not None and record.peak_device_mib is not None
    ]
    return name_of(key, say), " · ".join(figures), verdict([measured] if measured else [plan], say)


def _row_text(said: tuple[str, str, str], y: float) -> Markup:
    name, figures, wrong = said
    return svg.element(
        "text",
        svg.element("tspan", name, class_="case"),
        svg.element("tspan", figures, dx=7),
        *([svg.element("tspan", f"▲ {wrong}", dx=7, class_="wrong")] if wrong else []),
        x=4,
        y=y,
    )


def _bars(row: Row, key: Key, along: svg.Scale, top: float, say: Say) -> list[Markup]:
    plan, measured = _pair(row, key)
    bars = []
    if plan is not None:
        bars += _stack(parts_of(plan) or [("whole", plan.peak_device_mib or 0.0)], along, top, "planned", say)
    if measured is not None and (reached := _reached(measured)) is not None:
        context = measured.context_mib or 0.0
        unsplit = unsplit_mib(measured) or 0.0
        stacked = [("whole", reached - context - unsplit), ("allocator", unsplit), ("context", context)]
        bars += _stack(stacked, along, top + 14, "measured", say)
    return bars


def _stack(parts: list[tuple[str, float]], along: svg.Scale, top: float, kind: str, say: Say) -> list[Markup]:
    bars = []
    start = 0.0
    for part, mib in parts:
        if mib > 0:
            hint = f"{say(f'memory.{kind}')}: {say(f'memory.part_{part}')} {digits.mib(mib)} MiB"
            span = (along(start), along(start + mib))
            bars += _bar(span, top, kind, part, hint)
            start += mib
    return bars


def _bar(span: tuple[float, float], top: float, kind: str, part: str, hint: str | None = None) -> list[Markup]:
    height = _HEIGHTS[kind]
    bar = svg.bar(span, top, height, f"bar part-{part}", hint)
    laid_over = texture(_TEXTURES[part], span, top, height) if kind == "planned" else None
    return [bar] if laid_over is None else [bar, laid_over]


def _budget_line(budget: float, along: svg.Scale, bottom: float, say: Say) -> list[Markup]:
    said = say("memory.budget_short", mib=digits.mib(budget))
    if budget > along.high:
        return [svg.text(along.end, 10, f"{said} →", "budget-name", "end")]
    x = along(budget)
    return [svg.line([(x, 12), (x, bottom)], "budget"), svg.text(min(x + 20, along.end), 9, said, "budget-name", "end")]


def _lead(rows: list[Row], budgets: set[float], say: Say) -> str:
    sentences = [say("memory.lead", budget=" / ".join(map(digits.mib, sorted(budgets))))]
    sentences += [say("memory.lead_planned")] if _has_plans(rows) else []
    sentences += [say("memory.lead_measured")] if _has_measurements(rows) else []
    return " ".join(sentences)


def _has_plans(rows: list[Row]) -> bool:
    return any(row.plans for row in rows)


def _has_measurements(rows: list[Row]) -> bool:
    return any(record.scale != "mini" for row in rows for record in row.records.values())


def _legend(rows: list[Row], say: Say) -> tuple[Mark, ...]:
    entries = []
    if _has_plans(rows):
        entries += [Mark(_sample("planned", part), say(f"memory.part_{part}")) for part in _TEXTURES if part != "whole"]
        entries.append(Mark(_sample("planned", "whole"), say("memory.legend_planned")))
    if _has_measurements(rows):
        entries.append(Mark(_sample("measured", "whole"), say("memory.legend_measured")))
    budget = svg.sample(svg.line([(9, 0), (9, 12)], "budget"))
    return (*entries, Mark(budget, say("memory.legend_budget")))


def _sample(kind: str, part: str) -> Markup:
    return svg.sample(*_bar((0, 18), (12 - _HEIGHTS[kind]) / 2, kind, part))
