"""The comparison as text: for a terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
import statistics
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

from ..comparison import FINE_TUNING, INFERENCE, Comparison, Key, Published, Row
from ..records import Record

_NONE = "-"
_REHEARSAL = (
    "REHEARSAL: every candidate ran as a mini replica with random weights. The cases are real runs of the code, but "
    "their times and memory compare nothing: neither the candidates nor this machine with another."
)
_WITHOUT_FIGURES = ("out_of_memory", "error", "failed", "skipped")


@dataclass(frozen=True)
class Column:
    """One column of the table: its head, and a cell of one or two lines for each row."""

    head: str
    """The head, lines separated by newlines."""
    cells: list[str]
    """Here's figure and, on a second line, the study's."""
    is_text: bool = True
    """Whether it reads from the left, as words do, and not from the right, as figures do."""

    @property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(len(line) for text in (self.head, *self.cells) for line in text.split("\n"))


def terminal(comparison: Comparison, width: int) -> str:
    """The table for a terminal of `width` characters; columns that do not fit go into a table below."""
    tables = ["\n".join(_aligned(block)) for block in _blocks(_columns(comparison), width)]
    notes = "\n".join(_wrapped(note, width) for note in _notes(comparison))
    warning = [_wrapped(_REHEARSAL, width)] if comparison.is_rehearsal else []
    return "\n\n".join([*warning, *tables, notes])


def markdown(comparison: Comparison) -> str:
    """The table as a Markdown page."""
    columns = _columns(comparison)
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [
        [column.head for column in columns],
        [":---" if column.is_text else "---:" for column in columns],
        *([cell.replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in rows),
    ]
    table = "\n".join(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in line)} |" for line in lines)
    notes = "\n".join(f"- {note}" for note in _notes(comparison))
    warning = [f"> **{_REHEARSAL}**"] if comparison.is_rehearsal else []
    return "\n\n".join(["# Comparison", *warning, table, notes]) + "\n"


def comma_separated(comparison: Comparison) -> str:
    """The table as CSV: a line a candidate, plain numbers, an empty cell for what is not known."""
    heads = ["candidate", "parameters", "leaderboard_average", "card_license", "binding_license", "free_license"]
    keys = _keys(comparison)
    for workload, rank in keys:
        prefix = workload if rank is None else f"{workload}_r{rank}"
        heads += [f"{prefix}_{name}" for name in ("outcome", *_RECORD_FIGURES)]
        heads += [f"study_{prefix}_{name}" for name in ("seconds", "allocated_after_mib")]
    heads += ["within_budget", "scale", "weights", "device", "protocol_hash"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    for row in comparison.rows:
        candidate = row.candidate
        line: list[object] = [candidate.name, candidate.parameters, candidate.leaderboard_average]
        line += [candidate.card_license, candidate.binding_license, candidate.free_license]
        for key in keys:
            record, published = row.records.get(key), row.published.get(key)
            line += [getattr(record, name, None) for name in ("outcome", *_RECORD_FIGURES)]
            line += [getattr(published, name, None) for name in ("seconds", "allocated_after_mib")]
        some = next(iter(row.records.values()))
        line += [row.within_budget(), some.scale, some.weights, some.device, some.protocol_hash]
        writer.writerow(line)
    return buffer.getvalue()


_RECORD_FIGURES = (
    "seconds",
    "steady_median_seconds",
    "allocated_after_mib",
    "peak_allocated_mib",
    "peak_reserved_mib",
    "peak_device_mib",
    "peak_rss_growth_mib",
)


def _keys(comparison: Comparison) -> list[Key]:
    keys: list[Key] = [(FINE_TUNING, rank) for rank in comparison.lora_ranks]
    if any(record.workload == INFERENCE for record in comparison.records):
        keys.append((INFERENCE, None))
    return keys


def _columns(comparison: Comparison) -> list[Column]:
    keys = _keys(comparison)
    return [
        _facts("candidate", comparison, lambda row: row.candidate.name),
        Column("", ["here\nstudy" if row.published else "here" for row in comparison.rows]),
        _facts("size", comparison, lambda row: f"{row.candidate.parameters / 1e9:.2f} B"),
        _facts("Ko-LLM\naverage", comparison, lambda row: _number(row.candidate.leaderboard_average)),
        _facts("licence", comparison, lambda row: row.candidate.binding_license),
        *(
            _figures(
                "prompt\ns" if rank is None else f"r{rank}\ns", comparison, (workload, rank), _seconds, _study_seconds
            )
            for workload, rank in keys
        ),
        *(
            _figures(
                "prompt\nMiB" if rank is None else f"r{rank}\nMiB", comparison, (workload, rank), _memory, _study_memory
            )
            for workload, rank in keys
        ),
        _facts("within\nbudget", comparison, _within),
    ]


def _facts(head: str, comparison: Comparison, cell: Callable[[Row], str]) -> Column:
    return Column(head, [cell(row) for row in comparison.rows])


def _figures(
    head: str,
    comparison: Comparison,
    key: Key,
    here: Callable[[Record], float | None],
    study: Callable[[Published], float],
) -> Column:
    cells = []
    for row in comparison.rows:
        record, published = row.records.get(key), row.published.get(key)
        first = _NONE if record is None else _here(record, here(record))
        cells.append(f"{first}\n{_number(study(published))}" if published else first)
    return Column(head, cells, is_text=False)


def _here(record: Record, figure: float | None) -> str:
    return _words(record.outcome) if record.outcome in _WITHOUT_FIGURES else _number(figure)


def _seconds(record: Record) -> float | None:
    if record.workload != INFERENCE:
        return record.seconds
    if record.steady_median_seconds is None and record.seconds_each:
        return statistics.median(record.seconds_each)
    return record.steady_median_seconds


def _memory(record: Record) -> float | None:
    return record.peak_device_mib if record.peak_device_mib is not None else record.peak_rss_growth_mib


def _study_seconds(published: Published) -> float:
    return published.seconds


def _study_memory(published: Published) -> float:
    return published.allocated_after_mib


def _within(row: Row) -> str:
    verdict = row.within_budget()
    return "not judged" if verdict is None else "yes" if verdict else "no"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    some = next((record for record in comparison.records if record.tokenizer), None)
    has_study = any(row.published for row in comparison.rows)
    if comparison.lora_ranks:
        notes.append(f"r{comparison.lora_ranks[0]} s: seconds of the whole fine-tuning run at that LoRA rank")
    if (INFERENCE, None) in _keys(comparison):
        notes.append(
            "prompt s: seconds of inference for one prompt, the median after the warm-up, or of all if none is left"
        )
    memory = "most memory on the device" if comparison.has_device_memory else "growth of the process's resident set"
    notes.append(f"MiB: {memory}")
    if has_study:
        notes.append(
            "study: the published figures, from a Colab T4 with 15 GB; its prompt s is the mean, "
            "its MiB what was allocated after the run, not the peak"
        )
    if some is not None:
        notes.append(f"here: {some.device}, {some.scale} size, {some.weights} weights, {some.tokenizer} tokenizer")
        notes.append(f"budget {some.budget_mib:.0f} MiB, protocol {some.protocol_hash}")
        if some.weights == "random" and not comparison.is_rehearsal:
            real = "time and memory are" if comparison.has_device_memory else "time is"
            notes.append(f"weights are random: {real} real, answers are not")
        if some.protocol_changes:
            notes.append("the protocol differs from the study's: " + ", ".join(some.protocol_changes))
    not_passed: dict[tuple[str, str | None], list[str]] = {}
    for record in comparison.records:
        if record.outcome != "passed":
            not_passed.setdefault((record.outcome, record.reason), []).append(record.case)
    notes += [f"{_words(outcome)}: {', '.join(cases)}: {reason}" for (outcome, reason), cases in not_passed.items()]
    return notes


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _aligned(columns: list[Column]) -> list[str]:
    lines: list[str] = []
    heads = [column.head for column in columns]
    for texts in (heads, ["-" * column.width for column in columns], *zip(*(c.cells for c in columns), strict=True)):
        for parts in zip_longest(*(text.split("\n") for text in texts), fillvalue=""):
            placed = (
                part.ljust(column.width) if column.is_text else part.rjust(column.width)
                for part, column in zip(parts, columns, strict=True)
            )
            lines.append("  ".join(placed).rstrip())
    return lines


def _blocks(columns: list[Column], width: int) -> list[list[Column]]:
    """Split columns into tables that fit, each beginning with the first two."""
    heads, rest = columns[:2], columns[2:]
    blocks = [list(heads)]
    for column in rest:
        used = sum(other.width + 2 for other in blocks[-1])
        if used + column.width > width and len(blocks[-1]) > len(heads):
            blocks.append(list(heads))
        blocks[-1].append(column)
    return blocks
