"""One session's results: each case's record the moment it ends, the comparison at the end."""

import shlex
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest

from ..base import safe_text
from ..base.errors import InputError
from ..base.files import replace_bytes, replace_text
from ..base.installation import DATA, REFERENCE
from ..base.messages import message
from ..choice.selection import Selection
from ..inputs.candidates import read_candidates
from ..inputs.cases import Case
from ..inputs.named_models import in_one_line
from ..inputs.settings import Settings
from ..meters.nvml import Nvml
from ..planner.plan import PlanStore
from ..report import choice, files, stored_run
from ..report.layout import Terminal
from ..report.notes import listed
from ..results import comparison, memory_growth
from ..results.answers import Answers, GivenAnswer, name_of, write_answers
from ..results.environment import describe_environment, unknown_environment
from ..results.folder import ENVIRONMENT, SESSION, RecordStore, stored_records
from ..results.record import Outcome, Record, experiment_of, record_of
from . import cases, devices, preflight, resume
from .named_models import complete
from .options import Reporting


class Session:
    """Collects one pytest session's records, in pytest-xdist its controller, and writes its results folder."""

    def __init__(self, settings: Settings, reporting: Reporting) -> None:
        self._reporting = reporting
        self._settings = settings
        self._store = RecordStore(settings.results_dir)
        self._resumed: resume.Resumed | None = None
        self._records: dict[Case, Record] = {}
        """By case, in the order in which they ended; in a resumed session, those of the earlier one, too."""
        self._answers: Answers = {}
        self._unended: dict[Case, Record] = {}
        """Cases that are being torn down."""
        self._ended: set[Case] = set()
        """Cases that have ended in this session."""
        self.stored_runs: list[dict[str, Any]] = []
        """Those that pytest-benchmark compares times with; memory is set beside theirs, too."""
        self._verdicts: list[memory_growth.MemoryGrowth] = []
        self._selection: Selection | None = None
        self._environment: dict[str, Any] | None = None
        self._told_problem: str | None = None
        self._told_deleted = 0
        self.is_full_size = False
        """Whether models of full size are measured; known once it has begun."""

    def complete(self, store: PlanStore, *, is_dry_run: bool) -> Settings:
        """Find out what the built architecture of a named model tells; a dry run does without, unless it resumes.

        Returns the settings with these candidates. Raises InputError for a model that cannot be built or tuned.
        """
        settings = self._settings
        named = [each for each in settings.candidates if each.name in settings.named and not each.parameters]
        if named and (settings.is_resumed or not is_dry_run):
            ours = read_candidates(DATA / "candidates.toml")
            texts = {each.name: settings.dialogues.texts(each.text_template) for each in named}
            candidates = tuple(
                complete(each, ours, texts[each.name], store) if each in named else each for each in settings.candidates
            )
            self._settings = replace(settings, candidates=candidates)
        return self._settings

    def resume(self, *, is_dry_run: bool) -> None:
        """Take over an earlier session's folder and records; a dry run looks, and leaves the folder to others.

        Raises InputError if that cannot be done, or if something differs that must not.
        """
        settings = self._settings
        then = resume.read_identity(settings.results_dir)
        found = stored_records(settings.results_dir) if is_dry_run else self._store.resume()
        is_torn = found.torn_line is not None and not is_dry_run
        try:
            answers = found.answers(candidate.name for candidate in settings.candidates)
            self._resumed = resume.resumed(settings, then, found.records, answers, is_torn=is_torn)
        except InputError:
            self.close()
            raise
        if not is_dry_run:
            self._records, self._answers = {record.case: record for record in found.records}, answers

    def begin(self, found: Collection[Case], *, has_plans: bool) -> list[str]:
        """Before the first case: check what can be checked, take the results folder, put down what this is made with.

        `has_plans` says that all these cases are plans that are at hand, for which nothing heavy is looked at. Returns
        what the user should know, a sentence each. Raises InputError for what the user can mend, such as a folder that
        another session has.
        """
        settings, folder = self._settings, self._settings.results_dir
        notices = [] if has_plans else preflight.check(settings, found)
        if not all(case.is_planned for case in found):
            device = devices.environment_ahead(settings)
            self.is_full_size = device.scale == "full"
            if self._resumed is not None:
                self._resumed = self._resumed.on_device(device, settings.known_profiles)
        choosing = self._reporting.choosing
        chosen_by = {
            "weights": dict(choosing.weights),
            "any_license": choosing.any_license,
            "published": choosing.published,
        }
        now = resume.identity(settings) | {"choice": chosen_by}
        environment = describe_environment(Nvml())
        if self._resumed is None:
            self._store.claim()
        else:
            now = resume.joined(resume.read_identity(folder), now)
            environment = resume.environment_after(folder / ENVIRONMENT, environment)
        self._environment = environment
        for name, facts in ((SESSION, now), (ENVIRONMENT, environment)):
            self._store.write(name, partial(replace_bytes, data=safe_text.json_page(facts)))
        if self._store.problem is not None:
            self.close()
            raise InputError(
                f"results folder {folder} cannot be written ({self._store.problem}): make room there, "
                "or give --results-dir another one"
            )
        return notices

    @property
    def kept_cases(self) -> frozenset[Case]:
        """The cases that a resumed session does not run again."""
        return self._resumed.kept if self._resumed else frozenset()

    @property
    def header(self) -> list[str]:
        """What a session says first: its dataset, the models and the training set-up, and what it resumes."""
        dataset = self._settings.dialogues.understood(self._settings.protocol.fine_tuning_rows)
        candidates = self._settings.candidates
        models = [f"model: {in_one_line(each)}" for each in candidates if each.name in self._settings.named]
        resumed = [self._resumed.header()] if self._resumed else []
        return list(map(safe_text.line, (dataset, *models, *self._settings.told, *resumed)))

    @property
    def has_records(self) -> bool:
        """Whether any case has ended."""
        return bool(self._records or self._unended)

    def keep(self, report: pytest.TestReport) -> None:
        """When a report arrives: hold a case's record back until its teardown has ended, then write its line."""
        found = vars(report).pop("ohlora", None)  # pytest keeps every report to the end
        if found is None:
            return
        if "record" in found:
            record = record_of(found["record"])
            self._unended[record.case] = record
            if found["answers"]:
                self._answers[record.case] = [GivenAnswer(**each) for each in found["answers"]]
        elif (case := cases.parsed(report.nodeid, self._settings)) is not None and case in self._unended:
            self._end(case, msgspec.convert(found["outcome"], Outcome), found["leaked_mib"])

    def keep_crashed(self, nodeid: str, report: pytest.TestReport, worker: str) -> None:
        """When a case has ended its worker's process: keep what is known of it, and say so instead of a traceback."""
        case = cases.parsed(nodeid, self._settings)
        if case is None or case in self._ended:
            return
        outcome = Outcome("error", message("reason.process_died", worker=worker))
        report.longrepr = str(outcome.reason)
        experiment = experiment_of(self._settings, case)
        self._unended.setdefault(case, Record(case, outcome, experiment, unknown_environment()))
        self._end(case, outcome, None)

    def news(self) -> list[str]:
        """What the user should know of the disk, a sentence each, once."""
        problem, told = self._store.problem, self._told_problem
        self._told_problem = problem
        folder, news = self._settings.results_dir, []
        if len(self._store.deleted) > self._told_deleted:
            self._told_deleted = len(self._store.deleted)
            news.append(self._deleted)
        if problem == told:
            return news
        if problem is None:
            return [*news, f"everything missing from {folder} has now been written"]
        kept = "kept in memory; writing is tried again after each case and at the end"
        return [*news, f"{self._store.missing} cannot be written to {folder} ({problem}): {kept}"]

    @property
    def _deleted(self) -> str:
        folder, names = self._settings.results_dir, listed([*self._store.deleted])
        return f"somebody has deleted {names} in {folder} while this session ran: written again from memory"

    def close(self) -> None:
        """Let other sessions have the results folder."""
        self._store.close()

    def _end(self, case: Case, outcome: Outcome, leaked_mib: float | None) -> None:
        self._unended[case] = self._unended[case].ended(outcome, leaked_mib)
        self._write(case)

    def _write(self, case: Case) -> None:
        """Write a case's record; it stays among the unended until then, so that an interruption loses nothing."""
        record = self._unended[case]
        self._records.pop(case, None)
        self._records[case] = record
        self._ended.add(case)
        if case in self._answers:  # they come first: a case that has a line has all that belongs to it
            own = {each: given for each, given in self._answers.items() if each.candidate == case.candidate}
            self._store.write(name_of(case.candidate), partial(write_answers, answers=own))
        self._store.add(record)
        del self._unended[case]

    def exit_status(self, exit_status: int) -> int:
        """The status with which the session ends: memory that grew too much, a kept case or the disk can fail it."""
        kept = [self._records[case] for case in self.kept_cases]
        if exit_status == pytest.ExitCode.NO_TESTS_COLLECTED and kept:  # all that was asked for is there
            exit_status = pytest.ExitCode.OK
        has_failed = any(record.outcome.kind != "passed" for record in kept)
        has_failed = has_failed or self._store.problem is not None or bool(self._store.deleted)
        if self._reporting.memory_limits and memory_growth.has_failed(self._verdicts):
            has_failed = True
        return pytest.ExitCode.TESTS_FAILED if has_failed and exit_status == pytest.ExitCode.OK else exit_status

    def finish(self, selected: Iterable[pytest.Item]) -> None:
        """Write what an interrupted teardown left, judge the selected items' memory, write the comparison's files."""
        for case in list(self._unended):
            self._write(case)
        self._store.restore()
        settings, found, beside = self._settings, self._comparison(), ""
        if limits := self._reporting.memory_limits:
            names = [item.name for item in selected if cases.is_case(item) and not cases.case_of(item).is_planned]
            ran = self._records.values()
            self._verdicts = [memory_growth.held_against(limits, ran, run, names) for run in self.stored_runs]
            beside = stored_run.markdown(limits, self._verdicts, self._reporting.language)
        for choosing in self._reporting.choosing.in_turn:
            self._selection = choosing.choose(found, self._answers, settings.results_dir)
            findings = files.Findings(found, self._selection, self._answers, self._environment)
            for name, text in files.texts(findings, self._reporting.language, beside):
                self._store.write(name, partial(replace_text, text=text))

    def summary(self, terminal: Terminal, *, is_interrupted: bool) -> str:
        """The comparison and the choice for a terminal, where their files are, and how to run what has not ended."""
        parts = [files.closing(self._comparison(), self._selection, terminal)]
        parts += [stored_run.memory_beside(self._records.values(), run) for run in self.stored_runs]
        if limits := self._reporting.memory_limits:
            parts.append(stored_run.terminal(limits, self._verdicts, terminal.width))
        if self._selection is not None:
            parts.append(choice.terminal(self._selection, terminal))
        folder = str(self._settings.results_dir)
        where = f"results: {folder}"
        if is_interrupted:
            where += f"\nthe rest: the same command, without --results-dir, with --resume {shlex.quote(folder)}"
        parts.append(where)
        self._store.restore()
        if self._store.deleted:
            parts.append(f"NOT AS IT WAS: {self._deleted}")
        if self._store.problem is not None:
            parts.append(
                f"NOT WRITTEN, the disk does not take it ({self._store.problem}): {self._store.missing}; copy what "
                "stands above, it is saved nowhere else"
            )
        return "\n\n".join(parts)

    def _comparison(self) -> comparison.Comparison:
        settings = self._settings
        published = comparison.read_published(REFERENCE)
        ran = tuple(self._records.values())
        variants = [variant.name for variant in settings.variants]
        notes = self._resumed.notes(len(ran) - len(self._ended)) if self._resumed else ()
        return comparison.compare(settings.candidates, variants, ran, published, notes)
