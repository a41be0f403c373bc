"""One session's results: each case's record the moment it ends, the comparison at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from . import cases, comparison, records, regressions
from .environment import describe_environment
from .meters.device import Nvml
from .outcomes import outcome_and_reason
from .planner.planner import Planner
from .records import Record
from .report import stored, table
from .report.answers import write_answers
from .settings import DATA

if TYPE_CHECKING:
    from .settings import Settings

SESSION_FACTS = pytest.StashKey[dict[str, Any]]()
"""Where, on the config, the device fixture puts what holds for every case, by the record's field names."""

CASE_FACTS = pytest.StashKey[dict[str, Any]]()
"""Where, on its item, a case's fixtures put what they found out, by the record's field names."""

ANSWERS = pytest.StashKey[list[tuple[str, str]]]()
"""Where, on its item, an inference case puts its prompts and answers."""

PLANNER = pytest.StashKey[Planner]()
"""Where, on the config, the session's planner is."""

REFERENCE = DATA / "reference" / "published_results.csv"


class Session:
    """Collects the records of one pytest session and writes its results folder.

    Under pytest-xdist a worker makes the records and the controller keeps them: they travel as plain
    data on pytest's own reports.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: list[Record] = []
        self._stored_runs: list[dict[str, Any]] = []
        self._verdicts: list[regressions.Verdict] = []

    @property
    def has_records(self) -> bool:
        """Whether any case has ended."""
        return bool(self._records)

    def describe(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Put a case's record on the report that settles its outcome: a failed setup, or the call."""
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        outcome, reason = outcome_and_reason(call, report)
        settings = self._settings
        record = Record(
            case=item.name,
            candidate=cases.candidate_of(item).name,
            workload=cases.workload_of(item),
            planned_workload=cases.planned_workload_of(item),
            lora_rank=cases.lora_rank_of(item),
            outcome=outcome,
            reason=reason,
            protocol=settings.protocol.as_dict(),
            protocol_hash=settings.protocol.hash(),
            protocol_changes=settings.protocol.changes(),
            dataset_sha256=settings.dialogues.sha256,
            budget_mib=settings.budget_mib,
            versions=records.versions(),
            **({} if cases.planned_workload_of(item) else item.config.stash.get(SESSION_FACTS, {})),
            **item.stash.get(CASE_FACTS, {}),
        )
        report.ohlora = {"record": record.as_dict(), "answers": item.stash.get(ANSWERS, None)}  # type: ignore[attr-defined]

    def keep(self, report: pytest.TestReport) -> None:
        """Write a case's line, and its answers if it has any, the moment its report arrives."""
        found = getattr(report, "ohlora", None)
        if found is None:
            return
        folder = self._settings.results_dir
        record = Record(**found["record"])
        if not self._records:
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(describe_environment(Nvml()), indent=2, ensure_ascii=False)
            (folder / "environment.json").write_text(text + "\n", encoding="utf-8")
        self._records.append(record)
        records.append(folder / "records.jsonl", record)
        if found["answers"] is not None:
            write_answers(folder / "answers" / f"{record.candidate}.csv", found["answers"])

    def compare_with(self, stored_run: dict[str, Any]) -> None:
        """Set this session's memory beside that of a run pytest-benchmark has stored."""
        self._stored_runs.append(stored_run)

    @property
    def memory_has_failed(self) -> bool:
        """Whether memory was to be held against a stored run and grew too much, or could not be compared at all."""
        return bool(self._settings.memory_limits) and regressions.has_failed(self._verdicts)

    def finish(self, selected: Iterable[pytest.Item]) -> None:
        """Judge memory, of which the selected items should have told, and write the comparison's files."""
        found = self._comparison()
        folder = self._settings.results_dir
        page = table.markdown(found)
        if limits := self._settings.memory_limits:
            names = cases.measured_names(selected)
            self._verdicts = [regressions.judge(limits, self._records, run, names) for run in self._stored_runs]
            page += "\n" + stored.markdown(limits, self._verdicts)
        (folder / "comparison.md").write_text(page, encoding="utf-8")
        (folder / "comparison.csv").write_text(table.comma_separated(found), encoding="utf-8")

    def summary(self, width: int) -> str:
        """The comparison for a terminal, and where its files are."""
        parts = [table.terminal(self._comparison(), width)]
        parts += [stored.memory_beside(self._records, run) for run in self._stored_runs]
        if limits := self._settings.memory_limits:
            parts.append(stored.terminal(limits, self._verdicts, width))
        return "\n\n".join([*parts, f"results: {self._settings.results_dir}"])

    def _comparison(self) -> comparison.Comparison:
        settings = self._settings
        published = comparison.read_published(REFERENCE)
        return comparison.compare(settings.candidates, settings.lora_ranks, self._records, published)
