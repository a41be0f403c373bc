"""What would make candidates fit, in a sentence, as JSON and as a table; what each variant saves and costs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.messages import Message, message
from ..planner.plan import Change, Changes
from ..planner.seconds import Work
from ..results.comparison import Comparison, Row
from ..results.record import Record
from . import digits
from .layout import figures, in_mib, words
from .tables import Table
from .words import Say

WAYS = ("r16", "r16-accumulation", "r16-checkpointing", "r16-adamw8bit", "r16-qlora")
"""Shipped variants, the first without and each other with one of the changes."""


def told(row: Row) -> Message | None:
    """The change that costs least and is enough, or that none is; None for a candidate that needs none."""
    if row.changes is None:
        return None
    changes, limit_mib = row.changes
    found = {"candidate": row.candidate.name, "variant": changes.variant, "limit": limit_mib}
    if changes.enough is not None:
        cost = _cost(changes, changes.enough)
        said = message(
            "changed.enough", changes=changes.enough.told, mib=changes.enough.needs_device_mib, cost=cost, **found
        )
    elif len(changes.added) > 1:
        said = message("changed.not_enough", changes=changes.added[-1].told, mib=changes.least_mib, **found)
    else:
        said = message("changed.nothing", mib=changes.least_mib, **found)
    if changes.not_planned:
        return message("changed.with_not_planned", told=said, not_planned=changes.not_planned)
    return said


def _cost(changes: Changes, change: Change) -> Message:
    """How much more time it takes, or where no pace is known, how much more is computed."""
    before = changes.added[0]
    if change.seconds and before.seconds:
        return message("changed.seconds", times=change.seconds / before.seconds)
    return message("changed.flops", times=times_the_flops(change.work, before.work) or 1.0)


def times_the_flops(work: Work | None, other: Work | None) -> float | None:
    """How many times the floating-point operations of other work; None where they are not known."""
    return work.flops / other.flops if work and other and other.flops else None


def facts(comparison: Comparison) -> list[dict[str, Any]]:
    """What would make each candidate fit that fits in no variant, as JSON can hold it."""
    return [
        {
            "candidate": row.candidate.name,
            "limit_mib": limit_mib,
            "from_variant": changes.variant,
            "added": [_facts(changes, each) for each in changes.added],
            "enough": changes.enough and _facts(changes, changes.enough),
            "not_planned": list(map(str, changes.not_planned)),
        }
        for row, changes, limit_mib in changed(comparison)
    ]


def _facts(changes: Changes, change: Change) -> dict[str, Any]:
    return {
        "changes": list(map(str, change.told)),
        "variant": change.variant,
        "max_row_tokens": change.row_tokens,
        "needs_device_mib": change.needs_device_mib,
        "seconds": change.seconds,
        "times_the_flops": times_the_flops(change.work, changes.added[0].work),
    }


def changed(comparison: Comparison) -> Iterator[tuple[Row, Changes, float]]:
    """Each candidate that fits in no variant, with its changes and what it is held to, MiB."""
    for row in comparison.rows:
        if row.changes is not None:
            yield row, *row.changes


@dataclass(frozen=True)
class _Line:
    """A row of a table: a way to fine-tune a candidate, and what it takes."""

    candidate: str
    way: str
    needs_mib: float
    seconds: float | None
    work: Work | None
    limit_mib: float


def added(comparison: Comparison, say: Say) -> Table:
    """A row for each change that was planned."""
    lines = [
        [
            _Line(
                row.candidate.name, _in_words(changes, each, say), each.needs_device_mib, each.seconds, each.work, mib
            )
            for each in shown(changes)
        ]
        for row, changes, mib in changed(comparison)
    ]
    return _table(say("changes.caption"), lines, say)


def ways(comparison: Comparison, say: Say) -> Table:
    """A row for each planned variant, against its candidate's first; none where all are one variant at many ranks."""
    lines = []
    for row in comparison.rows:
        plans = [(name, row.cell(name).plan) for name in comparison.variants]
        known = [(name, record, record.plan) for name, record in plans if record and record.plan]
        if len({_but_rank(record) for _, record, _ in known}) > 1:
            own = [
                _Line(row.candidate.name, name, plan.needs_device_mib, plan.seconds, plan.work, record.limit_mib)
                for name, record, plan in known
                if plan.needs_device_mib is not None
            ]
            lines.append(own)
    return _table(say("changes.ways"), lines, say)


def _but_rank(record: Record) -> str:
    """A variant's settings without its rank, so that those can be told apart that differ in more."""
    settings = dict(record.experiment.variant or {})
    adapter = {name: value for name, value in settings.pop("adapter", {}).items() if name != "r"}
    return json.dumps({**settings, "adapter": adapter}, sort_keys=True, default=str)


def _table(caption: str, lines: Iterable[Sequence[_Line]], say: Say) -> Table:
    """Each candidate's lines, against its first one."""
    pairs = [(each, own[0]) for own in lines for each in own]
    columns = (
        words(say("head.candidate"), (each.candidate for each, _ in pairs)),
        words(say("head.variant"), (each.way for each, _ in pairs)),
        in_mib(say("head.needs_device"), (each.needs_mib for each, _ in pairs), "needs_device"),
        in_mib(say("changes.saved"), (first.needs_mib - each.needs_mib for each, first in pairs)),
        figures(say("head.seconds"), (digits.seconds(each.seconds) for each, _ in pairs), "planned_seconds"),
        figures(say("changes.flops"), (digits.score(times_the_flops(each.work, first.work)) for each, first in pairs)),
        words(
            say("changes.fits"), (say("listing.yes") if each.needs_mib <= each.limit_mib else "" for each, _ in pairs)
        ),
    )
    return Table(caption, columns)


def shown(changes: Changes) -> tuple[Change, ...]:
    """All that there is to show: the changes as they add up, and what of them is enough."""
    last = changes.added[-1]
    return changes.added if changes.enough in (None, last) else (*changes.added, changes.enough)


def _in_words(changes: Changes, change: Change, say: Say) -> str:
    """The variant, and what is changed."""
    return " + ".join([changes.variant, *(each.text(say.language) for each in change.told)])
