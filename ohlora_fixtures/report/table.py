"""The comparison as one table, a line a candidate: on a terminal as much as there is room for, in Markdown all."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..base import safe_text
from ..base.messages import Language, Message, message
from ..choice.selection import Selection
from ..inputs.gpu_profiles import DEFAULT, LIST
from ..inputs.pace import PaceBasis
from ..planner.plan import Plan
from ..quality.grading import Quality
from ..results.comparison import Cell, Comparison, Row
from ..results.record import Record
from . import digits
from .choice import source_of
from .layout import Column, Terminal, aligned, as_markdown, for_terminal, needed, width_of
from .notes import budgets_of, devices_of, distinct, meaning_of_mib, rows_used
from .words import Say, cut, head_in

_PROMPT, _STUDY = "prompt", "the study's figures"
_SHORTEST_NAME = 20
"""A candidate's name keeps this many columns: cut further, names are hard to tell apart."""
_CORE = 3
"""Columns up to this importance are worth a shorter name."""

_ANOTHER_CARD = (
    f"planned for the default card: name yours with --gpu-profile NAME; --gpu-profile {LIST} shows the names"
)
_MARKS = {"~": "table.mark_planned", "*": "table.mark_doubtful", "OOM": "table.mark_out_of_memory"}
"""What must be told of, where it stands in a table."""
_LONGEST_VERDICT = 20
"""Characters: beyond it the variants that fit are counted, not named."""
_WORDS = {"out_of_memory": "OOM", "error": "error", "failed": "failed", "skipped": "skipped"}
_ENDS = {"fits", "over", "failed", "not_judged", "error", "skipped"}
_COLOURS = {"fits": "green", "over": "red", "failed": "red"}


@dataclass(frozen=True)
class _Offer:
    """A column, or several of which none says much alone, if there is room for them."""

    columns: tuple[Column, ...]
    importance: int
    """The lower, the earlier it gets its room."""
    what: str
    """What is missing without it."""
    of: str = ""
    """Of which case, where several offers show the same."""


def terminal(comparison: Comparison, selection: Selection | None, terminal: Terminal) -> str:
    """The table, what its figures are, and what there was no room for; with `-v` all, in tables one below another."""
    if not comparison.rows:
        return "nothing has been measured or planned"
    glance = _Glance(comparison, selection)
    shown, missing = list(glance.offers()), list[str]()
    core = [offer for offer in shown if offer.importance <= _CORE]
    most = max(_SHORTEST_NAME, terminal.width - needed(_columns(core)))
    names = Column("candidate", [cut(row.candidate.name, most, width_of) for row in comparison.rows])
    if terminal.verbosity > 0:
        table = for_terminal([names, *_columns(shown)], terminal.width, terminal.paint)
    else:
        shown, missing = _fitted(shown, terminal.width - names.width)
        table = aligned([names, *_columns(shown)], terminal.paint)
    told = [str(glance.meaning(shown))]
    if missing:
        told.append(f"not shown for lack of room: {', '.join(missing)}; -v, report.html and comparison.md have all")
    parts = [table, "\n".join(map(terminal.filled, told))]
    return "\n\n".join([terminal.filled(_ANOTHER_CARD), *parts] if glance.is_for_default_card else parts)


def markdown(comparison: Comparison, selection: Selection | None, language: Language) -> str:
    """The whole table, its headings in the language, and what its figures are."""
    glance, say = _Glance(comparison, selection), Say(language)
    names = Column("candidate", [row.candidate.name for row in comparison.rows])
    offers = list(glance.offers())
    columns = [replace(each, cells=[in_language(cell, say) for cell in each.cells]) for each in _columns(offers)]
    headed = [replace(each, head=head_in(each.head, say)) for each in (names, *columns)]
    told = [safe_text.markdown(glance.meaning(offers).text(language))] if comparison.rows else []
    return "\n\n".join([as_markdown(headed), *told])


