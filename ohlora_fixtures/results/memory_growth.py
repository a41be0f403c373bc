"""Memory against a run that pytest-benchmark has stored: what may grow by how much, and what has grown more."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..base.errors import InputError
from ..base.files import MOST_TEXT_BYTES, read_bytes
from ..base.messages import Message, message, verbatim
from ..base.units import parse_size_mib
from .flat import figure
from .record import Record

QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "peak": ("peak_device_mib", "peak_rss_growth_mib"),
    "device": ("peak_device_mib",),
    "reserved": ("peak_reserved_mib",),
    "allocated": ("peak_allocated_mib",),
}
"""What can be limited, as the record's fields: a field counts only if both runs lack those before it."""

_LIMIT = re.compile(rf"({'|'.join(QUANTITIES)}):(.+)")
_PERCENTAGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%")
_SAME = ("device", "scale", "weights", "protocol_hash", "dataset_sha256")
"""What both runs must share for their memory to be comparable."""


@dataclass(frozen=True)
class Growth:
    """One quantity of one case, named by its id, in both runs."""

    case: str
    quantity: str
    """The record's field."""
    stored_mib: float
    now_mib: float

    @property
    def change(self) -> Message:
        """The relative change, such as `+12.5%`."""
        if not self.stored_mib:
            return message("stored.no_ratio")
        return message("stored.change", share=(self.now_mib - self.stored_mib) / self.stored_mib)


@dataclass(frozen=True)
class Limit:
    """How far one quantity may grow over a stored run's."""

    text: str
    """The limit as the user wrote it, such as `peak:5%`."""
    quantity: str
    """One of `QUANTITIES`."""
    amount: Fraction
    """The most growth: a share of the stored figure, or MiB."""
    is_share: bool

    def allows(self, growth: Growth) -> bool:
        """True up to and including the limit, and for whatever shrank.

        Reckoned exactly, in the decimal figures that the runs keep. A share of zero is zero.
        """
        stored, now = Fraction(str(growth.stored_mib)), Fraction(str(growth.now_mib))
        allowed = self.amount * stored if self.is_share else self.amount
        return now <= stored or now - stored <= allowed


class NotCompared(NamedTuple):
    """A case, or one of its quantities, that could not be set beside the stored run's."""

    case: str
    reason: Message


class Exceeded(NamedTuple):
    """A growth beyond its limit."""

    growth: Growth
    limit: Limit


@dataclass(frozen=True)
class MemoryGrowth:
    """What one stored run says about this run's memory."""

    stored_run: Message
    """When the stored run was made."""
    compared: tuple[str, ...]
    """The cases of which at least one limited quantity could be compared."""
    exceeded: tuple[Exceeded, ...]
    not_compared: tuple[NotCompared, ...]
    unselected: int
    """How many of the stored run's cases were not selected in this run."""


@dataclass(frozen=True)
class _Stats:
    """What pytest-benchmark shows of a case's times."""

    min: float
    max: float
    mean: float
    stddev: float
    median: float
    iqr: float
    outliers: str
    ops: float
    rounds: int
    iterations: int


@dataclass(frozen=True)
class _Benchmark:
    name: str
    fullname: str
    stats: _Stats
    extra_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _StoredRun:
    machine_info: dict[str, Any]
    benchmarks: list[_Benchmark]


