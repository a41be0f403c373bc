"""A case's record while it runs: what its fixtures find out, and how that travels on pytest's own reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from ..base.errors import CandidateError
from ..base.messages import message, told_by
from ..inputs.settings import Settings
from ..planner.plan import Plan
from ..results.answers import GivenAnswer
from ..results.environment import Environment, unknown_environment
from ..results.record import Assessment, Measured, Outcome, Record, experiment_of, plain, record_of
from ..workloads import models
from . import cases
from .asked import SETTINGS
from .devices import Device
from .outcomes import CaseFailure, RanOut, outcome_of, requested_mib


@dataclass(slots=True)
class Draft:
    """What is known of a running case."""

    environment: Environment | None = None
    """What a plan is made for."""
    measured: Measured = field(default_factory=Measured)
    """What was measured so far."""
    plan: Plan | None = None
    """Its plan."""
    quality: Assessment = field(default_factory=Assessment)
    """How good its model is."""
    answers: list[GivenAnswer] = field(default_factory=list)
    """What its model has answered."""
    leaked_mib: float | None = None
    """How much more was live after the case than before it."""

    def record(self, item: pytest.Item, outcome: Outcome) -> Record:
        """The case's record."""
        case, settings = cases.case_of(item), item.config.stash[SETTINGS]
        device = None if case.is_planned else item.config.stash.get(DEVICE, None)
        return Record(
            case=case,
            outcome=outcome,
            experiment=experiment_of(settings, case),
            environment=self.environment or device or unknown_environment(),
            measured=self.measured,
            plan=self.plan,
            quality=self.quality,
        )


DEVICE = pytest.StashKey[Environment]()
"""Where, on the config, stands what measured cases run on and with."""

DRAFT = pytest.StashKey[Draft]()
"""Where, on its item, a case's draft is."""


def draft_of(item: pytest.Item) -> Draft:
    """What is known of a case so far, for its fixtures to add to."""
    return item.stash.setdefault(DRAFT, Draft())


@contextmanager
def told_in_one_sentence(device: Device | None = None, plan: Plan | None = None) -> Iterator[None]:
    """Make a CaseFailure of what is wrong with a candidate, and of memory that runs out on a device that is given."""
    try:
        yield
    except CandidateError as error:
        raise CaseFailure("error", told_by(error)) from None
    except Exception as error:
        if device is None or not models.is_out_of_memory(error):
            raise
        reached = replace(device.memory.stop(), allocated_after_mib=None)  # there was no end
        ran_out = RanOut(requested_mib(error), reached, device.cap_mib)
        raise CaseFailure("out_of_memory", ran_out.reason(plan.peak_reserved_mib if plan else None), ran_out) from None


def fail_if_tainted(item: pytest.Item, settings: Settings) -> None:
    """Under `--strict-gpu`, fail a case whose measurement is tainted; its record keeps all that was measured."""
    taints = draft_of(item).measured.card.taints
    if settings.strict_gpu and taints:
        raise CaseFailure("failed", message("reason.tainted", taint=taints))


def describe(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put a case's record on the report that settles its outcome, a failed setup's or the call's.

    What only its teardown tells goes on the report of that. It is plain data, so that it travels from a pytest-xdist
    worker, too.
    """
    if report.when == "setup" and report.passed:
        return
    outcome, draft = outcome_of(call, report), draft_of(item)
    if call.excinfo is not None and isinstance(call.excinfo.value, CaseFailure) and call.excinfo.value.ran_out:
        draft.measured = call.excinfo.value.ran_out.put_into(draft.measured)
    if report.when == "teardown":
        told: dict[str, Any] = {"outcome": plain(outcome), "leaked_mib": draft.leaked_mib}
    else:
        told = {"record": draft.record(item, outcome).as_dict(), "answers": plain(draft.answers)}
    report.ohlora = told  # type: ignore[attr-defined]


@dataclass
class Unended:
    """A case that is being torn down."""

    record: Record
    """Its record so far."""
    answers: list[GivenAnswer]
    """What its model has answered."""

    @classmethod
    def of(cls, told: dict[str, Any]) -> Unended:
        """What `describe` has put on a report."""
        return cls(record_of(told["record"]), [GivenAnswer(**each) for each in told["answers"]])

    def end(self, told: dict[str, Any]) -> None:
        """Take in what the report of its teardown tells."""
        self.record = self.record.ended(msgspec.convert(told["outcome"], Outcome), told["leaked_mib"])
