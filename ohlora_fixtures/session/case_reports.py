"""A case's record on pytest's own reports: plain data, so that it travels from a pytest-xdist worker, too."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from ..base.messages import sentence
from ..inputs.settings import Settings
from ..results.record import Record, facts_of_settings
from . import cases
from .outcomes import CaseFailure, outcome_and_reason
from .session import ANSWERS, CASE_FACTS, SESSION_FACTS


def fail_if_tainted(item: pytest.Item, settings: Settings) -> None:
    """Under `--strict-gpu`, fail a case whose measurement is tainted; its record keeps all that was measured."""
    taints = item.stash.get(CASE_FACTS, {}).get("taints")
    if settings.strict_gpu and taints:
        raise CaseFailure("failed", sentence("reason.tainted", taint="; ".join(taints)))


def describe(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, settings: Settings) -> None:
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
    record = Record(
        case=item.name,
        candidate=cases.candidate_of(item).name,
        workload=cases.workload_of(item),
        planned_workload=cases.planned_workload_of(item),
        lora_rank=cases.lora_rank_of(item),
        outcome=outcome,
        reason=reason,
        **facts_of_settings(settings),
        **({} if cases.planned_workload_of(item) else item.config.stash.get(SESSION_FACTS, {})) | facts,
    )
    answers = [asdict(each) for each in item.stash.get(ANSWERS, ())]
    report.ohlora = {"record": record.as_dict(), "answers": answers}  # type: ignore[attr-defined]