def in_language(cell: str, say: Say) -> str:
    """A verdict or the end of a case in a language; every other cell as it is."""
    if cell.startswith("only "):
        which = cell.removeprefix("only ")
        return say("verdict.only", which=say("case.inference") if which == "inference" else which)
    key = cell.replace(" ", "_")
    return say.name("verdict", key, say.name("outcome", key)) if key in _ENDS else cell


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
        self._ran, self._planned = comparison.measured, comparison.plans
        options = (*selection.ranking, *selection.judged_besides) if selection else ()
        self._qualities: dict[tuple[str, str], Quality] = {
            (each.candidate.name, each.variant): each.quality for each in options if each.quality
        }
        self._is_measured = comparison.has_device_memory
        profiles = distinct(record.environment.gpu_profile for record in self._planned)
        self.is_for_default_card = profiles == [DEFAULT] and not self._is_measured
        # A replica's seconds say nothing beside what the full-size model needs.
        self._is_timed = bool(self._ran) and not (comparison.is_rehearsal and self._planned)
        self._timed = [each.plan for each in self._planned if each.plan and each.plan.seconds]

    def offers(self) -> Iterator[_Offer]:
        """Every column after the candidates' names, in the order in which they stand."""
        rows = self._comparison.rows
        verdict = Column(
            "verdict",
            [verdict_of(row, self._comparison.variants) for row in rows],
            colour=lambda word: _COLOURS.get(word, "yellow"),
        )
        yield _Offer((verdict,), 0, "verdict")
        if self._qualities:
            yield self._words("grade", self._grade, 2)
        for of, column in self._by_case("MiB", self._memory):
            yield _Offer((column,), 5 if of == _PROMPT else 1, "MiB", of)
        if self._is_timed or self._timed:
            for of, column in self._by_case("s", self._seconds):
                yield _Offer((column,), 4 if of == _PROMPT else 3, "seconds", of)
        if len(devices_of(self._ran)) > 1:
            yield self._words("device", lambda row: " and ".join(devices_of(row.measured)), 6)
        differs = any(each.needs_device_mib != each.peak_device_mib for each in self._planned)
        if differs and not self._is_measured:
            takes = tuple(column for _, column in self._by_case("MiB\nwith room", _planned_peak))
            yield _Offer(takes, 10, "what is taken where there is room")
        yield self._words("size", size_of, 7)
        yield self._words("Ko-LLM\naverage", lambda row: digits.points(row.candidate.leaderboard_average), 8)
        yield self._words("licence", lambda row: row.candidate.binding_license, 9)
        if self._is_measured and self._planned:
            yield _Offer(tuple(column for _, column in self._by_case("MiB\nplan", _planned_peak)), 10, "the plan")
        if any(cell.published for row in rows for cell in row.cells.values()):
            both = [*self._by_case("s\nstudy", _study_seconds), *self._by_case("MiB\nstudy", _study_mib)]
            yield _Offer(tuple(column for _, column in both), 11, _STUDY)

    def meaning(self, shown: Iterable[_Offer]) -> Message:
        """What the figures are."""
        shown = list(shown)
        where, what = [message("table.measured", device=_on(self._ran))], meaning_of_mib(self._comparison)
        if self._planned and not self._is_measured:
            timed = [message("table.seconds_measured", device=_on(self._ran))] if self._is_timed else []
            where = [message("table.planned", card=devices_of(self._planned)), *timed]
            what = message("mib.needs")
        told = [message("table.seconds")] if any(offer.what == "seconds" for offer in shown) else []
        if told and any("~" in cell for offer in shown if offer.what == "seconds" for cell in offer.columns[0].cells):
            told += _spread_of(self._timed)
        if self._qualities:
            told.append(message("table.grade", source=list(dict.fromkeys(map(source_of, self._qualities.values())))))
        figures = "".join(cell for column in _columns(shown) if not column.is_text for cell in column.cells)
        told += [message(key) for mark, key in _MARKS.items() if mark in figures]
        if any(offer.what == _STUDY for offer in shown):
            told.append(message("table.study"))
        records, more = self._comparison.records, message("table.more", what=told) if told else ""
        rows = [message("table.rows", rows=rows_used(records))] if rows_used(records) else []
        return message("table.meaning", where=where, budgets=budgets_of(records), rows=rows, what=what, told=more)

    def _words(self, head: str, cell: Callable[[Row], str], importance: int) -> _Offer:
        column = Column(head, [cell(row) for row in self._comparison.rows])
        return _Offer((column,), importance, head.replace("\n", " "))

    def _by_case(self, head: str, write: Callable[[Cell], str]) -> Iterator[tuple[str, Column]]:
        """What each case is called, and its column."""
        for variant in self._comparison.columns:
            of = variant or _PROMPT
            cells = [write(row.cell(variant)) for row in self._comparison.rows]
            yield of, Column(f"{of}\n{head}", cells, is_text=False, group=head)

    def _memory(self, cell: Cell) -> str:
        """What a case needs on the device; a word where it did not come to that.

        Where anything of a device was measured, a planned figure is marked. Where nothing was measured or planned of
        one, it is what there is in its place.
        """
        record, is_planned = cell.measured, bool(self._planned)
        if record and record.peak_device_mib is not None and record.outcome.kind != "out_of_memory":
            return digits.mib(record.peak_device_mib) + _doubt(record)
        if record and record.outcome.kind in _WORDS and (self._is_measured or not is_planned):
            return _WORDS[record.outcome.kind]
        if is_planned:
            is_marked = self._is_measured and cell.plan and cell.plan.peak_device_mib is not None
            return f"{'~' if is_marked else ''}{_planned(cell, 'needs_device_mib')}"
        return digits.mib(record.memory_mib if record else None)

    def _seconds(self, cell: Cell) -> str:
        """What a case took; as planned, which is marked, where nothing of the full-size model was measured."""
        record, plan = cell.measured if self._is_timed else None, cell.plan
        if (record is None or record.seconds is None) and plan is not None and plan.seconds is not None:
            return f"~{digits.roughly(plan.seconds)}"
        return digits.NONE if record is None else digits.seconds(record.seconds) + _doubt(record)

    def _grade(self, row: Row) -> str:
        """One grade, or if variants differ, each variant's."""
        found = [self._qualities.get((row.candidate.name, variant)) for variant in self._comparison.variants]
        grades = [quality.grade if quality else digits.NONE for quality in found]
        known = set(grades) - {digits.NONE}
        return "/".join(grades) if len(known) > 1 else next(iter(known), digits.NONE)


