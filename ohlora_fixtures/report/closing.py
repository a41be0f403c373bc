"""How a session ends on a terminal: the comparison and its choice, as much of them as was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from ..choice.selection import Selection
from ..results.comparison import Comparison
from . import table
from .fitting import Terminal
from .notes import REHEARSAL, notes
from .overview import overview


def closing(comparison: Comparison, selection: Selection | None, terminal: Terminal) -> str:
    """The comparison at a glance, and what changes how it is to be read; for `-q` the glance, for `-v` everything."""
    parts = [terminal.filled(REHEARSAL, "yellow")] if comparison.is_rehearsal else []
    if terminal.verbosity > 0:
        parts.append(table.terminal(comparison, terminal))
    else:
        parts.append(overview(comparison, selection, terminal))
    if terminal.verbosity >= 0:
        parts.append("\n".join(map(terminal.noted, _notes(comparison, terminal.verbosity))))
    return "\n\n".join(filter(None, parts))


def _notes(comparison: Comparison, verbosity: int) -> Iterator[str]:
    for note in notes(comparison):
        if verbosity > 0:
            yield note.text
        elif note.is_caution:
            yield note.brief or note.text
