"""How a case ended: memory that ran out, and letting go of what an exception holds."""

import sys
import weakref

import pytest

from ohlora_fixtures.session.outcomes import OutOfMemory, let_go, requested_mib


@pytest.mark.parametrize(
    ("message", "mib"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB", 2048.0),
        ("CUDA out of memory. Tried to allocate 96.50 MiB.", 96.5),
        ("CUDA out of memory. Tried to allocate 512 bytes.", 512 / 2**20),
        ("CUDA error: out of memory", None),
    ],
)
def test_what_was_asked_for_is_read_from_pytorchs_message(message, mib):
    assert requested_mib(RuntimeError(message)) == mib


def test_memory_that_ran_out_says_what_is_known():
    assert OutOfMemory(None, None, None, None, None).sentence() == "memory ran out"
    whole = OutOfMemory(96.0, 11000.0, 11700.0, 11788.0, 13012.0)
    assert whole.sentence() == (
        "memory ran out at a request for 96.00 MiB with up to 11700.00 MiB reserved and 11000.00 MiB allocated until "
        "then under a cap of 11788.00 MiB; the plan says 13012.00 MiB reserved"
    )


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
