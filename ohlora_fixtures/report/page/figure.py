"""What a section of the page shows: tables, and drawings that stand beside each other with their legend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from ..columns import Column, figures, words
from ..quantities import Quantity
from ..words import Say
from .cases import Shown


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
    """What it holds."""
    columns: tuple[Column, ...]
    """Its columns."""
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
    """The drawing."""
    term: str | None = None
    """The glossary's entry for what it shows."""
    table: Table | None = None
    """Its own numbers, where they are too many for the figure's table."""


@dataclass(frozen=True)
class Mark:
    """An entry of a legend."""

    sample: Markup
    """What it looks like."""
    meaning: str
    """What it stands for."""


@dataclass(frozen=True)
class Figure:
    """Drawings of one kind."""

    lead: str
    """What there is to see, in a sentence or two."""
    panels: tuple[Panel, ...]
    """The drawings."""
    legend: tuple[Mark, ...]
    """What their marks mean."""
    tables: tuple[Table, ...]
    """Numbers of all of them."""
    notes: tuple[str, ...] = ()
    """What must not be missed, a sentence each."""
