"""The progress of a running case and of the session, on a terminal alone."""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from statistics import median

import pytest

from ..base.errors import CandidateError
from ..inputs.cases import INFERENCE
from ..meters.meter import Tick
from ..planner.planner import Planner
from . import cases
from .options import SETTINGS

_SAVE, _RESTORE, _ERASE = "\x1b7", "\x1b8", "\x1b[K"
_SECONDS_BETWEEN = 0.25
_SECONDS_OF_A_SHORT_PLAN = 2.0
_SECONDS_BETWEEN_SIGNS = 180.0
"""In a log."""
_MINUTE, _MINUTES_OF_AN_HOUR = 60, 60
_ROUGHLY = 5
"""Minutes that an estimate of hours is rounded to."""
AS_PLANNED = "as planned"
"""The kind of cases whose size is their planned seconds: known before the first has run, and corrected by those that
have."""


@dataclass(frozen=True)
class Work:
    """What a case's time depends on."""

    kind: str
    """Cases of one kind take alike."""
    size: float = 1.0
    """How long beside others of its kind."""


def works_of(items: Iterable[pytest.Item], planner: Planner, *, is_full_size: bool) -> dict[str, Work]:
    """What each case's time depends on, by its node id; a plan of one rank does the work of all.

    Measured at full size, a case takes as long as planned, and its plan is made where it is not at hand. Of one that
    cannot be planned nothing is known. Mini replicas are alike.
    """
    works = dict[str, Work]()
    for item in items:
        case = cases.case_of(item)
        if case.is_planned:
            works[item.nodeid] = Work(f"plan {case.variant}")
        elif is_full_size:
            works[item.nodeid] = _planned(item, planner) or Work(item.nodeid)
        else:
            works[item.nodeid] = Work(case.workload)
    return works


def _planned(item: pytest.Item, planner: Planner) -> Work | None:
    """A measured case as its plan has it."""
    candidate, variant = cases.candidate_of(item), cases.variant_of(item)
    name = f"{candidate.name} {variant.name if variant else INFERENCE}"
    with suppress(CandidateError), phases_on_terminal(item.config, name) as watch:
        seconds = planner.plan(candidate, variant, watch=watch).seconds
        prompts = 1 if variant else len(item.config.stash[SETTINGS].protocol.prompt_rows)
        return Work(AS_PLANNED, seconds * prompts) if seconds else None
    return None


class Remaining:
    """What is left of a session; it is told when a case begins and ends."""

    def __init__(self, works: Mapping[str, Work]) -> None:
        """`works` holds every case of the session, by its node id."""
        self._works = works
        self._waiting: dict[str, float] = defaultdict(float)
        """By kind, the size of all cases that have not begun."""
        for work in works.values():
            self._waiting[work.kind] += work.size
        self._found: dict[str, list[float]] = defaultdict(list)
        """By kind, the seconds of each case that has ended, by its size."""
        self._running: Work | None = None
        self._began = 0.0

    def begin(self, nodeid: str) -> None:
        """A case begins, loading included."""
        self._running, self._began = self._works.get(nodeid), time.perf_counter()
        if self._running:
            self._waiting[self._running.kind] -= self._running.size

    def end(self, *, is_typical: bool) -> None:
        """It has ended; the time of one that broke off says nothing of the others."""
        if self._running and is_typical:
            self._found[self._running.kind].append((time.perf_counter() - self._began) / self._running.size)
        self._running = None

    def seconds(self, own: float | None = None) -> float | None:
        """What the session still takes while a case runs; None as long as nothing is known of some kind of case.

        `own` is what the running case still takes by its own pace, if that is known.
        """
        running, so_far = self._running, time.perf_counter() - self._began
        if running is None:
            return None
        paces = {AS_PLANNED: 1.0} | {kind: median(found) for kind, found in self._found.items()}
        if own is not None:
            paces.setdefault(running.kind, (so_far + own) / running.size)
        waiting = {kind: size for kind, size in self._waiting.items() if size > 0}
        if not paces.keys() >= {running.kind, *waiting}:
            return None
        left = max(own or 0.0, paces[running.kind] * running.size - so_far)
        return left + sum(paces[kind] * size for kind, size in waiting.items())


REMAINING = pytest.StashKey[Remaining]()
"""Where, on the config, stands what is left of the session."""


def in_words(seconds: float) -> str:
    """An estimate as it is told, no more exact than it is."""
    minutes = round(seconds / _MINUTE)
    if minutes < 1:
        return "under a minute left"
    if minutes < _MINUTES_OF_AN_HOUR:
        return f"about {minutes} min left"
    hours, minutes = divmod(_ROUGHLY * round(minutes / _ROUGHLY), _MINUTES_OF_AN_HOUR)
    return f"about {hours} h{f' {minutes} min' if minutes else ''} left"


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


class Phases:
    """Shows what a plan is at, once it takes longer than two seconds."""

    def __init__(self, line: Line, name: str) -> None:
        """What is called `name` begins now."""
        self._line, self._name = line, name
        self._next = time.perf_counter() + _SECONDS_OF_A_SHORT_PLAN

    def tell(self, phase: str) -> None:
        """Say what comes now."""
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN
            self._line.show(f"{self._name}: {phase}", phase)


class SignOfLife:
    """Says in a log, every few minutes of a long case, at which step it is."""

    def __init__(self, write: Callable[[str], None], total: int, unit: str) -> None:
        """Begin counting to `total` now."""
        self._write, self._total, self._unit, self._done = write, total, unit, 0
        self._began = self._told = time.perf_counter()

    def tick(self) -> None:
        """Count one; say so if it is long enough ago."""
        self._done += 1
        now = time.perf_counter()
        if now - self._told >= _SECONDS_BETWEEN_SIGNS:
            self._told = now
            minutes = (now - self._began) / _MINUTE
            self._write(f"\n  {self._done} of {self._total} {self._unit} after {minutes:.0f} min ")


def is_watched(config: pytest.Config) -> bool:
    """Whether somebody watches as it prints: a terminal that obeys, and not that of a CI, which keeps it as a log."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    is_obeying = os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
    return reporter is not None and bool(reporter.isatty) and is_obeying


@contextmanager
def progress_on_terminal(
    config: pytest.Config, memory_mib: Callable[[], float | None], total: int, unit: str
) -> Iterator[Tick | None]:
    """What to call after each step or prompt of a case: a live line, in a log a line now and then; None in a worker."""
    remaining = config.stash.get(REMAINING, None)
    if remaining is None:
        is_log = config.pluginmanager.has_plugin("terminalreporter") and config.get_verbosity() > 0
        yield SignOfLife(_writer(config), total, unit).tick if is_log else None
        return
    line = _line(config)
    try:
        yield Progress(line, memory_mib, remaining.seconds, total, unit).tick
    finally:
        line.clear()


@contextmanager
def phases_on_terminal(config: pytest.Config, name: str) -> Iterator[Callable[[str], None] | None]:
    """What to call as a plan goes on; None where nobody watches."""
    if not is_watched(config):
        yield None
        return
    line = _line(config)
    try:
        yield Phases(line, name).tell
    finally:
        line.clear()


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
    return Line(_writer(config), terminal.fullwidth - terminal.width_of_current_line - 1)


def _writer(config: pytest.Config) -> Callable[[str], None]:
    capture = config.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stdout.write(text)  # past pytest's writer, which would count the text as its own line
            sys.stdout.flush()

    return write
