"""What a section of the page shows: drawings that stand beside each other, with their legend and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    head: str
    """Its head."""
    term: str | None = None
    """The glossary's entry that says how its figures were taken."""
    is_text: bool = False
    """Whether it reads from the left, as words do."""


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    """What it holds."""
    columns: tuple[Column, ...]
    """Its columns."""
    rows: Sequence[Sequence[str]]
    """A cell a column."""
    is_open: bool = False
    """Whether it is seen at once."""


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
