"""Memory beside a stored run's, as pytest-benchmark sets times beside each other, and the verdict on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..base import safe_text
from ..base.messages import Language, Message, message
from ..results.memory_growth import (
    Growth,
    Limit,
    MemoryGrowth,
    NotCompared,
    date_of,
    extra_info_of,
    growth,
    has_failed,
    why_not,
)
from ..results.record import Record
from .layout import Column, as_markdown, figures, filled, for_terminal, words
from .words import Say, head_in

_QUANTITIES = ("peak_device_mib", "peak_reserved_mib", "peak_rss_growth_mib")
"""The first that both runs have is compared."""


def memory_beside(records: Iterable[Record], stored_run: Mapping[str, Any]) -> str:
    """A line for each case that also stands in a run stored by pytest-benchmark, with memory in its `extra_info`.

    A stored case of another device, scale, other weights or another protocol is told apart, not compared.
    """
    stored = extra_info_of(stored_run)
    lines = [_line(record, stored[record.case.id]) for record in records if record.case.id in stored]
    return "\n".join(map(safe_text.line, [f"memory beside the run of {date_of(stored_run)}:", *lines]))


def terminal(limits: Sequence[Limit], verdicts: Sequence[MemoryGrowth], width: int) -> str:
    """The verdicts of every stored run for a terminal of `width` characters."""

    def told(what: Message) -> str:
        return filled(str(what), width)

    parts = _parts(limits, verdicts, told, lambda each: for_terminal(_columns(each, Say("en")), width), told)
    return "\n\n".join([*parts, told(_conclusion(verdicts))])


def markdown(limits: Sequence[Limit], verdicts: Sequence[MemoryGrowth], language: Language) -> str:
    """The same as a section of a Markdown page in a language."""

    def told(what: Message) -> str:
        return safe_text.markdown(what.text(language))

    def table(verdict: MemoryGrowth) -> str:
        return as_markdown(_columns(verdict, Say(language)))

    parts = _parts(limits, verdicts, told, table, lambda note: f"- {told(note)}")
    heading, conclusion = told(message("stored.heading")), told(_conclusion(verdicts))
    return "\n\n".join([f"## {heading}", *parts, f"**{conclusion}**"]) + "\n"


def _parts(
    limits: Sequence[Limit],
    verdicts: Iterable[MemoryGrowth],
    told: Callable[[Message], str],
    table: Callable[[MemoryGrowth], str],
    note: Callable[[Message], str],
) -> Iterator[str]:
    for verdict in verdicts:
        yield told(_summary(limits, verdict))
        if verdict.exceeded:
            yield table(verdict)
        if notes := _notes(verdict):
            yield "\n".join(map(note, notes))


def _line(record: Record, stored: Mapping[str, Any]) -> str:
    reason = why_not(record, stored)
    if reason is not None:
        return f"{record.case.id}: neither memory nor times compared: {reason}"
    for quantity in _QUANTITIES:
        found = growth(record, stored, (quantity,))
        if isinstance(found, Growth):
            told = f"{quantity} {found.now_mib:.2f}, stored {found.stored_mib:.2f} ({found.change})"
            return f"{record.case.id}: {told}"
    return f"{record.case.id}: no memory figure in both runs"


def _summary(limits: Sequence[Limit], verdict: MemoryGrowth) -> Message:
    return message(
        "stored.summary",
        limits=[limit.text for limit in limits],
        run=verdict.stored_run,
        compared=_cases(len(verdict.compared)),
        count1=len({each.growth.case for each in verdict.exceeded}),
        count2=len({each.case for each in verdict.not_compared} - set(verdict.compared)),
    )


def _conclusion(verdicts: Sequence[MemoryGrowth]) -> Message:
    if any(verdict.exceeded for verdict in verdicts):
        return message("stored.grown")
    if has_failed(verdicts):
        return message("stored.none_compared" if verdicts else "stored.none_stored")
    return message("stored.not_grown")


def _columns(verdict: MemoryGrowth, say: Say) -> list[Column]:
    growths = [each.growth for each in verdict.exceeded]
    columns = [
        words("case\nquantity", (f"{each.case}\n{each.quantity}" for each in growths)),
        figures("stored MiB\nnow MiB", (f"{each.stored_mib:.2f}\n{each.now_mib:.2f}" for each in growths)),
        figures(
            "change", (f"{each.now_mib - each.stored_mib:+.2f}\n{each.change.text(say.language)}" for each in growths)
        ),
        words("limit", (each.limit.text for each in verdict.exceeded)),
    ]
    return [replace(each, head="\n".join(head_in(line, say) for line in each.head.split("\n"))) for each in columns]


def _notes(verdict: MemoryGrowth) -> list[Message]:
    """What was not compared, each reason told once, and how much of the stored run was not asked for."""
    by_reason: dict[str, list[NotCompared]] = {}
    for each in verdict.not_compared:
        by_reason.setdefault(str(each.reason), []).append(each)
    notes = [
        message("stored.not_compared", reason=alike[0].reason, names=[each.case for each in alike])
        for alike in by_reason.values()
    ]
    if verdict.unselected:
        notes.append(message("stored.not_selected", cases=_cases(verdict.unselected)))
    return notes


def _cases(count: int) -> Message:
    return message("stored.one_case") if count == 1 else message("stored.cases", count=count)