def verdict_of(row: Row, variants: Collection[str]) -> str:
    """`fits`, `over`, `failed`, `not judged`, or `only r16/r32` or `only 4 of 6` for the variants in which it fits.

    `variants` are those of the whole comparison. What cannot answer within the budget fits in none of them. What can,
    and is known in none of them, is `only inference`.
    """
    answering = row.cell(None).fit.verdict
    by_variant = {case.variant: cell.fit.verdict for case, cell in row.cells.items() if case.variant and cell.records}
    known = set(by_variant.values()) - {"not_judged"}
    if answering in ("over", "failed") or not known:
        return "only inference" if answering == "fits" and variants else answering.replace("_", " ")
    if known == {"fits"}:
        return "fits"
    fitting = [variant for variant, verdict in by_variant.items() if verdict == "fits"]
    if not fitting:
        return "over" if "over" in known else "failed"
    named = f"only {'/'.join(fitting)}"
    return named if len(named) <= _LONGEST_VERDICT else f"only {len(fitting)} of {len(by_variant)}"


def size_of(row: Row) -> str:
    """A candidate's parameters, in words."""
    return f"{row.candidate.parameters / 1e9:.2f} B{'?' if row.candidate.unverified else ''}"


def _planned_peak(cell: Cell) -> str:
    return _planned(cell, "peak_device_mib")


def _planned(cell: Cell, name: str) -> str:
    if cell.plan is None:
        return digits.NONE
    mib = getattr(cell.plan, name)
    return _WORDS.get(cell.plan.outcome.kind, digits.NONE) if mib is None else digits.mib(mib)


def _spread_of(plans: Iterable[Plan]) -> Iterator[Message]:
    """What planned seconds rest on, and how far they may be off."""
    factors: dict[PaceBasis, float] = {}
    for plan in plans:
        if plan.seconds and plan.seconds_high and plan.seconds_basis:
            factors[plan.seconds_basis] = max(plan.seconds_high / plan.seconds, factors.get(plan.seconds_basis, 1.0))
    return (message(f"table.seconds_planned_{basis}", factor=factor) for basis, factor in factors.items())


def _study_seconds(cell: Cell) -> str:
    return digits.seconds(cell.published.seconds if cell.published else None)


def _study_mib(cell: Cell) -> str:
    return digits.mib(cell.published.allocated_after_mib if cell.published else None)


def _doubt(record: Record) -> str:
    return "*" if record.taints else ""


def _on(records: Sequence[Record]) -> Message | str:
    devices = devices_of(records)
    on = message("table.devices", count=len(devices)) if len(devices) > 1 else "".join(devices)
    return message("table.capped", device=on) if any(record.measured.cap_mib is not None for record in records) else on
