"""A running case's record: what its fixtures find out, how it ends, and how it travels on pytest's own reports."""

import contextlib
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ..base import safe_text
from ..base.errors import CandidateError, one_line
from ..base.messages import Message, message, told_by, verbatim
from ..inputs.settings import Settings
from ..planner.plan import Plan
from ..results.answers import GivenAnswer
from ..results.environment import Environment, unknown_environment
from ..results.record import Assessment, Ending, Measured, Outcome, Record, experiment_of, plain
from ..workloads.refusals import is_out_of_memory
from . import cases
from .devices import DEVICE, Device
from .options import SETTINGS

_ASKED_FOR = re.compile(r"Tried to allocate ([0-9.]+) (bytes|KiB|MiB|GiB)")
"""In PyTorch's message (`c10/cuda/CUDACachingAllocator.cpp`)."""
_MIB = {"bytes": 2**-20, "KiB": 2**-10, "MiB": 1.0, "GiB": 1024.0}


@dataclass(slots=True)
class Draft:
    """What is known of a running case."""

    environment: Environment | None = None
    """What a plan is made for."""
    measured: Measured = field(default_factory=Measured)
    plan: Plan | None = None
    quality: Assessment = field(default_factory=Assessment)
    answers: list[GivenAnswer] = field(default_factory=list)
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
            answers=len(self.answers) or None,
        )


_DRAFT = pytest.StashKey[Draft]()
"""Where, on its item, a case's draft is."""


def draft_of(item: pytest.Item) -> Draft:
    """What is known of a case so far, for its fixtures to add to."""
    return item.stash.setdefault(_DRAFT, Draft())


def out_of_memory(reached: Measured, planned_peak_reserved_mib: float | None) -> Message:
    """All that is known where memory ran out, and what the case's plan says it needs in segments."""
    said = message("reason.ran_out")
    for key, mib in (
        ("reason.ran_out_at_request", reached.requested_mib),
        ("reason.ran_out_reserved", reached.memory.peak_reserved_mib),
        ("reason.ran_out_allocated", reached.memory.peak_allocated_mib),
        ("reason.ran_out_under_cap", reached.cap_mib),
        ("reason.ran_out_against_plan", planned_peak_reserved_mib),
    ):
        if mib is not None:
            said = message(key, reason=said, mib=mib)
    return said


class CaseFailure(pytest.fail.Exception):  # type: ignore[name-defined, misc]
    """A case that ended for a reason one sentence tells; pytest shows that sentence and no traceback."""

    __module__ = "builtins"  # as pytest does with its own: its summary has room for the name or for the sentence

    def __init__(self, kind: Ending, reason: Message, reached: Measured | None = None) -> None:
        """`reached` is what the device's memory came to, where it ran out."""
        super().__init__(safe_text.line(str(reason)), pytrace=False)
        self.outcome = Outcome(kind, reason)
        self._reached = reached

    def put_into(self, measured: Measured) -> Measured:
        """What was measured before, with what was reached."""
        if self._reached is None:
            return measured
        memory, requested_mib, cap_mib = self._reached.memory, self._reached.requested_mib, self._reached.cap_mib
        return replace(measured, memory=memory, requested_mib=requested_mib, cap_mib=cap_mib)


@contextlib.contextmanager
def told_in_one_sentence(device: Device | None = None, plan: Plan | None = None) -> Iterator[None]:
    """Make a CaseFailure of what is wrong with a candidate, and of memory that runs out on a device that is given."""
    try:
        yield
    except CandidateError as error:
        raise CaseFailure("error", told_by(error)) from None
    except Exception as error:
        if device is None or not is_out_of_memory(error):
            raise
        memory = replace(device.memory.stop(), allocated_after_mib=None)  # there was no end
        reached = Measured(memory=memory, requested_mib=requested_mib(error), cap_mib=device.cap_mib)
        reason = out_of_memory(reached, plan.peak_reserved_mib if plan else None)
        raise CaseFailure("out_of_memory", reason, reached) from None


def requested_mib(error: BaseException) -> float | None:
    """How much was asked for when memory ran out, as PyTorch's message tells it."""
    found = _ASKED_FOR.search(str(error))
    return None if found is None else float(found[1]) * _MIB[found[2]]


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
    if call.excinfo is not None and isinstance(call.excinfo.value, CaseFailure):
        draft.measured = call.excinfo.value.put_into(draft.measured)
    if report.when == "teardown":
        told: dict[str, Any] = {"outcome": plain(outcome), "leaked_mib": draft.leaked_mib}
    else:
        told = {"record": draft.record(item, outcome).as_dict(), "answers": plain(draft.answers)}
    report.ohlora = told  # type: ignore[attr-defined]


def outcome_of(call: pytest.CallInfo[None], report: pytest.TestReport) -> Outcome:
    """How a case ended."""
    error = call.excinfo.value if call.excinfo is not None else None
    if error is None:
        return Outcome("passed")
    if isinstance(error, CaseFailure):
        return error.outcome
    if report.skipped:
        return Outcome("skipped", verbatim(" ".join(safe_text.line(str(error)).split())))
    kind: Ending = "failed" if isinstance(error, (AssertionError, pytest.fail.Exception)) else "error"
    return Outcome(kind, verbatim(one_line(error)))


def let_go(error: BaseException | None) -> None:
    """Clear the frames of an exception and of all those it came from: their locals keep a model alive.

    Before Python 3.13 a frame also keeps the dictionary of its locals that pytest asked it for to show the traceback;
    asking once more brings that up to date with the cleared frame.
    """
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        for frame, _ in traceback.walk_tb(each.__traceback__):
            with contextlib.suppress(RuntimeError):  # the frame is still running
                frame.clear()
                frame.f_locals  # noqa: B018 - asked for its effect
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
