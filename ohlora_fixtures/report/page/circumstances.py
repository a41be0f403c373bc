"""The page's tables of how it was run: what failed, what is doubtful, the protocol, the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...base.messages import again
from ...base.words import Say
from ...results.comparison import Comparison
from .. import digits
from .figure import Column, Table


def failures(found: Comparison, say: Say) -> Table:
    """Every case that did not pass, and why."""
    columns = (
        Column(say("head.case"), is_text=True),
        Column(say("head.outcome"), is_text=True),
        Column(say("head.reason"), is_text=True),
    )
    rows = [
        (record.case, say.name("outcome", record.outcome), again("reason", record.reason or digits.NONE, say.language))
        for record in found.records
        if record.outcome != "passed"
    ]
    return Table(say("listing.failures"), columns, rows, is_open=True)


def taints(found: Comparison, say: Say) -> Table:
    """Everything that makes a figure doubtful."""
    columns = (Column(say("head.case"), is_text=True), Column(say("head.taint"), "taint", is_text=True))
    rows = [
        (record.case, again("taint", taint, say.language)) for record in found.records for taint in record.taints or ()
    ]
    return Table(say("listing.taints"), columns, rows)


def protocol(found: Comparison, say: Say) -> Table:
    """The experiment's settings, a column for each one that was run."""
    protocols = {record.protocol_hash: record for record in found.records}
    names = list(dict.fromkeys(name for record in protocols.values() for name in record.protocol))
    columns = (
        Column(say("head.setting"), "protocol", is_text=True),
        *(Column(each, is_text=True) for each in protocols),
    )
    rows = [(name, *(_text(record.protocol.get(name)) for record in protocols.values())) for name in names]
    return Table(say("listing.protocol"), columns, rows)


def environment(facts: Mapping[str, Any] | None, found: Comparison, say: Say) -> Table:
    """The machine, the settings and the versions, flattened."""
    columns = (Column(say("head.setting"), is_text=True), Column(say("head.value"), is_text=True))
    rows = list(_flat(facts or {}))
    if not facts or "versions" not in facts:
        versions = {name: version for record in found.records for name, version in record.versions.items()}
        rows += _flat({"versions": versions})
    return Table(say("listing.environment"), columns, rows)


_DEEPEST = 4
"""Of what a foreign file nests: deeper than anything of ours."""


def _flat(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[str, str]]:
    for name, value in facts.items():
        here = (*path, name)
        inner = value
        if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            inner = {f"{number}": each for number, each in enumerate(value, 1)}
        if isinstance(inner, Mapping) and len(here) < _DEEPEST:
            yield from _flat(inner, here)
        else:
            yield " / ".join(here), _text(value)


def _text(value: Any, depth: int = 0) -> str:
    """A value on one line; what is nested deeper than anything of ours is left out."""
    if isinstance(value, Mapping) or (isinstance(value, list) and depth == _DEEPEST):
        return "…"
    if isinstance(value, list):
        return " ".join(_text(each, depth + 1) for each in value) or digits.NONE
    return digits.NONE if value is None else str(value)
