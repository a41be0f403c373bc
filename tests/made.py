"""Records for tests: made up or read back, of any case, with flat names such as `peak_device_mib` for their figures."""

from __future__ import annotations

from functools import reduce

from ohlora_fixtures.base.messages import Message, verbatim
from ohlora_fixtures.inputs.cases import FINE_TUNING, INFERENCE, Case
from ohlora_fixtures.results.flat import PATHS, PATHS_OF_PLAN
from ohlora_fixtures.results.folder import read_records
from ohlora_fixtures.results.record import SCHEMA, plain, record_of

_USUAL = {
    "protocol": {},
    "protocol_hash": "0123456789ab",
    "protocol_changes": [],
    "dataset_sha256": "",
    "budget_mib": 12288.0,
    "versions": {},
}
_PLANNED = ("allocated_after_mib", "peak_allocated_mib", "peak_reserved_mib", "peak_device_mib")
_OF_MEASURED = {**PATHS, **{f"planned_{name}": f"plan.{name}" for name in _PLANNED}}
_SAID = ("protocol_changes", "taints", "not_judged")


def made(candidate="x", variant=None, *, workload=None, is_planned=False, **figures):
    """A record; `outcome` and `reason` are among the figures, and texts stand for messages that say them."""
    case = Case(candidate, workload or (INFERENCE if variant is None else FINE_TUNING), variant, is_planned)
    outcome = {"kind": "passed", "reason": None}
    facts = {"schema": SCHEMA, "case": plain(case), "outcome": outcome, "experiment": {}, "environment": {}}
    return record_of(_with(facts, _USUAL | figures, is_planned=is_planned))


def changed(record, **figures):
    """The record with other figures."""
    return record_of(_with(record.as_dict(), figures, is_planned=record.case.is_planned))


def _with(facts, figures, *, is_planned):
    paths = {**(PATHS_OF_PLAN if is_planned else _OF_MEASURED), "outcome": "outcome.kind", "reason": "outcome.reason"}
    for name, value in figures.items():
        *groups, last = paths[name].split(".")
        place = facts
        for group in groups:
            place[group] = place.get(group) or {}
            place = place[group]
        place[last] = _as_message(value) if name in (*_SAID, "reason") else plain(value)
    return facts


def _as_message(value):
    if isinstance(value, (list, tuple)):
        return list(map(_as_message, value))
    return plain(verbatim(value) if isinstance(value, str) else value) if isinstance(value, (str, Message)) else value


def said(messages):
    """The English texts of messages."""
    return tuple(map(str, messages))


def flat(record):
    """A record's figures by their flat names; what does not apply to it is None, and a message its English text."""
    case, outcome = record.case, record.outcome
    told = {"case": case.id, "candidate": case.candidate, "workload": case.workload, "variant": case.variant}
    told |= {"is_planned": case.is_planned, "outcome": outcome.kind, "reason": outcome.reason}
    told |= dict.fromkeys(_OF_MEASURED)
    for name, path in (PATHS_OF_PLAN if case.is_planned else _OF_MEASURED).items():
        told[name] = reduce(lambda of, part: getattr(of, part, None), path.split("."), record)
    return {name: _plain(value) for name, value in told.items()}


def flat_records(folder):
    """The records of a results folder, each so."""
    return list(map(flat, read_records(folder).records))


def _plain(value):
    if isinstance(value, (list, tuple)):
        return list(map(_plain, value))
    return str(value) if isinstance(value, Message) else plain(value)
