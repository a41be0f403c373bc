"""Tables of cases, the same in Markdown and on the page: what a row is about, and its figures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..planner.plan import Plan
from ..results.comparison import Cell, Comparison
from ..results.record import Record
from . import digits
from .layout import Column, figures, words
from .quantities import Quantity, known
from .words import Say


@dataclass(frozen=True)
class Shown:
    """A case, with all that is drawn and listed of it."""

    number: int
    """The candidate's place among all, from 1 on."""
    candidate: str
    place: int
    """The variant's place among all, which gives its colour and shape."""
    variant: str | None
    """None for inference."""
    name: str
    """What it is called beside its candidate."""
    cell: Cell

    @property
    def full_name(self) -> str:
        """Candidate and case."""
        return f"{self.candidate} {self.name}"

    @property
    def full_size(self) -> Record | None:
        """What was measured, unless a mini replica stood in for it: its time and memory compare nothing."""
        record = self.cell.measured
        return None if record is None or record.environment.scale == "mini" else record

    @property
    def plan(self) -> Plan | None:
        """What was planned."""
        return self.cell.plan.plan if self.cell.plan else None


_Known = TypeVar("_Known")


def known_of(cases: Iterable[Shown], read: Callable[[Shown], _Known | None]) -> tuple[list[Shown], list[_Known]]:
    """The cases of which something is known, and what is."""
    found = [(case, each) for case in cases if (each := read(case)) is not None]
    return [case for case, _ in found], [each for _, each in found]


def cases_of(found: Comparison, say: Say) -> list[Shown]:
    """Every case of which anything is known: a candidate's variants, then its inference."""
    return [
        Shown(number, row.candidate.name, place, variant, variant or say("case.inference"), cell)
        for number, row in enumerate(found.rows, 1)
        for place, variant in enumerate(found.columns)
        if (cell := row.cell(variant)).records or cell.published
    ]


def trained(found: Comparison, say: Say) -> list[Shown]:
    """The fine-tuning cases among them."""
    return [case for case in cases_of(found, say) if case.variant is not None]


def verdict(cell: Cell, say: Say) -> str:
    """Whether a case fits, in a few words: if not, by how much its peak is over the budget, or how it ended."""
    fit = cell.fit
    told_by = cell.plan if fit.is_planned else cell.measured
    if fit.reason is None or told_by is None:
        return say(f"verdict.{fit.verdict}")
    over_mib = (told_by.needs_device_mib or 0.0) - told_by.limit_mib
    if told_by.outcome.kind in ("passed", "over_budget") and over_mib > 0:
        return say("memory.over", mib=digits.mib(over_mib))
    return outcome(told_by, say)


def outcome(record: Record, say: Say) -> str:
    """How a case ended."""
    return say(f"outcome.{record.outcome.kind}")


def catalogued(quantities: Iterable[Quantity], cases: Iterable[Shown], say: Say) -> Iterator[Column]:
    """A column for each quantity, with a cell a case."""
    cases = list(cases)
    for each in quantities:
        records = (case.cell.plan if each.is_planned else case.cell.measured for case in cases)
        head, term = say(f"head.{each.bare_name}"), each.term or each.bare_name
        yield figures(head, map(each.write, records), term)


def subjects(cases: Iterable[Shown], say: Say) -> tuple[Column, Column]:
    """The two columns that say which case a row is about."""
    cases = list(cases)
    return (
        words(say("head.candidate"), (each.candidate for each in cases)),
        words(say("head.case"), (each.name for each in cases)),
    )


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    columns: tuple[Column, ...]
    is_open: bool = False
    """Whether it is seen at once."""

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A cell a column."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def figures_of(
    caption: str, cases: Sequence[Shown], records: Sequence[Record], catalogue: Iterable[Quantity], say: Say
) -> Table:
    """How each case ended, and every quantity of the catalogue that is known of any."""
    outcomes = (outcome(record, say) + ("*" if record.taints else "") for record in records)
    ended = words(say("head.outcome"), outcomes)
    return Table(caption, (*subjects(cases, say), ended, *catalogued(known(catalogue, records), cases, say)))
