"""The comparison at a glance: one table, a line a candidate, as much of it as a terminal is wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..choice.selection import Selection
from ..results.comparison import Comparison, Key, Row
from ..results.record import Record
from . import cells
from .choice_text import SOURCES
from .columns import Column, aligned, needed
from .fitting import Terminal, cut
from .mixed import distinct
from .notes import meaning_of_mib
from .table import keys_of, size_of
from .verdicts import colour_of, verdict

_PROMPT, _STUDY = "prompt", "the study's figures"
_SHORTEST_NAME = 20
"""A candidate's name keeps this many columns: cut further, names are hard to tell apart."""
_CORE = 3
"""Columns up to this importance are worth a shorter name."""


@dataclass(frozen=True)
class _Offer:
    """A column, or several of which none says much alone, if there is room for them."""

    columns: tuple[Column, ...]
    """The columns."""
    importance: int
    """The lower, the earlier it gets its room."""
    what: str
    """What is missing without it."""
    of: str = ""
    """Of which case, where several offers show the same."""


def overview(comparison: Comparison, selection: Selection | None, terminal: Terminal) -> str:
    """The table, what its figures are, and what there was no room for."""
    if not comparison.rows:
        return "nothing has been measured or planned"
    glance = _Glance(comparison, selection)
    offers = list(glance.offers())
    core = [offer for offer in offers if offer.importance <= _CORE]
    most = max(_SHORTEST_NAME, terminal.width - needed(_columns(core)))
    names = Column("candidate", [cut(row.candidate.name, most) for row in comparison.rows])
    shown, missing = _fitted(offers, terminal.width - names.width)
    told = [glance.meaning(shown)]
    if missing:
        told.append(f"not shown for lack of room: {', '.join(missing)}; -v, report.html and comparison.md have all")
    table = aligned([names, *_columns(shown)], terminal.paint)
    return "\n\n".join([table, "\n".join(map(terminal.filled, told))])


def _fitted(offers: Sequence[_Offer], room: int) -> tuple[list[_Offer], list[str]]:
    """Those that there is room for, in their order, and what is missing without the others."""
    shown: list[_Offer] = []
    missing: dict[str, list[str]] = {}
    for offer in sorted(offers, key=lambda each: each.importance):
        if offer.what not in missing and needed(_columns([*shown, offer])) <= room:
            shown.append(offer)
        else:
            missing.setdefault(offer.what, []).append(offer.of)
    told = [what + (f" ({', '.join(of)})" if all(of) else "") for what, of in missing.items()]
    return [offer for offer in offers if offer in shown], told


def _columns(offers: Iterable[_Offer]) -> list[Column]:
    return [column for offer in offers for column in offer.columns]


class _Glance:
    """A comparison's columns, and what they mean."""

    def __init__(self, comparison: Comparison, selection: Selection | None) -> None:
        self._comparison = comparison
        self._ran = [record for record in comparison.records if record.planned_workload is None]
        self._planned = [record for record in comparison.records if record.planned_workload is not None]
        options = selection.ranking if selection else ()
        self._qualities = {(each.candidate.name, each.lora_rank): each.quality for each in options if each.quality}
        self._is_measured = comparison.has_device_memory
        # A replica's seconds say nothing beside what the full-size model needs.
        self._is_timed = bool(self._ran) and not (comparison.is_rehearsal and self._planned)

    def offers(self) -> Iterator[_Offer]:
        """Every column after the candidates' names, in the order in which they stand."""
        rows = self._comparison.rows
        yield _Offer((Column("verdict", [verdict(row) for row in rows], colour=colour_of),), 0, "verdict")
        if self._qualities:
            yield self._words("grade", self._grade, 2)
        for of, column in self._by_case("MiB", self._memory):
            yield _Offer((column,), 5 if of == _PROMPT else 1, "MiB", of)
        if self._is_timed:
            for of, column in self._by_case("s", cells.seconds):
                yield _Offer((column,), 4 if of == _PROMPT else 3, "seconds", of)
        if len(distinct("device", self._ran)) > 1:
            yield self._words("device", lambda row: " and ".join(distinct("device", row.records.values())), 6)
        yield self._words("size", size_of, 7)
        yield self._words("Ko-LLM\naverage", lambda row: cells.in_form(row.candidate.leaderboard_average, ".2f"), 8)
        yield self._words("licence", lambda row: row.candidate.binding_license, 9)
        if self._is_measured and self._planned:
            yield _Offer(tuple(column for _, column in self._by_case("MiB\nplan", cells.planned_mib)), 10, "the plan")
        if any(row.published for row in rows):
            both = [*self._by_case("s\nstudy", cells.study_seconds), *self._by_case("MiB\nstudy", cells.study_mib)]
            yield _Offer(tuple(column for _, column in both), 11, _STUDY)

    def meaning(self, shown: Iterable[_Offer]) -> str:
        """What the figures are."""
        shown = list(shown)
        where, what = f"measured on {_on(self._ran)}", meaning_of_mib(self._comparison)
        if self._planned and not self._is_measured:
            timed = f", seconds {where}" if self._is_timed else ""
            where = f"planned at full size for a {' or '.join(distinct('device', self._planned))}{timed}"
            what = "most memory on the device"
        budgets = dict.fromkeys(f"{record.budget_mib:.0f}" for record in self._comparison.records)
        told = [f"MiB: {what}"]
        if any(offer.what == "seconds" for offer in shown):
            told.append("s: of the whole fine-tuning, or of one prompt")
        if self._qualities:
            judges = dict.fromkeys(SOURCES[quality.source] for quality in self._qualities.values())
            told.append(f"grade: by {' or '.join(judges)}")
        figures = "".join(cell for column in _columns(shown) if not column.is_text for cell in column.cells)
        told += [f"{mark}: {meaning}" for mark, meaning in cells.MARKS.items() if mark in figures]
        if any(offer.what == _STUDY for offer in shown):
            told.append("study: as published, on a Colab T4, its MiB after the run and not the peak")
        return f"{where}, budget {' or '.join(budgets)} MiB. {'; '.join(told)}"

    def _words(self, head: str, cell: Callable[[Row], str], importance: int) -> _Offer:
        return _Offer(
            (Column(head, [cell(row) for row in self._comparison.rows]),), importance, head.replace("\n", " ")
        )

    def _by_case(self, head: str, cell: Callable[[Row, Key], str]) -> Iterator[tuple[str, Column]]:
        """What each case is called, and its column."""
        for key in keys_of(self._comparison):
            of = _PROMPT if key[1] is None else f"r{key[1]}"
            yield of, Column(f"{of}\n{head}", [cell(row, key) for row in self._comparison.rows], is_text=False)

    def _memory(self, row: Row, key: Key) -> str:
        return cells.mib(row, key, is_measured=self._is_measured, is_planned=bool(self._planned))

    def _grade(self, row: Row) -> str:
        """One grade, or if ranks differ, each rank's."""
        found = [self._qualities.get((row.candidate.name, rank)) for rank in self._comparison.lora_ranks]
        grades = [quality.grade if quality else cells.NONE for quality in found]
        known = set(grades) - {cells.NONE}
        return "/".join(grades) if len(known) > 1 else next(iter(known), cells.NONE)


def _on(records: Iterable[Record]) -> str:
    """Which device."""
    devices = distinct("device", records)
    several = f"{len(devices)} devices" if len(devices) > 1 else "".join(devices)
    return f"{several} (capped)" if any(record.cap_mib is not None for record in records) else several
