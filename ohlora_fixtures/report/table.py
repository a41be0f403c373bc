"""The comparison as text: for a terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..base import safe_text
from ..base.words import Language, Say
from ..results.comparison import FINE_TUNING, INFERENCE, Comparison, Key, Row, within_budget
from ..results.record import Record, seconds_a_prompt
from . import measured, plans
from .columns import Column, as_markdown, for_terminal
from .fitting import Terminal
from .mixed import distinct
from .notes import REHEARSAL, in_words, notes
from .verdicts import colour_of

_NONE = "-"
_WITHOUT_FIGURES = ("out_of_memory", "error", "failed", "skipped")


def terminal(comparison: Comparison, terminal: Terminal) -> str:
    """All of the comparison for a terminal, in as many tables as its width asks for."""
    parts = [for_terminal(_columns(comparison), terminal.width, terminal.paint)]
    advised = plans.advice(comparison)
    if advised:
        heading = terminal.filled(plans.advice_heading(comparison))
        parts += [heading, for_terminal(advised, terminal.width)]
    return "\n\n".join(parts)


def markdown(comparison: Comparison, language: Language = "en") -> str:
    """The comparison as a Markdown page; the table's headings are in the language, all else in English."""
    parts = ["# Comparison", *([f"> **{REHEARSAL}**"] if comparison.is_rehearsal else [])]
    parts += [
        as_markdown([_headed(column, language) for column in _columns(comparison)]),
        "\n".join(f"- {safe_text.markdown(note.text)}" for note in notes(comparison)),
    ]
    for title, heading, columns in (
        ("Plan against measurement", measured.PLAN_HEADING, measured.plan_columns(comparison)),
        ("How near the hardware's limit", measured.LIMIT_HEADING, measured.limit_columns(comparison)),
    ):
        if columns:
            parts += [f"## {title}", heading, as_markdown(columns)]
    advised, made_of = plans.advice(comparison), plans.breakdown(comparison)
    if advised:
        parts += ["## What else would fit", plans.advice_heading(comparison), as_markdown(advised)]
    if made_of:
        parts += ["## What the planned peak is made of", plans.BREAKDOWN_HEADING, as_markdown(made_of)]
    return "\n\n".join(parts) + "\n"


def _headed(column: Column, language: Language) -> Column:
    return replace(column, head=Say(language).name("column", column.head.replace("\n", " ")))


