"""Drawings as SVG text: small pure functions that know shapes and axes, and nothing of what is drawn.

Colours, fonts and line styles are the page's: everything drawn has a class, so that it follows light and dark.
Coordinates are user units, which the page shows as 1 to 1.3 pixels each.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ...base.safe_text import block
from ..words import cut

WIDTH = 340
"""Of a drawing: what a phone of 390 pixels shows without shrinking its text."""

SHAPES = ("circle", "square", "triangle", "diamond", "cross")
"""Of markers, so that no series is told by its colour alone."""

_FONT_SIZE = 12
_LATIN = 0.69
"""Of the font's size: the mean width of a name's characters in a wide bold font, DejaVu Sans."""
_MARKER_RADIUS = 4.5
_LEAST_SPAN, _LARGEST = 1e-200, 1e300
"""Of an axis: beyond any figure that is measured, and short of where a float's arithmetic ends."""


@dataclass(frozen=True)
class Scale:
    """Where figures lie along an axis."""

    low: float
    high: float
    """The figures at its ends."""
    start: float
    end: float
    """Where these lie."""
    ticks: tuple[float, ...]
    """Figures to mark."""

    def __call__(self, figure: float) -> float:
        """Where a figure lies; one beyond the axis lies at its end."""
        share = (figure - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def scale(low: float, high: float, start: float, end: float, *, most_ticks: int = 5) -> Scale:
    """An axis that holds both figures, with ticks at multiples of 1, 2 or 5 times a power of ten."""
    low, high = (min(max(figure, -_LARGEST), _LARGEST) for figure in (low, high))
    if not high - low > max(_LEAST_SPAN, 1e-9 * abs(high)):
        high = low + max(abs(low), 1.0)
    rough = (high - low) / most_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(number * step for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, ticks)


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """An element; children and attributes are escaped, and rid of control characters, unless they are markup.

    `class_` stands for `class`, an underscore for a hyphen; an attribute that is None is left out.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(each if isinstance(each, Markup) else escape(block(each)) for each in children)
    return Markup(f"<{tag}{said}>{inner}</{tag}>" if inner else f"<{tag}{said}/>")  # noqa: S704 - escaped above


def drawing(height: float, description: str, parts: Iterable[Markup]) -> Markup:
    """A picture with a description for those who do not see it."""
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {_short(height)}",
        role="img",
        aria_label=description,
    )


def sample(*parts: Markup) -> Markup:
    """A legend's sample of a mark, 18 by 12 units; its meaning is said beside it."""
    return element("svg", *parts, viewBox="0 0 18 12", aria_hidden="true")


def score_bar(score: float) -> Markup:
    """A bar for a score from 0 to 1; its figure is said beside it."""
    track = element("rect", width=100, height=8, rx=2, class_="track")
    filled = element("rect", width=100 * score, height=8, rx=2, class_="filled")
    return element(
        "svg", track, filled, viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true", class_="score"
    )


def shape(place: int) -> str:
    """The marker of a series."""
    return SHAPES[place % len(SHAPES)]


def series(place: int) -> str:
    """The class that gives a series its colour and its dashes."""
    return f"series-{place % len(SHAPES)}"


def text(x: float, y: float, content: str, class_: str | None = None, anchor: str | None = None) -> Markup:
    """A text whose baseline begins, or by `anchor` is centred or ends, at a point."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def bar_sample(kind: str) -> Markup:
    """A legend's sample of a kind of bar."""
    return sample(element("rect", x=0, y=2, width=18, height=8, class_=f"bar-{kind}"))


def line(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    path = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return element("path", d=f"M{path}", class_=class_)


def marker(shape: str, x: float, y: float, class_: str, hint: str | None = None) -> Markup:
    """One of the shapes, centred at a point."""
    r = _MARKER_RADIUS
    if shape == "circle":
        return element("circle", *_title(hint), cx=x, cy=y, r=r, class_=class_)
    left, right, top, low = (_short(each) for each in (x - r, x + r, y - r, y + r))
    paths = {
        "square": f"M{left} {top}H{right}V{low}H{left}Z",
        "triangle": f"M{_short(x)} {top}L{right} {low}H{left}Z",
        "diamond": f"M{_short(x)} {top}L{right} {_short(y)}L{_short(x)} {low}L{left} {_short(y)}Z",
        "cross": f"M{left} {top}L{right} {low}M{right} {top}L{left} {low}",
    }
    return element("path", *_title(hint), d=paths[shape], class_=class_)


def x_axis(along: Scale, top: float, bottom: float, form: Callable[[float], str], name: str) -> list[Markup]:
    """Grid lines from top to bottom, what they stand for below them, and below that the axis's name with its unit."""
    grid = (f"M{_short(along(tick))} {_short(top)}V{_short(bottom)}" for tick in along.ticks)
    labels = [text(along(tick), bottom + 14, form(tick), anchor="middle") for tick in along.ticks]
    return _axis(grid, labels, text(along.end, bottom + 29, name, "name", "end"))


def y_axis(along: Scale, left: float, right: float, form: Callable[[float], str], name: str) -> list[Markup]:
    """Grid lines from left to right, what they stand for before them, and above them the axis's name with its unit."""
    grid = (f"M{_short(left)} {_short(along(tick))}H{_short(right)}" for tick in along.ticks)
    labels = [text(left - 5, along(tick) + 4, form(tick), anchor="end") for tick in along.ticks]
    return _axis(grid, labels, text(0, along.end - 10, name, "name"))


def _axis(grid: Iterable[str], labels: Iterable[Markup], name: Markup) -> list[Markup]:
    lines = element("g", element("path", d="".join(grid)), class_="grid")
    return [lines, element("g", *labels, class_="ticks"), name]


def fitted(content: str, room: float) -> str:
    """As much of a text as there is room for."""
    return cut(content, room, width_of)


def width_of(content: str) -> float:
    """How wide a text is at most, in bold."""
    return sum(_FONT_SIZE * (1.0 if unicodedata.east_asian_width(each) in "WF" else _LATIN) for each in content)


def _title(hint: str | None) -> tuple[Markup, ...]:
    return () if hint is None else (element("title", hint),)


def _short(value: object) -> str:
    """A coordinate with a tenth of a unit, which nobody can see beyond."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else block(str(value))
