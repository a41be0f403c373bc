"""The progress of a running case and of the session, on a terminal alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from .remaining import Remaining, in_words

REMAINING = pytest.StashKey[Remaining]()
"""Where, on the config, stands what is left of the session."""

_SAVE, _RESTORE, _ERASE = "\x1b7", "\x1b8", "\x1b[K"
_SECONDS_BETWEEN = 0.25


class Line:
    """Text behind what pytest has printed. The cursor is put back, so pytest finds its line as it left it."""

    def __init__(self, write: Callable[[str], None], room: int) -> None:
        """`write` prints to the terminal; `room` is how many columns are free on its line."""
        self._write = write
        self._room = room

    def show(self, *forms: str) -> None:
        """Put up the first form that there is room for, in place of what is there."""
        text = next((form for form in forms if form and len(form) < self._room), "")
        self._write(f"{_SAVE}{_ERASE} {text}{_RESTORE}")

    def clear(self) -> None:
        """Take the text away."""
        self._write(f"{_SAVE}{_ERASE}{_RESTORE}")


class Progress:
    """Shows `37/50 steps, 12.1 it/s, 905 MiB, about 12 min left`, or as much of it as there is room for."""

    def __init__(
        self,
        line: Line,
        memory_mib: Callable[[], float | None],
        left: Callable[[float], float | None],
        total: int,
        unit: str,
    ) -> None:
        """Begin counting to `total` now.

        `left` gives the seconds that the session still takes, or None, from those that the case itself still takes.
        """
        self._line = line
        self._memory_mib = memory_mib
        self._left = left
        self._total, self._unit, self._done = total, unit, 0
        self._began = self._shown = time.perf_counter()

    def tick(self) -> None:
        """Count one, and show it if the last showing is some time ago."""
        self._done += 1
        now = time.perf_counter()
        if now - self._shown < _SECONDS_BETWEEN:
            return
        self._shown = now
        count = f"{self._done}/{self._total} {self._unit}"
        pace = f"{self._done / (now - self._began):.1f} it/s"
        mib = self._memory_mib()
        memory = "" if mib is None else f"{mib:.0f} MiB"
        seconds = self._left((now - self._began) / self._done * (self._total - self._done))
        left = "" if seconds is None else in_words(seconds)
        forms = ((count, pace, memory, left), (count, pace, left), (count, left), (count,))
        self._line.show(*(", ".join(filter(None, form)) for form in forms))

    def stop(self) -> None:
        """Take it away."""
        self._line.clear()


def is_watched(config: pytest.Config) -> bool:
    """Whether somebody watches as it prints: a terminal that obeys, and not that of a CI, which keeps it as a log."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    is_obeying = os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
    return reporter is not None and bool(reporter.isatty) and is_obeying


def progress_on_terminal(
    config: pytest.Config, memory_mib: Callable[[], float | None], total: int, unit: str
) -> Progress | None:
    """A progress that writes past pytest's capturing; None where nobody watches, as in a pipe or an xdist worker."""
    remaining = config.stash.get(REMAINING, None)
    if remaining is None:
        return None
    return Progress(_line(config), memory_mib, remaining.seconds, total, unit)


@contextmanager
def what_is_left(config: pytest.Config) -> Iterator[None]:
    """Show how long the session still takes, if that is known, while a case has no progress to show."""
    remaining = config.stash.get(REMAINING, None)
    seconds = remaining.seconds() if remaining else None
    if seconds is None:
        yield
        return
    line = _line(config)
    line.show(in_words(seconds))
    try:
        yield
    finally:
        line.clear()


def _line(config: pytest.Config) -> Line:
    terminal = config.get_terminal_writer()
    capture = config.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stdout.write(text)  # past pytest's writer, which would count the text as its own line
            sys.stdout.flush()

    return Line(write, terminal.fullwidth - terminal.width_of_current_line - 1)
