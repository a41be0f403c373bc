"""Peak memory by variant, a panel a candidate: the plan stacked by what it is made of, what was measured below it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from ...meters.memory import MemoryReading
from ...planner.plan import Plan
from ...results.comparison import Cell, Comparison
from .. import digits
from ..layout import figures, in_mib, words
from ..notes import plan_is_off_by
from ..quantities import MEMORY
from ..words import Say
from . import svg
from .contents import (
    Figure,
    Limit,
    Mark,
    Panel,
    Shown,
    Table,
    budgets_of,
    cases_of,
    catalogued,
    known_of,
    limits_of,
    subjects,
    verdict,
)

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

_ROW_HEIGHT, _NAME_HEIGHT = 45, 15
"""Of a case, and what is added where its name has a line of its own."""
_LONGEST_LINE = 1.1 * svg.WIDTH
"""Of a case's name and figures, by `svg.width_of`, which takes all for bold: what is longer needs two lines."""
_HEIGHTS = {"planned": 12, "measured": 7}
"""Of the bars."""
_FAR = 3
"""A budget so many times the highest peak would leave no room for the peaks."""


def figure(found: Comparison, say: Say) -> Figure | None:
    """The figure; None without any plan or measurement at full size."""
    cases = [case for case in cases_of(found, say) if _peaks(case) or case.cell.fit.reason is not None]
    if not cases:
        return None
    highest = max((mib for case in cases for mib in _peaks(case)), default=0.0)
    limits = limits_of(found.records)
    near = [mib for _, mib in limits if not highest or mib <= highest * _FAR]
    along = svg.scale(0, max([highest, *near]), 4, svg.WIDTH - 20, most_ticks=7)
    by_name = groupby(cases, key=lambda case: case.candidate)
    panels = tuple(Panel(name, _panel(name, list(own), along, limits, say)) for name, own in by_name)
    tables = (_planned_table(cases, say), _measured_table(cases, say), _advice_table(cases, say))
    kinds = [kind for kind in _HEIGHTS if any(kind in _sizes(case) for case in cases)]
    lead = [
        say("memory.lead", budget=" / ".join(budgets_of(found.records, say))),
        *(say(f"memory.lead_{kind}") for kind in kinds),
    ]
    return Figure(" ".join(lead), panels, _legend(kinds, say), tuple(table for table in tables if table.rows))


def parts_of(plan: Plan) -> list[tuple[str, float]]:
    """What a planned peak on the device is made of, MiB; nothing where the plan does not tell."""
    if plan.breakdown_mib is None:
        return []
    sums = {part: sum(plan.breakdown_mib.get(name, 0.0) for name in names) for part, names in _PARTS.items()}
    reserved_mib = plan.peak_reserved_mib or sum(plan.breakdown_mib.values())
    sums |= {"allocator": reserved_mib - sum(sums.values()), "context": plan.context_mib or 0.0}
    return [(part, max(0.0, mib)) for part, mib in sums.items()]


_Sizes = Plan | MemoryReading


def _sizes(case: Shown) -> dict[str, _Sizes]:
    """What was planned, and what was measured at full size."""
    record = case.full_size
    found = {"planned": case.plan, "measured": record.measured.memory if record else None}
    return {kind: sizes for kind, sizes in found.items() if sizes is not None}


def _peaks(case: Shown) -> list[float]:
    return [mib for sizes in _sizes(case).values() if (mib := _reached(sizes)) is not None]


def _reached(sizes: _Sizes) -> float | None:
    """The peak on the device; of a case that ran out of memory, what it had reached."""
    if sizes.peak_device_mib is not None or sizes.peak_reserved_mib is None:
        return sizes.peak_device_mib
    return sizes.peak_reserved_mib + (sizes.context_mib or 0.0)


def _unsplit_mib(sizes: _Sizes) -> float | None:
    if sizes.peak_reserved_mib is None or sizes.peak_allocated_mib is None:
        return None
    return sizes.peak_reserved_mib - sizes.peak_allocated_mib


