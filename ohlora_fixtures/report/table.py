"""The comparison as text: for a terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .. import untrusted
from ..comparison import FINE_TUNING, INFERENCE, Comparison, Key, Row, within_budget
from ..records import Record, seconds_a_prompt
from . import measured, plans
from .columns import Column, as_markdown, for_terminal
from .mixed import distinct, mixed_notes

_NONE = "-"
_REHEARSAL = (
    "REHEARSAL: every candidate ran as a mini replica with random weights. The cases are real runs of the code, but "
    "their times and memory compare nothing: neither the candidates nor this machine with another."
)
_STUDY = (
    "study: the published figures, from a Colab T4 with 15 GB; its prompt s is the mean, "
    "its MiB what was allocated after the run, not the peak"
)
_WITHOUT_FIGURES = ("out_of_memory", "error", "failed", "skipped")


def terminal(comparison: Comparison, width: int) -> str:
    """The comparison for a terminal of `width` characters."""
    parts = [_wrapped(_REHEARSAL, width)] if comparison.is_rehearsal else []
    parts.append(for_terminal(_columns(comparison), width))
    advised = plans.advice(comparison)
    if advised:
        parts += [_wrapped(plans.advice_heading(comparison), width), for_terminal(advised, width)]
    notes = "\n".join(_wrapped(note, width) for note in _notes(comparison))
    return "\n\n".join([*parts, notes])


def markdown(comparison: Comparison) -> str:
    """The comparison as a Markdown page."""
    parts = ["# Comparison", *([f"> **{_REHEARSAL}**"] if comparison.is_rehearsal else [])]
    parts += [
        as_markdown(_columns(comparison)),
        "\n".join(f"- {untrusted.markdown(note)}" for note in _notes(comparison)),
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


def comma_separated(comparison: Comparison) -> str:
    """The table as CSV: a line a candidate, plain numbers, an empty cell for what is not known."""
    heads = ["candidate", "parameters", "unverified", "leaderboard_average"]
    heads += ["card_license", "binding_license", "free_license"]
    keys = _keys(comparison)
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
    return untrusted.cell(untrusted.line(text)) if isinstance(text, str) else text


def _each(name: str, records: Iterable[Record]) -> str | None:
    """A field of several records: what they say, each once; None if they say nothing."""
    return " and ".join(distinct(name, records)) or None


def _keys(comparison: Comparison) -> list[Key]:
    keys: list[Key] = [(FINE_TUNING, rank) for rank in comparison.lora_ranks]
    if any(INFERENCE in (record.workload, record.planned_workload) for record in comparison.records):
        keys.append((INFERENCE, None))
    return keys


def _columns(comparison: Comparison) -> list[Column]:
    keys = _keys(comparison)
    sources = [source for source in _SOURCES if any(source.has(row) for row in comparison.rows)]
    figures = []
    if any(row.records for row in comparison.rows):
        figures += [_figures(comparison, sources, key, "s") for key in keys]
    figures += [_figures(comparison, sources, key, "MiB") for key in keys]
    return [
        _facts("candidate", comparison, lambda row: row.candidate.name),
        Column("", ["\n".join(source.name(row) for source in sources if source.has(row)) for row in comparison.rows]),
        _facts("size", comparison, _size),
        _facts("Ko-LLM\naverage", comparison, lambda row: _number(row.candidate.leaderboard_average)),
        _facts("licence", comparison, lambda row: untrusted.line(row.candidate.binding_license)),
        *_devices(comparison),
        *figures,
        Column("within\nbudget", [_within(row, sources) for row in comparison.rows], group="MiB"),
    ]


def _devices(comparison: Comparison) -> list[Column]:
    """Which device each candidate was measured on, where there were several."""
    ran = [record for record in comparison.records if record.planned_workload is None]
    if len(distinct("device", ran)) < 2:  # noqa: PLR2004 - one needs no column
        return []
    return [_facts("device", comparison, lambda row: _each("device", row.records.values()) or _NONE)]


def _size(row: Row) -> str:
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
    return _cell(record, _seconds(record) if unit == "s" else _memory(record)) + ("*" if record.taints else "")


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
    return _words(record.outcome) if record.outcome in _WITHOUT_FIGURES else _number(figure)


def _seconds(record: Record) -> float | None:
    return seconds_a_prompt(record) if record.workload == INFERENCE else record.seconds


def _memory(record: Record) -> float | None:
    figures = (record.peak_device_mib, record.peak_rss_growth_mib, record.allocated_after_mib)
    return next((figure for figure in figures if figure is not None), None)


def _within(row: Row, sources: list[_Source]) -> str:
    return "\n".join(each.within(row) for each in sources if each.has(row)).rstrip()


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _notes(comparison: Comparison) -> list[str]:
    records = comparison.records
    ran = [record for record in records if record.planned_workload is None]
    some = next((record for record in ran if record.tokenizer), None)
    planned = next((record for record in records if record.tokenizer and record.planned_workload), None)
    unverified = [row for row in comparison.rows if row.candidate.unverified]
    return [
        *(_notes_on_measured(some, comparison) if some else ()),
        *measured.capped_notes(ran),
        *measured.limit_notes(ran),
        *measured.plan_notes(ran),
        *(_notes_on_planned(planned, comparison) if planned else ()),
        *((_STUDY,) if any(row.published for row in comparison.rows) else ()),
        *_notes_on_session(records),
        *(f"?: {row.candidate.name} is unverified: {row.candidate.unverified}" for row in unverified),
        *mixed_notes(records),
        *comparison.notes,
        *_notes_on_failures(records),
        *measured.taint_notes(ran),
    ]


def _notes_on_measured(some: Record, comparison: Comparison) -> list[str]:
    ran = [record for record in comparison.records if record.planned_workload is None]
    memory = "growth of the process's resident set"
    if comparison.has_device_memory:
        memory = "most memory on the device"
    elif any(record.allocated_after_mib is not None for record in ran):
        memory = "what was allocated after the run, not the peak"
    label = "here" if some.cap_mib is None else "capped"
    device, scale, weights, tokenizer = (_each(name, ran) for name in ("device", "scale", "weights", "tokenizer"))
    notes = [f"{label}: {device}, {scale} size, {weights} weights, {tokenizer} tokenizer; MiB: {memory}"]
    if comparison.lora_ranks:
        notes.append(f"r{comparison.lora_ranks[0]} s: seconds of the whole fine-tuning run at that LoRA rank")
    if (INFERENCE, None) in _keys(comparison):
        notes.append(
            "prompt s: seconds of inference for one prompt, the median after the warm-up, or of all if none is left, "
            "or the mean where the single times are not known"
        )
    if some.weights == "random" and not comparison.is_rehearsal:
        real = "time and memory are" if comparison.has_device_memory else "time is"
        notes.append(f"weights are random: {real} real, answers are not")
    return notes


def _notes_on_planned(some: Record, comparison: Comparison) -> list[str]:
    estimated = [row.candidate.name for row in comparison.rows if _is_estimated(row)]
    whose = "all candidates" if len(estimated) == len(comparison.rows) else ", ".join(estimated)
    lengths = f"; lengths of {whose} estimated from characters a token" if estimated else ""
    context = "" if some.context_mib is None else f", {some.context_mib:.0f} MiB of it for the CUDA context"
    planned = [record for record in comparison.records if record.planned_workload is not None]
    cards = distinct("device", planned)
    card = f"{some.device}{context}" if len(cards) < 2 else " or ".join(cards)  # noqa: PLR2004
    return [f"plan: what the full-size model would need at most on a {card}{lengths}"]


def _is_estimated(row: Row) -> bool:
    return any(plan.tokenizer == "estimated" for plan in row.plans.values())


def _notes_on_session(records: Sequence[Record]) -> list[str]:
    budgets = " or ".join(dict.fromkeys(f"{record.budget_mib:.0f} MiB" for record in records))
    changed = dict.fromkeys(", ".join(record.protocol_changes) for record in records if record.protocol_changes)
    return [
        f"budget {budgets}, protocol {' or '.join(distinct('protocol_hash', records))}",
        *(f"the protocol differs from the study's: {changes}" for changes in changed),
    ]


def _notes_on_failures(records: Iterable[Record]) -> list[str]:
    not_passed: dict[tuple[str, str | None], list[str]] = {}
    for record in records:
        if record.outcome != "passed":
            not_passed.setdefault((record.outcome, record.reason), []).append(record.case)
    return [f"{_words(outcome)}: {', '.join(cases)}: {reason}" for (outcome, reason), cases in not_passed.items()]


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(untrusted.line(text), width, subsequent_indent="  ", break_on_hyphens=False)
