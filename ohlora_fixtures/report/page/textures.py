"""Textures laid over bars, so that their parts differ in more than colour.

They are drawn as lines: a `<pattern>` becomes a bitmap each time a page is printed, some 30 MiB in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from markupsafe import Markup

from .svg import element

_STEP = 5
"""Between lines; a slanted one goes as far sideways."""


def texture(name: str, span: tuple[float, float], top: float, height: float) -> Markup | None:
    """Lines or dots over a bar that lies so along a scale; None where there is no room for any."""
    start, end = span
    path = "".join(_TEXTURES[name](start, end, top, height))
    return element("path", d=path, class_=f"texture {name}") if path else None


def _places(start: float, end: float) -> Iterator[float]:
    """Where lines stand: the same gap before the first as between them."""
    place = start + _STEP / 2
    while place < end:
        yield place
        place += _STEP


def _rising(start: float, end: float, top: float, height: float) -> Iterator[str]:
    return (f"M{x:.1f} {top + height:.1f}l{_STEP} {-height:.1f}" for x in _places(start, end - _STEP))


def _falling(start: float, end: float, top: float, height: float) -> Iterator[str]:
    return (f"M{x:.1f} {top:.1f}l{_STEP} {height:.1f}" for x in _places(start, end - _STEP))


def _upright(start: float, end: float, top: float, height: float) -> Iterator[str]:
    return (f"M{x:.1f} {top:.1f}v{height:.1f}" for x in _places(start, end))


def _level(start: float, end: float, top: float, height: float) -> Iterator[str]:
    return (f"M{start:.1f} {y:.1f}H{end:.1f}" for y in _places(top, top + height))


def _dots(start: float, end: float, top: float, height: float) -> Iterator[str]:
    return (f"M{x:.1f} {y:.1f}h0" for x in _places(start, end) for y in _places(top, top + height))


def _grid(start: float, end: float, top: float, height: float) -> Iterator[str]:
    yield from _upright(start, end, top, height)
    yield from _level(start, end, top, height)


_TEXTURES: Mapping[str, Callable[[float, float, float, float], Iterator[str]]] = {
    "rising": _rising,
    "falling": _falling,
    "upright": _upright,
    "level": _level,
    "dots": _dots,
    "grid": _grid,
}