def _panel(name: str, cases: Sequence[Shown], along: svg.Scale, limits: Sequence[Limit], say: Say) -> Markup:
    bars, texts = list[Markup](), list[Markup]()
    told = [_said(case, say) for case in cases]
    own_line = _NAME_HEIGHT if any(svg.width_of("".join(said)) > _LONGEST_LINE for said in told) else 0
    height = _ROW_HEIGHT + own_line
    bottom = 16.0 + height * len(cases)
    for row, (case, said) in enumerate(zip(cases, told, strict=True)):
        top = 18.0 + height * row
        texts.append(_row_text(said, top + 11, own_line))
        bars += _bars(case, along, top + own_line + 16, say)
    axis = svg.x_axis(along, 14, bottom, digits.tick, say("axis.mib"))
    lines = [part for limit in limits for part in _limit_line(limit, along, bottom, say)]
    description = say("memory.description", candidate=name, cases="; ".join(map(" ".join, told)))
    return svg.drawing(bottom + 34, description, [*axis, *bars, *lines, *texts])


def _said(case: Shown, say: Say) -> tuple[str, str, str]:
    """A case's name, its figures, and what is wrong with it, in words."""
    said = []
    for kind, sizes in _sizes(case).items():
        peak = digits.mib(sizes.peak_device_mib)
        if isinstance(sizes, Plan) and sizes.needs_device_mib not in (None, sizes.peak_device_mib):
            said.append(say("memory.needs_short", needs=digits.mib(sizes.needs_device_mib), takes=peak))
        elif sizes.peak_device_mib is not None:
            said.append(say(f"memory.{kind}_short", mib=peak))
    return case.name, " · ".join(said), verdict(case.cell, say) if case.cell.fit.reason else ""


def _row_text(said: tuple[str, str, str], y: float, own_line: int) -> Markup:
    name, peaks, wrong = said
    place = {"x": 4, "dy": own_line} if own_line else {"dx": 7}
    return svg.element(
        "text",
        svg.element("tspan", svg.fitted(name, svg.WIDTH - 8), class_="case"),
        svg.element("tspan", peaks, **place),
        *([svg.element("tspan", f"▲ {wrong}", dx=7, class_="wrong")] if wrong else []),
        x=4,
        y=y,
    )


def _bars(case: Shown, along: svg.Scale, top: float, say: Say) -> list[Markup]:
    bars = []
    if (plan := case.plan) is not None:
        bars += _stack(parts_of(plan) or [("whole", plan.peak_device_mib or 0.0)], along, top, "planned", say)
        if plan.needs_device_mib is not None:
            x = along(plan.needs_device_mib)
            bars.append(svg.line([(x, top - 2), (x, top + _HEIGHTS["planned"] + 2)], "needs"))
    measured = _sizes(case).get("measured")
    if measured is not None and (reached := _reached(measured)) is not None:
        context, unsplit = measured.context_mib or 0.0, _unsplit_mib(measured) or 0.0
        stacked = [("whole", reached - context - unsplit), ("allocator", unsplit), ("context", context)]
        bars += _stack(stacked, along, top + 14, "measured", say)
    return bars


def _stack(parts: Iterable[tuple[str, float]], along: svg.Scale, top: float, kind: str, say: Say) -> list[Markup]:
    bars = []
    start = 0.0
    for part, mib in parts:
        if mib > 0:
            hint = f"{say(f'memory.{kind}')}: {say(f'memory.part_{part}')} {digits.mib(mib)} MiB"
            bars += _bar((along(start), along(start + mib)), top, kind, part, hint)
            start += mib
    return bars


def _bar(span: tuple[float, float], top: float, kind: str, part: str, hint: str | None = None) -> list[Markup]:
    height = _HEIGHTS[kind]
    bar = svg.bar(span, top, height, f"bar part-{part}", hint)
    laid_over = svg.texture(_TEXTURES[part], span, top, height) if kind == "planned" else None
    return [bar] if laid_over is None else [bar, laid_over]


