"""A card's pace by what this machine has measured on it: planned seconds are better for it."""

from collections.abc import Iterator
from pathlib import Path

from ..base.errors import InputError
from ..base.files import is_file
from ..base.installation import versions
from ..inputs.gpu_profiles import GpuProfile
from ..inputs.pace import Pace
from ..planner.seconds import Work, calibrated
from .folder import RECORDS, read_records
from .record import Record

_MOST_FOLDERS = 20
"""Of the newest ones, by name: a session's begins with its time."""
_ALIKE = ("torch", "transformers")
"""Libraries whose versions must be the same."""


def pace_of(profile: GpuProfile, results: Path) -> Pace | None:
    """The card's pace, by what the results folders under `results` hold of it, else by its profile.

    None for a card of which no peaks are known.
    """
    pace = profile.pace
    measured = list(_measured(profile, results)) if pace else []
    return calibrated(pace, measured) if pace and measured else pace


def _measured(profile: GpuProfile, results: Path) -> Iterator[tuple[Work, float]]:
    """Work that was done on the card with the libraries that are installed, and its seconds."""
    try:
        folders = sorted((each for each in results.iterdir() if is_file(each / RECORDS)), reverse=True)
    except OSError:
        return
    for folder in folders[:_MOST_FOLDERS]:
        try:
            records = read_records(folder).records
        except InputError:  # another session's folder is no obstacle to this one
            continue
        for record in records:
            if record.plan and record.plan.work and record.seconds and _counts(record, profile):
                yield record.plan.work, record.seconds


def _counts(record: Record, profile: GpuProfile) -> bool:
    then, now = record.environment.versions, versions()
    is_alike = all(then.get(name) == now.get(name) for name in _ALIKE)
    is_sound = record.outcome.kind in ("passed", "over_budget") and not record.taints
    is_on_card = record.environment.device in profile.card and record.environment.scale == "full"
    return is_alike and is_sound and is_on_card and not record.case.is_planned
