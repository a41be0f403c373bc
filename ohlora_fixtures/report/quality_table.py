"""How good answers are, as Markdown: the computed score with its parts, and what the models expect of other rows."""

from __future__ import annotations

from collections.abc import Iterable

from ..results.comparison import Comparison
from ..results.record import Record
from .columns import Column, as_markdown

_HEADING = (
    "The computed score, 0 to 100, with its 95 % interval over the prompts; `said` is what is left of the answers "
    "after the faults, of which the share of each stands beside it; `expected` is the share of the characters' "
    "entropy that the model takes away from rows it was not trained on. Nats are a character of the dataset's own "
    "answers, before → after fine-tuning."
)
_PARTS = ("said", "expected", "empty", "same", "repetition", "foreign", "cut_off", "stray_beginning")


def markdown(comparison: Comparison) -> str:
    """A section with a row for each judged model, untuned or tuned; empty without any."""
    records = [record for record in comparison.records if record.quality_score is not None]
    if not records:
        return ""
    columns = [
        Column("model", [_name(record) for record in records]),
        _column("score", (f"{record.quality_score:.1f}" for record in records)),
        _column("95 %", (" to ".join(f"{end:.1f}" for end in record.quality_interval or ()) for record in records)),
        Column("grade", [record.quality_grade or "" for record in records]),
    ]
    for part in _PARTS:
        cells = [(record.quality_parts or {}).get(part) for record in records]
        columns.append(_column(part.replace("_", " "), ("-" if cell is None else f"{cell:.2f}" for cell in cells)))
    columns += [
        _column(f"nats, {rows.replace('_', '-')} rows", (_nats(record, rows) for record in records))
        for rows in ("trained", "held_out")
    ]
    columns.append(Column("overfitted", ["yes" if record.is_overfitted else "" for record in records]))
    return "\n\n".join(["## How good the answers are", _HEADING, as_markdown(columns)]) + "\n"


def _name(record: Record) -> str:
    return f"{record.candidate}, {'untuned' if record.lora_rank is None else f'r{record.lora_rank}'}"


def _nats(record: Record, rows: str) -> str:
    names = (f"untuned_{rows}_nats_per_character", f"{rows}_nats_per_character")
    figures = [getattr(record, name) for name in names]
    return " → ".join(f"{figure:.2f}" for figure in figures if figure is not None) or "-"


def _column(head: str, cells: Iterable[str]) -> Column:
    return Column(head, list(cells), is_text=False)