def check_stored_run(path: Path) -> None:
    """Raises InputError for a file that is no run as pytest-benchmark stores it: it would trip over one at the end."""
    try:
        msgspec.convert(json.loads(read_bytes(path, MOST_TEXT_BYTES)), _StoredRun)
    except OSError as error:
        reason = error.strerror
    except (ValueError, RecursionError, msgspec.ValidationError):
        reason = "it is no run of pytest-benchmark"
    else:
        return
    raise InputError(
        f"stored run {path} cannot be compared with ({reason}): give --benchmark-compare another file, or a number"
    )


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read `peak:5%` or `peak:5%,reserved:200MiB`; raises InputError for anything else."""
    return tuple(_parse_limit(part.strip()) for part in text.split(","))


def held_against(
    limits: Sequence[Limit], records: Iterable[Record], stored_run: Mapping[str, Any], selected: Iterable[str]
) -> MemoryGrowth:
    """Set this session's measured cases, of which it was to run the `selected` ids, beside a stored run's.

    Plans among the records are passed over, since a stored run has none.
    """
    measured = {record.case.id: record for record in records if not record.case.is_planned}
    stored = extra_info_of(stored_run)
    growths: list[tuple[Growth, Limit]] = []
    not_compared: list[NotCompared] = []
    for case, limit in product(dict.fromkeys((*selected, *measured)), limits):
        found: Growth | Message = message("stored.not_ended")
        if case in measured:
            found = growth(measured[case], stored.get(case), QUANTITIES[limit.quantity])
        if isinstance(found, Message):
            not_compared.append(NotCompared(case, found))
        else:
            growths.append((found, limit))
    return MemoryGrowth(
        stored_run=date_of(stored_run),
        compared=tuple(dict.fromkeys(found.case for found, _ in growths)),
        exceeded=tuple(Exceeded(found, limit) for found, limit in growths if not limit.allows(found)),
        not_compared=tuple(dict.fromkeys(not_compared)),
        unselected=len(stored.keys() - {*selected, *measured}),
    )


def has_failed(verdicts: Sequence[MemoryGrowth]) -> bool:
    """Whether memory grew beyond a limit, or nothing at all could be compared."""
    return any(verdict.exceeded for verdict in verdicts) or not any(verdict.compared for verdict in verdicts)


def why_not(record: Record, stored: Mapping[str, Any]) -> Message | None:
    """Why a record's memory cannot be compared with its stored `extra_info`; None if it can be."""
    for name in _SAME:
        now, then = figure(record, name), stored.get(name)
        if then is None:
            return message("stored.not_said", name=name)
        if now is None:
            return message("stored.not_known", name=name, ending=_ending(record))
        if now != then:
            return message(f"stored.other_{name}", then=str(then), now=now)
    return None


def growth(record: Record, stored: Mapping[str, Any] | None, fields: Sequence[str]) -> Growth | Message:
    """The first of the record's fields that either run has a figure for; or why the two do not compare."""
    if stored is None:
        return message("stored.no_case")
    if reason := why_not(record, stored):
        return reason
    for name in fields:
        now_mib, stored_mib = figure(record, name), _finite(stored.get(name))
        if now_mib is not None and stored_mib is not None:
            return Growth(record.case.id, name, stored_mib, now_mib)
        if now_mib is not None:
            return message("stored.not_stored", name=name)
        if stored_mib is not None:
            return message("stored.not_found", name=name, ending=_ending(record))
    return message("stored.neither", names=fields)


def _ending(record: Record) -> Message:
    return message(f"ending.{record.outcome.kind}")


def _finite(figure: Any) -> float | None:
    return figure if type(figure) in (int, float) and math.isfinite(figure) else None


def extra_info_of(stored_run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a stored run keeps with each case, by the case's id."""
    return {each["name"]: each.get("extra_info", {}) for each in stored_run.get("benchmarks", ())}


def date_of(stored_run: Mapping[str, Any]) -> Message:
    """When a stored run was made."""
    date = stored_run.get("datetime")
    return message("stored.unknown_date") if date is None else verbatim(str(date))


def _parse_limit(text: str) -> Limit:
    found = _LIMIT.fullmatch(text)
    try:
        if found and (percentage := _PERCENTAGE.fullmatch(found[2].strip())):
            return Limit(text, found[1], Fraction(percentage[1]) / 100, is_share=True)
        if found:
            return Limit(text, found[1], Fraction(str(parse_size_mib(found[2]))), is_share=False)
    except InputError:  # its sentence knows of sizes alone
        pass
    raise InputError(
        f"memory limit {text!r} must be one of {', '.join(QUANTITIES)}, a colon, and a percentage or a size in GB, GiB "
        "or MiB, such as peak:5% or reserved:200MiB"
    )
