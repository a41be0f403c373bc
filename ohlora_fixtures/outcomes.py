"""How a case ended: pytest's result turned into a record's outcome and reason."""

from __future__ import annotations

import traceback
from typing import Literal

import pytest

from .errors import one_line

Ending = Literal["failed", "over_budget", "out_of_memory", "error"]


class CaseFailure(pytest.fail.Exception):  # type: ignore[name-defined, misc]
    """A case that ended for a reason one sentence tells; pytest shows that sentence and no traceback."""

    def __init__(self, outcome: Ending, reason: str) -> None:
        super().__init__(reason, pytrace=False)
        self.outcome: Ending = outcome


def outcome_and_reason(call: pytest.CallInfo[None], report: pytest.TestReport) -> tuple[str, str | None]:
    """A record's outcome and its one-line reason."""
    error = call.excinfo.value if call.excinfo is not None else None
    if error is None:
        return "passed", None
    if report.skipped:
        return "skipped", " ".join(str(error).split())
    if isinstance(error, CaseFailure):
        return error.outcome, " ".join(str(error).split())
    if isinstance(error, (AssertionError, pytest.fail.Exception)):
        return "failed", one_line(error)
    return "error", one_line(error)


def let_go(error: BaseException | None) -> None:
    """Clear the frames of an exception and of those behind it: their locals keep a model alive."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
