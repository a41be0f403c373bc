"""How a case ended: memory that ran out, and letting go of what an exception holds."""

import sys
import weakref
from types import SimpleNamespace

import pytest

from ohlora_fixtures.base.messages import message, verbatim
from ohlora_fixtures.meters.memory import MemoryReading
from ohlora_fixtures.results.record import Measured, Outcome
from ohlora_fixtures.session.records import CaseFailure, let_go, out_of_memory, outcome_of, requested_mib


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB", 2048.0),
        ("CUDA out of memory. Tried to allocate 96.50 MiB.", 96.5),
        ("CUDA out of memory. Tried to allocate 512 bytes.", 512 / 2**20),
        ("CUDA error: out of memory", None),
    ],
)
def test_what_was_asked_for_is_read_from_pytorchs_message(text, mib):
    assert requested_mib(RuntimeError(text)) == mib


def test_memory_that_ran_out_says_what_is_known():
    assert str(out_of_memory(Measured(), None)) == "memory ran out"
    memory = MemoryReading(peak_allocated_mib=11000.0, peak_reserved_mib=11700.0)
    assert str(out_of_memory(Measured(memory=memory, requested_mib=96.0, cap_mib=11788.0), 13012.0)) == (
        "memory ran out at a request for 96.00 MiB with up to 11700.00 MiB reserved and 11000.00 MiB allocated until "
        "then under a cap of 11788.00 MiB; the plan says 13012.00 MiB reserved"
    )


def test_what_was_measured_before_memory_ran_out_is_kept():
    reached = {"memory": MemoryReading(peak_reserved_mib=11700.0), "requested_mib": 96.0, "cap_mib": 11788.0}
    failure = CaseFailure("out_of_memory", message("reason.ran_out"), Measured(**reached))
    assert failure.put_into(Measured(parameters=5)) == Measured(parameters=5, **reached)
    assert CaseFailure("failed", message("reason.diverged")).put_into(Measured(cap_mib=5.0)) == Measured(cap_mib=5.0)


@pytest.mark.parametrize(
    ("error", "is_skip", "outcome"),
    [
        (None, False, Outcome("passed")),
        (
            CaseFailure("out_of_memory", message("reason.ran_out")),
            False,
            Outcome("out_of_memory", message("reason.ran_out")),
        ),
        (AssertionError("1 == 2"), False, Outcome("failed", verbatim("AssertionError: 1 == 2"))),
        (pytest.fail.Exception("no\nway"), False, Outcome("failed", verbatim("Failed: no way"))),
        (ValueError("bad"), False, Outcome("error", verbatim("ValueError: bad"))),
        (pytest.skip.Exception("not here"), True, Outcome("skipped", verbatim("not here"))),
    ],
)
def test_how_a_case_ended(error, is_skip, outcome):
    call = SimpleNamespace(excinfo=error and SimpleNamespace(value=error))
    assert outcome_of(call, SimpleNamespace(skipped=is_skip)) == outcome


class Model:
    """Something that must not be kept alive."""


def failed(alive):
    """An exception from three others, each of which holds a model in its frame; pytest has looked at all of them."""

    def fail(error, cause=None):
        model = Model()
        alive.append(weakref.ref(model))
        raise error from cause

    def caught(*arguments):
        try:
            fail(*arguments)
        except (ValueError, ExceptionGroup) as error:
            return error

    first = caught(ValueError("first"))
    try:
        try:
            fail(RuntimeError("context"))
        except RuntimeError:
            fail(KeyError("last"), first)
    except KeyError as error:
        whole = caught(ExceptionGroup("together", [error]))
    waiting = [whole, whole.exceptions[0], first, whole.exceptions[0].__context__]
    for each in waiting:
        traceback = each.__traceback__
        while traceback is not None:
            assert traceback.tb_frame.f_locals is not None  # as pytest asks for it
            traceback = traceback.tb_next
    return whole


def test_an_exception_and_all_it_came_from_let_go():
    alive = []
    error = failed(alive)
    assert len(alive) == 4
    assert all(model() is not None for model in alive)
    let_go(error)
    assert [model() for model in alive] == [None] * 4


def test_frames_that_still_run_are_left_alone():
    kept = Model()
    try:
        int("x")
    except ValueError:
        let_go(sys.exception())
    assert kept is not None
