"""The same step at another length, LoRA rank or batch size, from the step at a few.

The sizes of a step are products of tensor dimensions. So as functions of the LoRA rank or of the batch
size they are lines, as none has either twice, and as functions of the length in tokens parabolas:
attention's scores have it twice. Every byte must come out whole. Where an operator breaks the rule, such
as a mask padded to a multiple of 8, or a model has other operators at another length, as RWKV has, that
or the caller's check at a further point fails with NotComposableError, and every step is to be traced.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .steps import NotComposableError


def events_at(x: int, known: Mapping[int, array[int]]) -> array[int]:
    """Events at `x` on the polynomial through the events at known points: two give a line, three a parabola.

    Raises NotComposableError unless all have the same allocations and frees in the same order, and every
    size at `x` is a whole positive number of bytes.
    """
    points = list(known)
    rows = [np.frombuffer(known[point], dtype=np.int64) for point in points]
    first = rows[0]
    if any(len(row) != len(first) for row in rows):
        raise NotComposableError("traces differ in their number of events")
    changes = np.flatnonzero(np.logical_or.reduce([row != first for row in rows]))
    if any((row[changes] <= 0).any() for row in rows):
        raise NotComposableError("traces differ in their order of allocations and frees")
    result = first.copy()
    if len(changes):
        result[changes] = _lagrange(x, points, [row[changes].astype(object) for row in rows])
    events = array("q")
    events.frombytes(result.tobytes())
    return events


def whole_at(x: int, known: Mapping[int, int]) -> int:
    """A whole number at `x` on the polynomial through those at known points.

    Raises NotComposableError unless it comes out whole and positive.
    """
    values = [np.array([value], dtype=object) for value in known.values()]
    return int(_lagrange(x, list(known), values)[0])


def _lagrange(x: int, points: Sequence[int], values: Sequence[NDArray[np.object_]]) -> NDArray[np.int64]:
    """The interpolating polynomial's values at `x`, in integers of any size: the products outgrow 64 bits."""
    whole: int = prod(a - b for index, a in enumerate(points) for b in points[:index])
    total: Any = 0
    for point, value in zip(points, values, strict=True):
        others = [other for other in points if other != point]
        total += value * (prod(x - other for other in others) * whole // prod(point - other for other in others))
    if (total % whole != 0).any() or (total // whole <= 0).any():
        raise NotComposableError("a size on the curve is no whole positive number of bytes")
    sizes: NDArray[np.int64] = (total // whole).astype(np.int64)
    return sizes
