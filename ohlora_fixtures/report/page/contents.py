"""What the page's sections are made of: cases, tables of them, and drawings with their legend."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from ...planner.plan import Plan
from ...results.comparison import Cell, Comparison
from ...results.record import Record
from .. import digits
from ..layout import Column, figures, words
from ..quantities import Quantity
from ..words import Say

if TYPE_CHECKING:
    from .bars import Bars


@dataclass(frozen=True)
class Shown:
    """A case, with all that the page draws and lists of it."""

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
    def measured(self) -> Record | None:
        """What was measured, on a mini replica or at full size."""
        return self.cell.measured

    @property
    def full_size(self) -> Record | None:
        """What was measured, unless a mini replica stood in for it: its time and memory compare nothing."""
        return None if self.measured is None or self.measured.environment.scale == "mini" else self.measured

    @property
    def plan(self) -> Plan | None:
        """What was planned."""
        return self.cell.plan.plan if self.cell.plan else None


_Known = TypeVar("_Known")


def known_of(cases: Iterable[Shown], read: Callable[[Shown], _Known | None]) -> tuple[list[Shown], list[_Known]]:
    """The cases of which something is known, and what is."""
    known = [(case, each) for case in cases if (each := read(case)) is not None]
    return [case for case, _ in known], [each for _, each in known]


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


Limit = tuple[float, float]
"""A budget, and the least that a case under it is held to: less if one process cannot have that much of the card."""


def limits_of(records: Sequence[Record]) -> list[Limit]:
    """One for each budget, in their order."""
    budgets = sorted({record.experiment.budget_mib for record in records})
    return [(mib, min(each.limit_mib for each in records if each.experiment.budget_mib == mib)) for mib in budgets]


def budgets_of(records: Sequence[Record], say: Say) -> list[str]:
    """Each budget in words, with what one process can have of the card if that is less."""
    return [
        say("fact.mib" if mib == budget else "fact.held_to", budget=digits.mib(budget), mib=digits.mib(mib))
        for budget, mib in limits_of(records)
    ]


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


@dataclass(frozen=True)
class Panel:
    """One drawing of several."""

    title: str
    """What it is about, such as a candidate's name."""
    svg: Markup
    term: str | None = None
    """The glossary's entry for what it shows."""
    table: Table | None = None
    """Its own numbers, where they are too many for the figure's table."""


@dataclass(frozen=True)
class Mark:
    """An entry of a legend."""

    sample: Markup
    meaning: str


@dataclass(frozen=True)
class Figure:
    """Drawings of one kind."""

    lead: str
    """What there is to see, in a sentence or two."""
    panels: tuple[Panel, ...]
    legend: tuple[Mark, ...]
    tables: tuple[Table, ...]
    """Numbers of all panels."""
    notes: tuple[str, ...] = ()
    """What must not be missed, a sentence each."""
    summary: str = ""
    """Where the panels are folded: what they are."""
    bars: "tuple[Bars, ...]" = ()
    """Charts of bars, before the panels."""