def _limit_line(limit: Limit, along: svg.Scale, bottom: float, say: Say) -> list[Markup]:
    budget_mib, mib = limit
    said = say("memory.budget_short" if mib == budget_mib else "memory.card_short", mib=digits.mib(mib))
    if mib > along.high:
        return [svg.text(along.end, 10, f"{said} →", "budget-name", "end")]
    x = along(mib)
    return [svg.line([(x, 12), (x, bottom)], "budget"), svg.text(min(x + 20, along.end), 9, said, "budget-name", "end")]


def _legend(kinds: Iterable[str], say: Say) -> tuple[Mark, ...]:
    entries = []
    for kind in kinds:
        parts = [part for part in _TEXTURES if part != "whole"] if kind == "planned" else []
        entries += [Mark(_sample(kind, part), say(f"memory.part_{part}")) for part in parts]
        entries.append(Mark(_sample(kind, "whole"), say(f"memory.legend_{kind}")))
    drawn = ("needs", "budget") if "planned" in kinds else ("budget",)
    lines = (Mark(svg.sample(svg.line([(9, 0), (9, 12)], each)), say(f"memory.legend_{each}")) for each in drawn)
    return (*entries, *lines)


def _sample(kind: str, part: str) -> Markup:
    return svg.sample(*_bar((0, 18), (12 - _HEIGHTS[kind]) / 2, kind, part))


def _planned_table(cases: Iterable[Shown], say: Say) -> Table:
    cases, plans = known_of(cases, lambda case: case.plan)
    columns = (
        *subjects(cases, say),
        *(
            in_mib(say.name("breakdown", name), ((plan.breakdown_mib or {}).get(name) for plan in plans), "breakdown")
            for name in dict.fromkeys(name for plan in plans for name in plan.breakdown_mib or ())
        ),
        in_mib(say("breakdown.unsplit"), map(_unsplit_mib, plans), "breakdown"),
        in_mib(say("head.context"), (plan.context_mib for plan in plans), "context"),
        in_mib(say("head.peak_device"), (plan.peak_device_mib for plan in plans), "peak_device"),
        in_mib(say("head.needs_device"), (plan.needs_device_mib for plan in plans), "needs_device"),
        in_mib(say("head.optimizer_states"), (plan.optimizer_states_mib for plan in plans), "optimizer_states"),
        in_mib(say("head.paged"), (plan.paged_mib for plan in plans), "paged"),
        words(say("head.verdict"), (verdict(Cell(plan=case.cell.plan), say) for case in cases)),
    )
    return Table(say("memory.planned_caption"), columns)


def _measured_table(cases: Iterable[Shown], say: Say) -> Table:
    """What each case was measured to need, beside the plan for the very lengths of its run."""
    cases, records = known_of(cases, lambda case: case.full_size)
    reserved = (record.plan.peak_reserved_mib if record.plan else None for record in records)
    off_by = (plan_is_off_by(record, "peak_reserved_mib") for record in records)
    columns = (
        *subjects(cases, say),
        *catalogued(MEMORY, cases, say),
        in_mib(say("head.planned_reserved"), reserved, "peak_reserved"),
        figures(say("head.off_by"), map(digits.difference, off_by), "plan"),
        words(say("head.verdict"), (verdict(Cell(record), say) for record in records)),
    )
    return Table(say("memory.measured_caption"), columns)


def _advice_table(cases: Iterable[Shown], say: Say) -> Table:
    cases, advice = known_of(cases, lambda case: case.plan.advice if case.plan else None)
    columns = (
        words(say("head.candidate"), (case.candidate for case in cases)),
        words(say("head.variant"), (each.variant for each in advice), "plan"),
        *(
            figures(say(f"advice.{name}"), (digits.count(getattr(each, name) or None) for each in advice), "plan")
            for name in ("batch_size", "row_tokens", "largest_batch", "largest_rank")
        ),
        in_mib(say("advice.checkpointing_saves"), (each.checkpointing_saves_mib for each in advice), "plan"),
    )
    return Table(say("advice.caption"), columns)
