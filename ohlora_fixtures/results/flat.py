"""A record as one flat row of named figures: what lines of the first version were, and what pytest-benchmark keeps."""

from collections.abc import Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

from ..base.messages import verbatim
from ..inputs.cases import FINE_TUNING, INFERENCE, PLAN
from ..meters.card import CardReading
from ..meters.memory import MemoryReading
from ..meters.meter import Utilization
from ..planner.plan import Plan
from .environment import Environment
from .record import SCHEMA, Assessment, Experiment, Measured, Record, plain, record_of


def _within(kind: type, path: str, *left_out: str) -> dict[str, str]:
    return {each.name: f"{path}.{each.name}" for each in fields(kind) if each.name not in left_out}


_OF_QUALITY = ("score", "each", "interval", "grade", "parts")
PATHS: Mapping[str, str] = {
    **_within(Experiment, "experiment"),
    **_within(Environment, "environment"),
    **_within(Measured, "measured", "memory", "card", "utilization"),
    **_within(MemoryReading, "measured.memory", "allocated_before_mib"),
    **_within(CardReading, "measured.card"),
    **_within(Utilization, "measured.utilization"),
    **_within(Assessment, "quality", *_OF_QUALITY),
    **{f"quality_{name}": f"quality.{name}" for name in _OF_QUALITY},
}
"""By its flat name, where a figure of a measured case stands in its record."""

_PLANNED = ("allocated_after_mib", "peak_allocated_mib", "peak_reserved_mib", "peak_device_mib")
PATHS_OF_PLAN: Mapping[str, str] = {
    **_within(Experiment, "experiment"),
    **_within(Environment, "environment"),
    **_within(Plan, "plan"),
}
"""Likewise, of a planned one."""


def figure(record: Record, name: str) -> Any:
    """A figure of a measured case by its flat name."""
    return attrgetter(PATHS[name])(record)


_TOO_LONG = ("seconds", "seconds_each", "losses")


def extra_info(record: Record) -> dict[str, Any]:
    """A measured case's figures for pytest-benchmark: without its lists, and without the time that it takes itself."""
    found = {name: figure(record, name) for name in PATHS if name not in _TOO_LONG}
    planned = {f"planned_{name}": getattr(record.plan, name, None) for name in _PLANNED}
    return {name: plain(value) for name, value in (found | planned).items()}


def record_of_flat(facts: Mapping[str, Any]) -> Record:
    """The record of a line of the first version, in which a variant was a LoRA rank and a reason its English sentence.

    Raises TypeError for what is no such line.
    """
    if not isinstance(facts, Mapping):
        raise TypeError(facts)
    reason = facts.get("reason")
    outcome = {"kind": facts.get("outcome"), "reason": reason if reason is None else _said(reason)}
    nested: dict[str, Any] = {"schema": SCHEMA, "case": _case(facts), "outcome": outcome}
    is_plan = facts.get("workload") == PLAN
    for name, path in (PATHS_OF_PLAN if is_plan else PATHS).items():
        value = facts.get(name)
        if value is not None:
            _put(nested, path, _SAID[name](value) if name in _SAID else value)
    for name in _PLANNED:
        if facts.get(f"planned_{name}") is not None:
            _put(nested, f"plan.{name}", facts[f"planned_{name}"])
    rank = nested["case"]["variant"]
    if rank is not None:
        _put(nested, "experiment.variant", {"adapter": {"peft_type": "LORA", "r": facts["lora_rank"]}, "training": {}})
    return record_of(nested)


def _case(facts: Mapping[str, Any]) -> dict[str, Any]:
    workload, planned, rank = (facts.get(name) for name in ("workload", "planned_workload", "lora_rank"))
    if rank is not None and type(rank) is not int:
        raise TypeError(rank)
    if workload == PLAN and planned is None:
        planned = INFERENCE if rank is None else FINE_TUNING
    return {
        "candidate": facts.get("candidate"),
        "workload": planned or workload,
        "variant": None if rank is None else f"r{rank}",
        "is_planned": workload == PLAN,
    }


def _said(told: Any) -> Any:
    """A text, or each of several, as a message."""
    if isinstance(told, list):
        return list(map(_said, told))
    if not isinstance(told, str):
        raise TypeError(told)
    return plain(verbatim(told))


def _advice(found: Any) -> Any:
    return {**found, "variant": f"r{found.get('lora_rank')}"} if isinstance(found, dict) else found


_SAID = {"protocol_changes": _said, "taints": _said, "not_judged": _said, "advice": _advice}
"""What lines of the first version have as text, and this version as messages."""


def _put(nested: dict[str, Any], path: str, value: Any) -> None:
    *groups, name = path.split(".")
    for group in groups:
        nested = nested.setdefault(group, {})
    nested[name] = value
