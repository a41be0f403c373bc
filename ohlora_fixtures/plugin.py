"""Every meeting point with pytest: options and hooks, each handing on to a room of its own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from . import cases, devices, outcomes, storage
from .errors import InputError
from .fixtures import *  # noqa: F403 - pytest finds fixtures among a plugin's names
from .planner.planner import Planner
from .planner.store import PlanStore
from .session import CUDA_CONTEXT, PLANNER, Session
from .settings import SETTINGS, add_options, read_settings

if TYPE_CHECKING:
    from .candidates import Candidate


def pytest_addoption(parser: pytest.Parser) -> None:
    """At start-up: declare the options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Once options are parsed, and before pytest-benchmark reads its own: read them, if benches are asked for."""
    config.addinivalue_line("markers", "xdist_group(name): one candidate's cases, for one worker")
    if not cases.are_asked_for(config):
        return
    try:
        settings = read_settings(config)
    except InputError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[SETTINGS] = settings
    storage.keep_benchmarks(config, settings.results_dir.name)
    config.pluginmanager.register(SessionHooks(config), "ohlora-session")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """While collecting: make a bench's cases."""
    cases.parametrize(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After collecting: bring each candidate's cases together."""
    cases.sort(items)


class SessionHooks:
    """The hooks of one session's run and report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session = Session(config.stash[SETTINGS])
        self._worker: str | None = getattr(config, "workerinput", {}).get("workerid")
        self._is_checked = False

    def pytest_sessionstart(self) -> None:
        """Once every plugin is there: plans are kept in pytest's own cache, where there is one."""
        cache = getattr(self._config, "cache", None)
        folder = cache.mkdir("ohlora-plans") if cache else None
        self._config.stash[PLANNER] = Planner(self._config.stash[SETTINGS], PlanStore(folder))

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_compare_machine_info(self, compared_benchmark: dict[str, Any]) -> None:
        """When pytest-benchmark has read a stored run to compare with: compare memory with it, too."""
        self._session.compare_with(compared_benchmark)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Before the first case: choose this process's GPU, and check what needs the heavy libraries."""
        if self._config.option.collectonly or not session.items:  # pytest-xdist's controller has none
            return
        self._config.stash[CUDA_CONTEXT] = devices.choose_device(self._worker)
        measured, planned = cases.by_kind(item for item in session.items if cases.is_case(item))
        if self._worker is None and (measured or not self._config.stash[PLANNER].are_kept(planned)):
            self._check(measured)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """In pytest-xdist's controller, which has no items of its own: the same check, once."""
        if not self._is_checked:
            self._is_checked = True
            self._check(cases.measured_in(ids, self._config.stash[SETTINGS].candidates))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """When a case's bench has run: fail a tainted one, if that is wanted."""
        result = yield
        if cases.is_case(item):
            self._session.fail_if_tainted(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """After a case's setup, call and teardown: describe it, and let go of the model a traceback holds."""
        report = yield
        if cases.is_case(item):
            self._session.describe(item, call, report)
            if call.excinfo is not None and not self._config.option.usepdb:
                outcomes.let_go(call.excinfo.value)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """When a report arrives, from an xdist worker too: keep its record."""
        if self._worker is None:
            self._session.keep(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """At the end, interrupted or not: write the comparison; the run fails if memory grew too much."""
        if self._session.has_records:
            self._session.finish(session.items)
            if self._session.memory_has_failed and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None]:
        """In pytest's summary: show the comparison, even if pytest-benchmark raises because times have regressed."""
        try:
            return (yield)
        finally:
            if self._session.has_records:
                width = terminalreporter.config.get_terminal_writer().fullwidth
                terminalreporter.section("comparison")
                terminalreporter.write_line(self._session.summary(width))

    def _check(self, measured: set[Candidate]) -> None:
        from . import preflight

        try:
            notices = preflight.check(self._config.stash[SETTINGS], measured)
        except InputError as error:
            raise pytest.UsageError(str(error)) from None
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        for notice in notices:
            reporter.write_line(f"note: {notice}")
