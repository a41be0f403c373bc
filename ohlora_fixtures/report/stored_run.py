"""Memory beside a stored run's, as pytest-benchmark sets times beside each other, and the verdict on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..base import safe_text
from ..results.memory_growth import Growth, Limit, MemoryGrowth, date_of, extra_info_of, growth, has_failed, why_not
from ..results.record import Record
from .layout import Column, as_markdown, figures, filled, for_terminal, words

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
    text = partial(filled, width=width)
    parts = _parts(limits, verdicts, text, partial(for_terminal, width=width), text)
    return "\n\n".join([*parts, text(_conclusion(verdicts))])


def markdown(limits: Sequence[Limit], verdicts: Sequence[MemoryGrowth]) -> str:
    """The same as a section of a Markdown page."""
    text = safe_text.markdown
    parts = _parts(limits, verdicts, text, as_markdown, lambda note: f"- {text(note)}")
    return "\n\n".join(["## Memory beside the stored run", *parts, f"**{_conclusion(verdicts)}**"]) + "\n"


def _parts(
    limits: Sequence[Limit],
    verdicts: Iterable[MemoryGrowth],
    text: Callable[[str], str],
    table: Callable[[list[Column]], str],
    note: Callable[[str], str],
) -> Iterator[str]:
    for verdict in verdicts:
        yield text(_sentence(limits, verdict))
        if verdict.exceeded:
            yield table(_columns(verdict))
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


def _sentence(limits: Sequence[Limit], verdict: MemoryGrowth) -> str:
    beyond = len({each.growth.case for each in verdict.exceeded})
    not_compared = len({each.case for each in verdict.not_compared} - set(verdict.compared))
    return (
        f"memory limits {', '.join(limit.text for limit in limits)} over the run of {verdict.stored_run}: "
        f"{_cases(len(verdict.compared))} compared, {beyond} beyond a limit, {not_compared} not compared"
    )


def _conclusion(verdicts: Sequence[MemoryGrowth]) -> str:
    if any(verdict.exceeded for verdict in verdicts):
        return "Memory has grown beyond its limit, so the run fails."
    if has_failed(verdicts):
        found = "no case could be compared with the stored run" if verdicts else "no stored run was found"
        return f"Memory was not compared, so the run fails: {found}."
    return "No memory that could be compared has grown beyond its limit."


def _columns(verdict: MemoryGrowth) -> list[Column]:
    growths = [each.growth for each in verdict.exceeded]
    return [
        words("case\nquantity", (f"{each.case}\n{each.quantity}" for each in growths)),
        figures("stored MiB\nnow MiB", (f"{each.stored_mib:.2f}\n{each.now_mib:.2f}" for each in growths)),
        figures("change", (f"{each.now_mib - each.stored_mib:+.2f}\n{each.change}" for each in growths)),
        words("limit", (each.limit.text for each in verdict.exceeded)),
    ]


def _notes(verdict: MemoryGrowth) -> list[str]:
    """What was not compared, each reason told once, and how much of the stored run was not asked for."""
    by_reason: dict[str, list[str]] = {}
    for each in verdict.not_compared:
        by_reason.setdefault(each.reason, []).append(each.case)
    notes = [f"not compared, {reason}: {', '.join(names)}" for reason, names in by_reason.items()]
    if verdict.unselected:
        notes.append(f"not selected in this run: {_cases(verdict.unselected)} of the stored run")
    return notes


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"
