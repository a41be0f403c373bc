"""What the page's charts are made of: drawings, their legend and their tables."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..tables import Table

if TYPE_CHECKING:
    from .bars import Bars


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
