"""Bars of every candidate and variant on one axis: HTML, whose text keeps its size on a phone, and no drawing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from ...choice.selection import Selection
from .. import digits
from ..tables import Table
from ..words import Say
from . import svg
from .contents import Figure, Mark


@dataclass(frozen=True)
class Bar:
    """A case's figures on the axis."""

    group: str
    """The candidate, under whose name it stands; empty where each bar is a candidate of its own."""
    name: str
    lengths: tuple[tuple[float, str], ...]
    """How far it reaches, and the class that says what that is; the longest is drawn behind the others."""
    said: str
    """Its figure in words."""
    more: str = ""
    """What a phone has no room for."""
    wrong: str = ""
    """What is wrong with it."""


_FAR = 8
"""A limit so many times the longest bar would leave no room for the bars."""


@dataclass(frozen=True)
class Bars:
    """A chart of at least one bar."""

    title: str
    axis: str
    """The axis's name, with its unit."""
    term: str
    """The glossary's entry for what it shows."""
    bars: tuple[Bar, ...]
    """Those of a candidate stand together."""
    standings: Mapping[str, str]
    """By candidate, what became of it."""
    limits: tuple[tuple[float, str], ...] = ()
    """Lines across all bars, and what they say."""
    table: Table | None = None
    """Its own numbers, where they are too many for the figure's table."""

    @cached_property
    def scale(self) -> svg.Scale:
        """Where figures lie along the axis, percent."""
        highest = max((length for bar in self.bars for length, _ in bar.lengths), default=0.0)
        near = [at for at, _ in self.limits if not highest or at <= highest * _FAR]
        return svg.scale(0, max([highest, *near]) or 1.0, 0, 100)

    @property
    def groups(self) -> list[tuple[str, list[Bar]]]:
        """The bars by candidate."""
        return [(name, list(own)) for name, own in groupby(self.bars, key=lambda bar: bar.group)]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Percent of the axis, and what stands there."""
        return [(self.scale(tick), digits.tick(tick)) for tick in self.scale.ticks]

    @property
    def lines(self) -> list[tuple[float, str, bool]]:
        """The limits likewise, and whether they are on the axis; one beyond it is told at its end, with an arrow."""
        high = self.scale.high
        return [(self.scale(at), said if at <= high else f"{said} →", at <= high) for at, said in self.limits]

    @property
    def longest_name(self) -> int:
        """Characters of the longest name before a bar."""
        return max(len(bar.name) for bar in self.bars)

    @property
    def description(self) -> str:
        """All of it in words, for those who do not see it."""
        return (
            f"{self.title}: {'; '.join(f'{bar.group} {bar.name} {bar.said} {bar.wrong}'.strip() for bar in self.bars)}"
        )


def figure_of(
    section: str, charts: tuple[Bars, ...], tables: Iterable[Table], say: Say, notes: tuple[str, ...] = ()
) -> Figure:
    """Charts with what their kinds of bars are, if there are several, and those of the tables that have a row."""
    kinds = dict.fromkeys(kind for chart in charts for bar in chart.bars for _, kind in bar.lengths if kind != "cpu")
    legend = tuple(Mark(svg.bar_sample(kind), say(f"{section}.legend_{kind}")) for kind in kinds)
    known = tuple(table for table in tables if table.rows)
    return Figure(say(f"{section}.lead"), (), legend if len(kinds) > 1 else (), known, notes, bars=charts)


def standings(selection: Selection, say: Say) -> dict[str, str]:
    """What became of each candidate that is more than one of many: chosen, the reserve, or excluded."""
    found = {each.candidate: say("quality.excluded") for each in selection.excluded if each.variant is None}
    chosen = (("reserve", selection.reserve), ("choice", selection.choice))
    return found | {option.candidate.name: say(f"quality.{kind}") for kind, option in chosen if option is not None}
