"""The page's tables of figures that go with no chart: every figure, the study's, what quality is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...base.words import Say
from ...results.comparison import INFERENCE, Comparison, within_budget
from ...results.record import Record
from .. import digits
from .cases import full_size, keys, name_of
from .figure import Column, Table

Form = Callable[[Any], str]
Field = tuple[str, Form]
"""A record's field and how its figure is written; its head and its entry in the glossary are found by its name."""

_MEASURED: tuple[Field, ...] = (
    ("seconds", digits.seconds),
    ("steady_median_seconds", digits.seconds),
    ("steady_iqr_seconds", digits.seconds),
    ("allocated_after_mib", digits.mib),
    ("peak_allocated_mib", digits.mib),
    ("peak_reserved_mib", digits.mib),
    ("peak_device_mib", digits.mib),
    ("peak_rss_growth_mib", digits.mib),
    ("cap_mib", digits.mib),
    ("flops_utilization", digits.share),
    ("bandwidth_utilization", digits.share),
    ("tokens", digits.count),
    ("trainable_parameters", digits.count),
)
_PLANNED: tuple[Field, ...] = (
    ("allocated_after_mib", digits.mib),
    ("peak_allocated_mib", digits.mib),
    ("peak_reserved_mib", digits.mib),
    ("peak_device_mib", digits.mib),
    ("longest_tokens", digits.count),
    ("trainable_parameters", digits.count),
)
_TERMS = {
    "steady_median_seconds": "steady",
    "steady_iqr_seconds": "steady",
    "flops_utilization": "utilization",
    "bandwidth_utilization": "utilization",
    "tokens": "tokens",
    "longest_tokens": "tokens",
}
_UNITS = ("_mib", "_seconds")


def candidates(found: Comparison, say: Say) -> Table:
    """What each candidate is, and whether it keeps to the budget."""
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.parameters")),
        Column(say("head.leaderboard"), "leaderboard"),
        Column(say("head.korean"), is_text=True),
        Column(say("head.card_license"), is_text=True),
        Column(say("head.binding_license"), "license", is_text=True),
        Column(say("head.free_license"), "license", is_text=True),
        Column(say("head.within_budget"), "budget", is_text=True),
        Column(say("head.plan_within_budget"), "budget", is_text=True),
    )
    words = {None: digits.NONE, True: say("listing.yes"), False: say("listing.no")}
    rows = [
        (
            row.candidate.name,
            digits.count(row.candidate.parameters),
            digits.NONE if row.candidate.leaderboard_average is None else f"{row.candidate.leaderboard_average:.2f}",
            say.name("korean", row.candidate.korean),
            row.candidate.card_license,
            row.candidate.binding_license,
            words[row.candidate.free_license],
            words[within_budget(row.records)],
            words[within_budget(row.plans)],
        )
        for row in found.rows
    ]
    return Table(say("listing.candidates"), columns, rows)


def measured(found: Comparison, say: Say) -> Table:
    """Every measured case's figures, replicas' included."""
    records = [(name_of(key, say), row.records[key]) for row in found.rows for key in keys(found) if key in row.records]
    caption = say("listing.measured_replicas" if found.is_rehearsal else "listing.measured")
    return _figures(caption, records, _MEASURED, say)


def planned(found: Comparison, say: Say) -> Table:
    """Every planned case's figures."""
    records = [(name_of(key, say), row.plans[key]) for row in found.rows for key in keys(found) if key in row.plans]
    return _figures(say("listing.planned"), records, _PLANNED, say)


def _figures(caption: str, records: Sequence[tuple[str, Record]], fields: Iterable[Field], say: Say) -> Table:
    shown = [field for field in fields if any(getattr(record, field[0]) is not None for _, record in records)]
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        Column(say("head.outcome"), is_text=True),
        *(Column(say(f"head.{_bare(name)}"), _TERMS.get(name, _bare(name))) for name, _ in shown),
    )
    rows = [
        (
            record.candidate,
            case,
            say.name("outcome", record.outcome) + ("*" if record.taints else ""),
            *(form(getattr(record, name)) for name, form in shown),
        )
        for case, record in records
    ]
    return Table(caption, columns, rows)


def _bare(field: str) -> str:
    """A field's name without its unit."""
    return next((field.removesuffix(unit) for unit in _UNITS if field.endswith(unit)), field)


def published(found: Comparison, say: Say) -> Table:
    """The study's figures beside ours; a mini replica's are none of ours, its plan's memory is."""
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        Column(say("head.study_seconds"), "seconds"),
        Column(say("head.our_seconds"), "seconds"),
        Column(say("head.study_allocated"), "allocated_after"),
        Column(say("head.our_allocated"), "allocated_after"),
        Column(say("head.our_planned"), "plan"),
    )
    rows = []
    for row in found.rows:
        for key in keys(found):
            if (study := row.published.get(key)) is not None:
                record, plan = full_size(row, key), row.plans.get(key)
                figures = (
                    digits.seconds(study.seconds),
                    digits.seconds(None if record is None else _comparable_seconds(record)),
                    digits.mib(study.allocated_after_mib),
                    digits.mib(None if record is None else record.allocated_after_mib),
                    digits.mib(None if plan is None else plan.allocated_after_mib),
                )
                rows.append((row.candidate.name, name_of(key, say), *figures))
    return Table(say("listing.published"), columns, rows, is_open=True)


def _comparable_seconds(record: Record) -> float | None:
    """Seconds as the study took them: a run's, or the mean of its prompts, warm-up included."""
    if record.workload != INFERENCE:
        return record.seconds
    return sum(record.seconds_each) / len(record.seconds_each) if record.seconds_each else None


def quality(found: Comparison, say: Say) -> Table:
    """What each computed score is made of."""
    records = [
        (name_of(key, say) if key[1] else say("answers.untuned"), row.records[key])
        for row in found.rows
        for key in sorted(keys(found), key=lambda key: key[1] or 0)
        if key in row.records and _is_judged(row.records[key])
    ]
    parts = list(dict.fromkeys(name for _, record in records for name in record.quality_parts or ()))
    columns = (
        Column(say("head.candidate"), is_text=True),
        Column(say("head.case"), is_text=True),
        Column(say("head.quality"), "quality"),
        Column(say("head.interval"), "quality"),
        Column(say("head.grade"), "quality", is_text=True),
        *(Column(say.name("part", name), "quality_parts") for name in parts),
        Column(say("head.nats_trained"), "nats_per_character"),
        Column(say("head.nats_held_out"), "nats_per_character"),
    )
    rows = [
        (
            record.candidate,
            case,
            digits.points(record.quality_score),
            digits.NONE.join(map(digits.points, record.quality_interval or ())) or digits.NONE,
            digits.NONE if record.quality_grade is None else say.name("grade", record.quality_grade),
            *(digits.share((record.quality_parts or {}).get(name)) for name in parts),
            digits.nats(record.trained_nats_per_character),
            digits.nats(record.held_out_nats_per_character),
        )
        for case, record in records
    ]
    return Table(say("listing.quality"), columns, rows)


def _is_judged(record: Record) -> bool:
    facts = (record.quality_score, record.trained_nats_per_character, record.held_out_nats_per_character)
    return any(fact is not None for fact in facts)
