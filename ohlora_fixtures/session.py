"""One session's results: each case's record the moment it ends, the comparison at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from . import cases, comparison, records, regressions
from .environment import describe_environment
from .meters.device import CudaContext
from .meters.nvml import Nvml
from .outcomes import CaseFailure, outcome_and_reason
from .planner.planner import Planner
from .records import Record, ended
from .report import stored, table
from .report.answers import write_answers
from .shipped import REFERENCE
from .untrusted import json_page

if TYPE_CHECKING:
    from .settings import Settings

SESSION_FACTS = pytest.StashKey[dict[str, Any]]()
"""Where, on the config, the device fixture puts what holds for every case, by the record's field names."""

CASE_FACTS = pytest.StashKey[dict[str, Any]]()
"""Where, on its item, a case's fixtures put what they found out, by the record's field names."""

ANSWERS = pytest.StashKey[list[tuple[str, str]]]()
"""Where, on its item, an inference case puts its prompts and answers."""

CUDA_CONTEXT = pytest.StashKey[CudaContext]()
"""Where, on the config, stands what was on the cards before this process used one."""

LEFT_BEHIND = pytest.StashKey[str]()
"""Where, on the config, stands what a candidate has left on the card: it taints whatever is measured from then on."""

PLANNER = pytest.StashKey[Planner]()
"""Where, on the config, the session's planner is."""


class Session:
    """Collects the records of one pytest session and writes its results folder.

    Under pytest-xdist a worker makes the records and the controller keeps them: they travel as plain
    data on pytest's own reports.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: list[Record] = []
        self._unended: dict[str, dict[str, Any]] = {}
        """By node id, what is known of cases that are being torn down."""
        self._stored_runs: list[dict[str, Any]] = []
        self._verdicts: list[regressions.Verdict] = []

    @property
    def has_records(self) -> bool:
        """Whether any case has ended."""
        return bool(self._records or self._unended)

    def fail_if_tainted(self, item: pytest.Item) -> None:
        """Under `--strict-gpu`, fail a case whose measurement is tainted; its record keeps all that was measured."""
        taints = item.stash.get(CASE_FACTS, {}).get("taints")
        if self._settings.strict_gpu and taints:
            raise CaseFailure("failed", f"the measurement is tainted: {'; '.join(taints)}")

    def describe(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Put a case's record on the report that settles its outcome, a failed setup's or the call's.

        What only its teardown tells goes on the report of that.
        """
        if report.when == "setup" and report.passed:
            return
        outcome, reason = outcome_and_reason(call, report)
        facts = item.stash.get(CASE_FACTS, {})
        if report.when == "teardown":
            ended = {"outcome": outcome, "reason": reason, "leaked_mib": facts.get("leaked_mib")}
            report.ohlora = {"ended": ended}  # type: ignore[attr-defined]
            return
        if call.excinfo is not None and isinstance(call.excinfo.value, CaseFailure):
            facts = facts | call.excinfo.value.facts
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
            versions=dict(records.versions()),
            **({} if cases.planned_workload_of(item) else item.config.stash.get(SESSION_FACTS, {})) | facts,
        )
        report.ohlora = {"record": record.as_dict(), "answers": item.stash.get(ANSWERS, None)}  # type: ignore[attr-defined]

    def keep(self, report: pytest.TestReport) -> None:
        """When a report arrives: hold a case's record back until its teardown has ended, then write its line."""
        found = vars(report).pop("ohlora", None)  # pytest keeps every report to the end
        if found is None:
            return
        if "record" in found:
            self._unended[report.nodeid] = found
        elif report.nodeid in self._unended:
            described = self._unended.pop(report.nodeid)
            self._write(ended(Record(**described["record"]), **found["ended"]), described["answers"])

    def _write(self, record: Record, answers: list[tuple[str, str]] | None) -> None:
        folder = self._settings.results_dir
        if not self._records:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "environment.json").write_bytes(json_page(describe_environment(Nvml())))
        self._records.append(record)
        records.append(folder / "records.jsonl", record)
        if answers is not None:
            write_answers(folder / "answers" / f"{record.candidate}.csv", answers)

    def compare_with(self, stored_run: dict[str, Any]) -> None:
        """Set this session's memory beside that of a run pytest-benchmark has stored."""
        self._stored_runs.append(stored_run)

    @property
    def memory_has_failed(self) -> bool:
        """Whether memory was to be held against a stored run and grew too much, or could not be compared at all."""
        return bool(self._settings.memory_limits) and regressions.has_failed(self._verdicts)

    def finish(self, selected: Iterable[pytest.Item]) -> None:
        """Write what a case has left whose teardown was interrupted, judge memory, and write the comparison's files.

        The selected items should all have told of their memory.
        """
        for described in self._unended.values():
            self._write(Record(**described["record"]), described["answers"])
        self._unended.clear()
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