def comma_separated(comparison: Comparison) -> str:
    """The table as CSV: a line a candidate, plain numbers, an empty cell for what is not known."""
    heads = ["candidate", "parameters", "unverified", "leaderboard_average"]
    heads += ["card_license", "binding_license", "free_license"]
    keys = keys_of(comparison)
    for workload, rank in keys:
        prefix = workload if rank is None else f"{workload}_r{rank}"
        heads += [f"{prefix}_{name}" for name in ("outcome", *_RECORD_FIGURES)]
        heads += [f"plan_{prefix}_{name}" for name in ("outcome", *_PLAN_FIGURES)]
        heads += [f"study_{prefix}_{name}" for name in ("seconds", "allocated_after_mib")]
    heads += ["within_budget", "plan_within_budget", "scale", "weights", "device", "gpu_profile", "protocol_hash"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    for row in comparison.rows:
        candidate = row.candidate
        line: list[object] = [candidate.name, candidate.parameters, candidate.unverified, candidate.leaderboard_average]
        line += [candidate.card_license, candidate.binding_license, candidate.free_license]
        for key in keys:
            record, plan, published = row.records.get(key), row.plans.get(key), row.published.get(key)
            line += [getattr(record, name, None) for name in ("outcome", *_RECORD_FIGURES)]
            line += [getattr(plan, name, None) for name in ("outcome", *_PLAN_FIGURES)]
            line += [getattr(published, name, None) for name in ("seconds", "allocated_after_mib")]
        measured, planned = row.records.values(), row.plans.values()
        line += [within_budget(row.records), within_budget(row.plans)]
        line += [_each(name, measured) for name in ("scale", "weights", "device")]
        line += [_each("gpu_profile", planned), _each("protocol_hash", measured or planned)]
        writer.writerow(map(_plain, line))
    return buffer.getvalue()


_RECORD_FIGURES = (
    "seconds",
    "steady_median_seconds",
    "allocated_after_mib",
    "peak_allocated_mib",
    "peak_reserved_mib",
    "peak_device_mib",
    "peak_rss_growth_mib",
    "planned_peak_allocated_mib",
    "planned_peak_reserved_mib",
    "cap_mib",
    "flops_utilization",
    "bandwidth_utilization",
    "taints",
)


_PLAN_FIGURES = ("allocated_after_mib", "peak_allocated_mib", "peak_reserved_mib", "peak_device_mib")


def _plain(value: object) -> object:
    text = "; ".join(value) if isinstance(value, list) else value
    return safe_text.cell(safe_text.line(text)) if isinstance(text, str) else text


def _each(name: str, records: Iterable[Record]) -> str | None:
    """A field of several records: what they say, each once; None if they say nothing."""
    return " and ".join(distinct(name, records)) or None


def keys_of(comparison: Comparison) -> list[Key]:
    """What a candidate has figures of: fine-tuning at each rank, and inference if any ran or was planned."""
    keys: list[Key] = [(FINE_TUNING, rank) for rank in comparison.lora_ranks]
    if any(INFERENCE in (record.workload, record.planned_workload) for record in comparison.records):
        keys.append((INFERENCE, None))
    return keys


def _columns(comparison: Comparison) -> list[Column]:
    keys = keys_of(comparison)
    sources = [source for source in _SOURCES if any(source.has(row) for row in comparison.rows)]
    figures = []
    if any(row.records for row in comparison.rows):
        figures += [_figures(comparison, sources, key, "s") for key in keys]
    figures += [_figures(comparison, sources, key, "MiB") for key in keys]
    return [
        _facts("candidate", comparison, lambda row: row.candidate.name),
        Column("", ["\n".join(source.name(row) for source in sources if source.has(row)) for row in comparison.rows]),
        _facts("size", comparison, size_of),
        _facts("Ko-LLM\naverage", comparison, lambda row: _number(row.candidate.leaderboard_average)),
        _facts("licence", comparison, lambda row: safe_text.line(row.candidate.binding_license)),
        *_devices(comparison),
        *figures,
        Column("within\nbudget", [_within(row, sources) for row in comparison.rows], group="MiB", colour=colour_of),
    ]


def _devices(comparison: Comparison) -> list[Column]:
    """Which device each candidate was measured on, where there were several."""
    ran = [record for record in comparison.records if record.planned_workload is None]
    if len(distinct("device", ran)) < 2:  # noqa: PLR2004 - one needs no column
        return []
    return [_facts("device", comparison, lambda row: _each("device", row.records.values()) or _NONE)]


def size_of(row: Row) -> str:
    """A candidate's parameters, in words."""
    return f"{row.candidate.parameters / 1e9:.2f} B{'?' if row.candidate.unverified else ''}"


def _facts(head: str, comparison: Comparison, cell: Callable[[Row], str]) -> Column:
    return Column(head, [cell(row) for row in comparison.rows])


@dataclass(frozen=True)
class _Source:
    """Where a line of figures comes from."""

    name: Callable[[Row], str]
    has: Callable[[Row], bool]
    """Whether a row has such a line."""
    figure: Callable[[Row, Key, str], str]
    """The cell of a case, in a unit."""
    within: Callable[[Row], str] = lambda _: ""
    """The word of its verdict."""


def _measured(row: Row, key: Key, unit: str) -> str:
    record = row.records.get(key)
    if record is None:
        return _NONE
    return _cell(record, seconds_of(record) if unit == "s" else memory_of(record)) + ("*" if record.taints else "")


def _planned(row: Row, key: Key, unit: str) -> str:
    plan = row.plans.get(key)
    return _NONE if plan is None or unit == "s" else _cell(plan, plan.peak_device_mib)


def _published(row: Row, key: Key, unit: str) -> str:
    published = row.published.get(key)
    if published is None:
        return _NONE
    return _number(published.seconds if unit == "s" else published.allocated_after_mib)


def _verdict(records: Mapping[Key, Record]) -> str:
    return {True: "yes", False: "no", None: "not judged"}[within_budget(records)]


def _here(row: Row) -> str:
    return "capped" if any(record.cap_mib is not None for record in row.records.values()) else "here"


_SOURCES = (
    _Source(_here, lambda row: bool(row.records), _measured, lambda row: _verdict(row.records)),
    _Source(lambda _: "plan", lambda row: bool(row.plans), _planned, lambda row: _verdict(row.plans)),
    _Source(lambda _: "study", lambda row: bool(row.published), _published),
)


def _figures(comparison: Comparison, sources: list[_Source], key: Key, unit: str) -> Column:
    name = "prompt" if key[1] is None else f"r{key[1]}"
    cells = ["\n".join(each.figure(row, key, unit) for each in sources if each.has(row)) for row in comparison.rows]
    return Column(f"{name}\n{unit}", cells, is_text=False, group=unit)


def _cell(record: Record, figure: float | None) -> str:
    return in_words(record.outcome) if record.outcome in _WITHOUT_FIGURES else _number(figure)


def seconds_of(record: Record) -> float | None:
    """The time that a case is compared by: of the whole fine-tuning run, or of one prompt."""
    return seconds_a_prompt(record) if record.workload == INFERENCE else record.seconds


def memory_of(record: Record) -> float | None:
    """The memory that a case is compared by, MiB: the device's, or what there is in its place."""
    figures = (record.peak_device_mib, record.peak_rss_growth_mib, record.allocated_after_mib)
    return next((figure for figure in figures if figure is not None), None)


def _within(row: Row, sources: list[_Source]) -> str:
    return "\n".join(each.within(row) for each in sources if each.has(row)).rstrip()


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"
