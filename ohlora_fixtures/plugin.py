"""Every meeting point with pytest: options and hooks, each handing on to a room of its own."""

import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from .base.errors import InputError
from .inputs.cases import Case, is_case_id
from .inputs.gpu_profiles import LIST
from .planner.plan import PlanStore
from .planner.planner import Planner
from .report.layout import Terminal
from .results.calibration import pace_of
from .session import cases, records, workers
from .session.devices import CUDA_CONTEXT, choose_device
from .session.fixtures import *  # noqa: F403 - pytest finds fixtures among a plugin's names
from .session.fixtures import PLANNER
from .session.measuring import *  # noqa: F403
from .session.options import SETTINGS, add_options, gpu_profiles_listed, read_settings
from .session.session import Session
from .session.stored_benchmarks import keep_benchmarks
from .session.terminal import TerminalHooks


def pytest_addoption(parser: pytest.Parser) -> None:
    """At start-up: declare the options."""
    add_options(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Once options are parsed, in place of a session: show the cards that can be planned for, if they are asked for."""
    if config.getoption("gpu_profile") != LIST:
        return None
    sys.stdout.write(f"{gpu_profiles_listed()}\n")
    return pytest.ExitCode.OK


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Once options are parsed, and before pytest-benchmark reads its own: read them, if benches are asked for."""
    config.addinivalue_line("markers", "xdist_group(name): one candidate's cases, for one worker")
    if not cases.are_asked_for(config):
        return
    with _told_by_pytest():
        settings, reporting = read_settings(config)
        config.stash[SETTINGS] = settings
        terminal = TerminalHooks(config)
        keep_benchmarks(config, settings.results_dir.name)
        hooks = SessionHooks(config, Session(settings, reporting), terminal)
    config.pluginmanager.register(hooks, "ohlora-session")
    config.pluginmanager.register(terminal, "ohlora-terminal")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """While collecting: make a bench's cases."""
    cases.parametrize(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After collecting: bring each candidate's cases together."""
    cases.sort(items)


@contextmanager
def _told_by_pytest() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise pytest.UsageError(str(error)) from None


class SessionHooks:
    """The hooks of one session's run and report."""

    def __init__(self, config: pytest.Config, session: Session, terminal: TerminalHooks) -> None:
        self._config = config
        self._session = session
        self._terminal = terminal
        self._worker = workers.this_worker(config)
        self._places = workers.Places()
        self._is_checked = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Once every plugin is there: look at named models, take over what is resumed, prepare to plan.

        What is found of models, and plans, are kept in pytest's own cache, where there is one.
        """
        cache, is_dry_run = getattr(self._config, "cache", None), self._config.option.collectonly
        store = PlanStore(cache.mkdir("ohlora-plans") if cache else None)
        with _told_by_pytest():
            settings = self._config.stash[SETTINGS] = self._session.complete(store, is_dry_run=is_dry_run)
            if self._worker is None and settings.is_resumed:
                self._session.resume(is_dry_run=is_dry_run)
        pace = partial(pace_of, settings.gpu_profile, settings.results_dir.parent)
        self._config.stash[PLANNER] = Planner(settings, store, pace)

    def pytest_report_header(self) -> list[str]:
        """At the head of pytest's output: say what data it is about, and what is resumed."""
        return self._session.header

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """After collecting: leave out what an earlier session has done."""
        cases.leave_out(items, set(self._worker.kept) if self._worker else self._kept_ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """In pytest-xdist's controller, before a worker starts: tell it its GPU, and what is not run again."""
        workers.tell(node.workerinput, self._places.give(node.gateway.id), self._kept_ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """In pytest-xdist's controller, when a worker has ended: its GPU is free for the one that replaces it."""
        self._places.free(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """In pytest-xdist's controller: with `--dist loadgroup`, one worker gets all of a candidate's cases."""
        if config.getvalue("dist") == "loadgroup":
            return workers.candidate_scheduling(config, log)
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """In pytest-xdist's controller, when a case has ended its worker: keep its record."""
        self._session.keep_crashed(crashitem, report, report.node.gateway.id)
        self._tell(self._session.news())

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_compare_machine_info(self, compared_benchmark: dict[str, Any]) -> None:
        """When pytest-benchmark has read a stored run to compare with: compare memory with it, too."""
        self._session.stored_runs.append(compared_benchmark)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Before the first case: choose this process's GPU, and check what needs the heavy libraries."""
        if self._config.option.collectonly or not session.items:  # pytest-xdist's controller has none
            return
        self._config.stash[CUDA_CONTEXT] = choose_device(self._worker.place if self._worker else 0)
        items = [item for item in session.items if cases.is_case(item)]
        if self._worker is None and items:
            self._begin({cases.case_of(item) for item in items}, items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """In pytest-xdist's controller, which has no items of its own: the same check, once."""
        if not self._is_checked and any(map(is_case_id, ids)):
            self._is_checked = True
            settings = self._config.stash[SETTINGS]
            self._begin({case for node_id in ids if (case := cases.parsed(node_id, settings))})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """When a case's bench has run: fail a tainted one, if that is wanted."""
        result = yield
        if cases.is_case(item):
            records.fail_if_tainted(item, self._config.stash[SETTINGS])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """After a case's setup, call and teardown: describe it, and let go of the model a traceback holds."""
        report = yield
        if cases.is_case(item):
            records.describe(item, call, report)
            if call.excinfo is not None and not self._config.option.usepdb:
                records.let_go(call.excinfo.value)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """When a report arrives, from an xdist worker too: keep its record."""
        if self._worker is None:
            self._session.keep(report)
            self._tell(self._session.news())

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """At the end, interrupted or not: write the comparison, even if another plugin finds the disk full."""
        try:
            return (yield)
        except OSError as error:
            self._tell([f"another file of the session could not be written ({error.strerror}): {error.filename}"])
        finally:
            if self._has_comparison(session.exitstatus):
                self._session.finish(session.items)
                session.exitstatus = self._session.exit_status(session.exitstatus)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> Generator[None]:
        """In pytest's summary: show the comparison, even if pytest-benchmark raises because times have regressed."""
        try:
            return (yield)
        finally:
            if self._has_comparison(exitstatus):
                writer = self._config.get_terminal_writer()
                verbosity = self._config.get_verbosity()
                look = Terminal(writer.fullwidth, verbosity, lambda text, look: writer.markup(text, **{look: True}))
                terminalreporter.write_sep("=", "comparison")
                is_interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
                for line in self._session.summary(look, is_interrupted=is_interrupted).split(
                    "\n"
                ):  # what a stream cannot hold spoils one line
                    terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """At the very end: let other sessions have the results folder."""
        self._session.close()

    @property
    def _kept_ids(self) -> set[str]:
        return {case.id for case in self._session.kept_cases}

    def _has_comparison(self, exit_status: int) -> bool:
        return self._session.has_records and exit_status != pytest.ExitCode.USAGE_ERROR

    def _begin(self, found: set[Case], items: Sequence[pytest.Item] = ()) -> None:
        has_plans = bool(items) and cases.are_planned(items, self._config.stash[PLANNER])
        with _told_by_pytest():
            notices = self._session.begin(found, has_plans=has_plans)
        self._tell(notices)
        self._terminal.begin(items, is_full_size=self._session.is_full_size)

    def _tell(self, sentences: Iterable[str]) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        for sentence in sentences if reporter else ():
            reporter.write_line(f"note: {sentence}")
