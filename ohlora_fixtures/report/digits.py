"""Figures as people read them: as many digits as mean something, and thousands set apart."""

from __future__ import annotations

import math

NONE = "-"
"""What is not known or does not apply."""


def mib(size: float | None) -> str:
    """A size in whole MiB."""
    return NONE if size is None else f"{size:,.0f}"


def seconds(time: float | None) -> str:
    """A time with three significant digits, or all before the point."""
    if not time:
        return NONE if time is None else "0"
    return f"{time:,.{min(6, max(0, 2 - math.floor(math.log10(abs(time)))))}f}"


def points(score: float | None) -> str:
    """A score of up to 100."""
    return NONE if score is None else f"{score:.1f}"


def share(part: float | None) -> str:
    """A share of 1 as percent."""
    return NONE if part is None else f"{part:.0%}"


def nats(loss: float | None) -> str:
    """A loss, in nats a token or a character."""
    return NONE if loss is None else f"{loss:.3f}"


def count(number: int | None) -> str:
    """A whole number."""
    return NONE if number is None else f"{number:,}"


def tick(figure: float) -> str:
    """A figure on an axis, where steps are round."""
    return f"{round(figure, 9):,.10g}"


def score(part: float | None) -> str:
    """A score from 0 to 1, or an average, with two digits behind the point."""
    return NONE if part is None else f"{part:.2f}"


def rate(figure: float | None) -> str:
    """A rate, with one digit behind the point."""
    return NONE if figure is None else f"{figure:,.1f}"


def word(said: str | None) -> str:
    """What is no figure."""
    return NONE if said is None else said


def difference(part: float | None) -> str:
    """How far a figure is from another, as percent of that."""
    return NONE if part is None else f"{part:+.2%}"


def interval(ends: tuple[float, float] | None) -> str:
    """The lower and upper end of a score's interval."""
    return NONE if ends is None else NONE.join(map(points, ends))
