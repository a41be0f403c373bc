"""Steps or prompts after the warm-up: median and quartiles."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ....results.record import Record
from ..cases import warm_up


@dataclass(frozen=True)
class Spread:
    """Of a series of times, seconds."""

    low: float
    """Lower quartile."""
    median: float
    """Median."""
    high: float
    """Upper quartile."""


def spread(record: Record) -> Spread | None:
    """Of a record's steps or prompts; around the median where it has no single times; None without any figure."""
    rest = (record.seconds_each or [])[warm_up(record) :]
    if len(rest) > 1:
        return Spread(*statistics.quantiles(rest, n=4, method="inclusive"))  # as `steady_iqr_seconds`
    median = record.steady_median_seconds
    half = (record.steady_iqr_seconds or 0.0) / 2
    return None if median is None else Spread(median - half, median, median + half)
