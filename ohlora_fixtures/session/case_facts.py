"""What a case's fixtures find out for its record, what goes wrong included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ..base.errors import CandidateError
from ..planner.plan import Plan
from ..results.record import facts_of_memory
from ..workloads import models
from .devices import Device
from .outcomes import CaseFailure, OutOfMemory, requested_mib
from .session import CASE_FACTS


def note(request: pytest.FixtureRequest, **facts: Any) -> None:
    """Put facts by, by the record's field names."""
    facts_so_far(request).update(facts)


def facts_so_far(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What is known of the running case."""
    case: pytest.Item = request.node
    return case.stash.setdefault(CASE_FACTS, {})


@contextmanager
def told_in_one_sentence(device: Device | None = None, plan: Plan | None = None) -> Iterator[None]:
    """Make a CaseFailure of what is wrong with a candidate, and of memory that runs out on a device that is given."""
    try:
        yield
    except CandidateError as error:
        raise CaseFailure("error", str(error)) from None
    except Exception as error:
        if device is not None and models.is_out_of_memory(error):
            reached = device.memory.stop()
            ending = OutOfMemory(
                requested_mib=requested_mib(error),
                peak_allocated_mib=reached.peak_allocated_mib,
                peak_reserved_mib=reached.peak_reserved_mib,
                cap_mib=device.cap_mib,
                planned_peak_reserved_mib=plan.peak_reserved_mib if plan else None,
            )
            facts = facts_of_memory(reached) | {"allocated_after_mib": None}  # there was no end
            facts |= {"requested_mib": ending.requested_mib, "cap_mib": ending.cap_mib}
            raise CaseFailure("out_of_memory", ending.sentence(), facts) from None
        raise
