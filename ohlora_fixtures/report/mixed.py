"""What must be said where records come from different machines or versions, and so do not compare as they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..base.messages import message
from ..results.record import Record

_MOST_NAMES = 8
"""More would hide what they are about."""


def distinct(name: str, records: Iterable[Record]) -> list[str]:
    """What records say in a field, each once, in their order; a field without a word is left out."""
    return list(dict.fromkeys(str(value) for record in records if (value := getattr(record, name)) is not None))


def mixed_notes(records: Sequence[Record]) -> list[str]:
    """A sentence for each way in which records differ that ought to be alike; none for one session's own."""
    ran = [record for record in records if record.planned_workload is None]
    notes = []
    if len(devices := distinct("device", ran)) > 1:
        found = [message("names.on_device", device=device, names=_candidates(ran, device)) for device in devices]
        notes.append(message("note.devices", count=len(devices), names="; ".join(found)))
    notes += [
        message(f"note.{name}", values=", ".join(value[:12] for value in values))
        for name, those in (("weights", ran), ("protocol_hash", records), ("dataset_sha256", records))
        if len(values := distinct(name, those)) > 1
    ]
    if versions := _versions(records):
        notes.append(message("note.versions", versions="; ".join(versions)))
    return notes


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Names in a row, and how many more there are."""
    more, some = len(names) - most, ", ".join(names[:most])
    return message("names.more", names=some, count=more) if more > 0 else some


def _candidates(records: Iterable[Record], device: str) -> str:
    return listed(distinct("candidate", (record for record in records if record.device == device)))


def _versions(records: Iterable[Record]) -> list[str]:
    """Of each package that comes in several versions, which."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for package, version in record.versions.items():
            found.setdefault(package, {})[version] = None
    return [f"{package} {', '.join(versions)}" for package, versions in found.items() if len(versions) > 1]
