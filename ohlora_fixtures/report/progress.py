"""The progress of a running case, on a terminal alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import pytest

_SAVE, _RESTORE, _ERASE = "\x1b7", "\x1b8", "\x1b[K"
_SECONDS_BETWEEN = 0.25


class Progress:
    """Writes `37/50 steps, 12.1 it/s, 905 MiB` behind what pytest has printed, and takes it away again.

    The cursor is saved and restored around the text, so pytest finds its line as it left it.
    """

    def __init__(
        self, write: Callable[[str], None], room: int, memory_mib: Callable[[], float | None], total: int, unit: str
    ) -> None:
        """Begin counting to `total` now.

        `write` prints to the terminal; `room` is how many characters are free on its line.
        """
        self._write = write
        self._room = room
        self._memory_mib = memory_mib
        self._total, self._unit, self._done = total, unit, 0
        self._began = self._shown = time.perf_counter()

    def tick(self) -> None:
        """Count one, and show it if the last showing is some time ago."""
        self._done += 1
        now = time.perf_counter()
        if now - self._shown < _SECONDS_BETWEEN:
            return
        self._shown = now
        parts = [f"{self._done}/{self._total} {self._unit}", f"{self._done / (now - self._began):.1f} it/s"]
        memory_mib = self._memory_mib()
        if memory_mib is not None:
            parts.append(f"{memory_mib:.0f} MiB")
        self._write(f"{_SAVE}{_ERASE} {self._fitting(parts)}{_RESTORE}")

    def stop(self) -> None:
        """Take the text away."""
        self._write(f"{_SAVE}{_ERASE}{_RESTORE}")

    def _fitting(self, parts: list[str]) -> str:
        while parts and len(", ".join(parts)) + 1 > self._room:
            parts = parts[:-1]
        return ", ".join(parts)


def progress_on_terminal(
    config: pytest.Config, memory_mib: Callable[[], float | None], total: int, unit: str
) -> Progress | None:
    """A progress that writes past pytest's capturing; None where nobody watches, as in a pipe or an xdist worker."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or os.environ.get("TERM") == "dumb":
        return None
    terminal = config.get_terminal_writer()
    capture = config.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stdout.write(text)  # past pytest's writer, which would count the text as its own line
            sys.stdout.flush()

    return Progress(write, terminal.fullwidth - terminal.width_of_current_line - 1, memory_mib, total, unit)
