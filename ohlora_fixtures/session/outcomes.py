"""How a case ended: pytest's result turned into a record's outcome and reason."""

from __future__ import annotations

import contextlib
import re
import traceback
from dataclasses import dataclass, replace

import pytest

from ..base import safe_text
from ..base.errors import one_line
from ..base.messages import Message, message, verbatim
from ..meters.memory import MemoryReading
from ..results.record import Ending, Measured, Outcome

_ASKED_FOR = re.compile(r"Tried to allocate ([0-9.]+) (bytes|KiB|MiB|GiB)")
"""In PyTorch's message (`c10/cuda/CUDACachingAllocator.cpp`)."""
_MIB = {"bytes": 2**-20, "KiB": 2**-10, "MiB": 1.0, "GiB": 1024.0}


@dataclass(frozen=True)
class RanOut:
    """The device's memory ran out: MiB, None where it is not known."""

    requested_mib: float | None
    """What was asked for last."""
    memory: MemoryReading
    """What the run took until then."""
    cap_mib: float | None
    """What the segments were capped at."""

    def reason(self, planned_peak_reserved_mib: float | None) -> Message:
        """All that is known, and what the case's plan says it needs in segments."""
        said = message("reason.ran_out")
        for key, mib in (
            ("reason.ran_out_at_request", self.requested_mib),
            ("reason.ran_out_reserved", self.memory.peak_reserved_mib),
            ("reason.ran_out_allocated", self.memory.peak_allocated_mib),
            ("reason.ran_out_under_cap", self.cap_mib),
            ("reason.ran_out_against_plan", planned_peak_reserved_mib),
        ):
            if mib is not None:
                said = message(key, reason=said, mib=mib)
        return said

    def put_into(self, measured: Measured) -> Measured:
        """What was measured, with this."""
        return replace(measured, memory=self.memory, requested_mib=self.requested_mib, cap_mib=self.cap_mib)


class CaseFailure(pytest.fail.Exception):  # type: ignore[name-defined, misc]
    """A case that ended for a reason one sentence tells; pytest shows that sentence and no traceback."""

    __module__ = "builtins"  # as pytest does with its own: its summary has room for the name or for the sentence

    def __init__(self, kind: Ending, reason: Message, ran_out: RanOut | None = None) -> None:
        super().__init__(safe_text.line(str(reason)), pytrace=False)
        self.outcome = Outcome(kind, reason)
        self.ran_out = ran_out


def requested_mib(error: BaseException) -> float | None:
    """How much was asked for when memory ran out, as PyTorch's message tells it."""
    found = _ASKED_FOR.search(str(error))
    return None if found is None else float(found[1]) * _MIB[found[2]]


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
