"""pytest's hooks for what a person sees while cases run: a live line on a terminal, a line a case in a log."""

from collections.abc import Generator, Iterable
from typing import Any

import pytest

from ..inputs.cases import INFERENCE
from ..report import digits
from ..results.record import Record, record_of
from .fixtures import PLANNER
from .progress import REMAINING, Remaining, is_watched, what_is_left, works_of


class TerminalHooks:
    """The hooks of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._verbosity = config.get_verbosity()
        self._is_raised = False
        self._remaining: Remaining | None = None
        """What is left of the session, while somebody watches."""
        self._told: tuple[pytest.TestReport, str] | None = None
        """What pytest is telling of, and the figures to tell with it."""
        self._is_typical = False

    def begin(self, items: Iterable[pytest.Item], *, is_full_size: bool) -> None:
        """Before the first of these cases: settle how their progress is told."""
        if is_watched(self._config):
            works = works_of(items, self._config.stash[PLANNER], is_full_size=is_full_size)
            self._remaining = self._config.stash[REMAINING] = Remaining(works)
        elif self._verbosity == 0 and self._config.pluginmanager.has_plugin("terminalreporter"):
            self._is_raised = True
            self._config.option.verbose = 1  # as pytest does for its live logs: a line a case, and no dots

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """When all cases have run: go on as the user asked for."""
        try:
            return (yield)
        finally:
            if self._is_raised:
                self._config.option.verbose = self._verbosity

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Before a case, when pytest has written where it is: its time begins."""
        if self._remaining:
            self._remaining.begin(nodeid)
        self._is_typical = False

    def pytest_runtest_logfinish(self) -> None:
        """After a case: its time ends."""
        if self._remaining:
            self._remaining.end(is_typical=self._is_typical)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        """While a model is loaded: show what is left of the session."""
        with what_is_left(self._config):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None]:
        """While a case runs, until it shows its own progress: the same."""
        with what_is_left(self._config):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """While pytest tells of a report, and of that alone, as its summary has no room for figures: remember it."""
        self._is_typical |= report.when == "call" and report.passed
        described = getattr(report, "ohlora", {})
        if not self._remaining and "record" in described:
            self._told = (report, figures(record_of(described["record"])))
        try:
            return (yield)
        finally:
            self._told = None

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Generator[None, Any, Any]:
        """When pytest asks for a report's word, such as PASSED: add the case's figures."""
        category, letter, word = yield
        if self._told and self._told[0] is report and isinstance(word, str) and word and self._told[1]:
            word = f"{word} ({self._told[1]})"
        return category, letter, word


def figures(record: Record) -> str:
    """What a case came to, such as `58.7 s, peak 9,120 MiB of 12,288`; empty if it came to nothing."""
    parts = []
    if record.outcome.kind in ("over_budget", "out_of_memory"):
        parts.append(record.outcome.kind.replace("_", " "))
    if record.environment.scale == "mini":
        parts.append("rehearsed")
    if record.seconds is not None:
        parts.append(f"{digits.seconds(record.seconds)} s{' a prompt' if record.case.workload == INFERENCE else ''}")
    if record.needs_device_mib is not None:
        what = "needs" if record.case.is_planned else "peak"
        parts.append(f"{what} {digits.mib(record.needs_device_mib)} MiB of {digits.mib(record.limit_mib)}")
        if record.needs_device_mib != record.peak_device_mib:
            parts.append(f"takes {digits.mib(record.peak_device_mib)} where there is room")
    if record.taints:
        parts.append("doubtful")
    return ", ".join(parts)
