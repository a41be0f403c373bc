"""Figures as people read them: as many digits as mean something, and thousands set apart."""

import math
from collections.abc import Callable

_MINUTE, _MINUTES_OF_AN_HOUR = 60, 60
_ROUGHLY = 5
"""Minutes that hours are rounded to."""

NONE = "-"
"""What is not known or does not apply."""


def _in(form: str) -> Callable[[float | None], str]:
    return lambda figure: NONE if figure is None else format(figure, form)


mib = _in(",.0f")
points = _in(".1f")
"""A score of up to 100."""
score = _in(".2f")
"""A score from 0 to 1, or an average."""
share = _in(".0%")
"""Of 1."""
difference = _in("+.2%")
"""How far a figure is from another, as a share of that."""
nats = _in(".3f")
"""A loss, in nats a token or a character."""
count = _in(",")
rate = _in(",.1f")


def seconds(time: float | None) -> str:
    """A time with three significant digits, or all before the point."""
    if not time:
        return NONE if time is None else "0"
    return f"{time:,.{min(6, max(0, 2 - math.floor(math.log10(abs(time)))))}f}"


def roughly(time: float) -> str:
    """A planned time: two significant digits."""
    return f"{float(f'{time:.2g}'):,.{0 if time >= 9.95 else 1 if time >= 0.995 else 2}f}"  # noqa: PLR2004


def duration(time: float) -> str:
    """A long planned time, as people say it: `2 h 10 min`, `7 min`, `40 s`."""
    if time < _MINUTE:
        return f"{roughly(time)} s"
    minutes = round(time / _MINUTE)
    if minutes < _MINUTES_OF_AN_HOUR:
        return f"{minutes} min"
    hours, minutes = divmod(_ROUGHLY * round(minutes / _ROUGHLY), _MINUTES_OF_AN_HOUR)
    return f"{hours} h{f' {minutes} min' if minutes else ''}"


def tick(figure: float) -> str:
    """A figure on an axis, where steps are round."""
    return f"{round(figure, 9):,.10g}"


def interval(ends: tuple[float, float] | None) -> str:
    """The lower and upper end of a score's interval."""
    return NONE if ends is None else NONE.join(map(points, ends))


def word(said: str | None) -> str:
    """What is no figure."""
    return NONE if said is None else said
