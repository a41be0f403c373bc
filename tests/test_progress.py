"""The live line of a running case, what is left of its session, and one case's figures in a line."""

from types import SimpleNamespace

import pytest
from choices import fine_tuning, inference, plan

from ohlora_fixtures.base.errors import CandidateError
from ohlora_fixtures.base.messages import message
from ohlora_fixtures.inputs.cases import FINE_TUNING, INFERENCE, Case
from ohlora_fixtures.session import progress
from ohlora_fixtures.session.options import SETTINGS
from ohlora_fixtures.session.progress import (
    Line,
    Phases,
    Progress,
    Remaining,
    SignOfLife,
    Work,
    in_words,
    is_watched,
    works_of,
)
from ohlora_fixtures.session.terminal import figures


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; for the line and for what is left."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


def ticking(room, *, memory_mib=905.2, left=None, total=50, unit="steps"):
    """A progress, its line, and what it writes."""
    written = []
    line = Line(written.append, room)
    return Progress(line, lambda: memory_mib, lambda _: left, total, unit), line, written


@pytest.mark.parametrize(
    ("room", "left", "shown"),
    [
        (49, 720.0, " 1/50 steps, 2.0 it/s, 905 MiB, about 12 min left"),
        (48, 720.0, " 1/50 steps, 2.0 it/s, about 12 min left"),
        (39, 720.0, " 1/50 steps, about 12 min left"),
        (29, 720.0, " 1/50 steps"),
        (40, None, " 1/50 steps, 2.0 it/s, 905 MiB"),
        (24, None, " 1/50 steps, 2.0 it/s"),
        (15, None, " 1/50 steps"),
        (5, None, " "),
    ],
)
def test_progress_shows_what_there_is_room_for_and_rather_what_is_left_than_how_fast(clock, room, left, shown):
    shows, _, written = ticking(room, left=left)
    clock.seconds = 0.5
    shows.tick()
    assert written == [f"\x1b7\x1b[K{shown}\x1b8"]


def test_a_log_tells_every_few_minutes_at_which_step_a_long_case_is(clock):
    written = []
    case = SignOfLife(written.append, 50, "steps")
    for clock.seconds in (60.0, 170.0, 181.0, 200.0, 360.0, 361.0):
        case.tick()
    assert written == ["\n  3 of 50 steps after 3 min ", "\n  6 of 50 steps after 6 min "]


def test_what_a_plan_is_at_is_shown_once_it_takes_longer_than_two_seconds(clock):
    written = []
    plans = Phases(Line(written.append, 50), "gemma-2-2b-it r16")
    for clock.seconds in (1.9, 2.0, 2.1, 2.3):
        plans.tell(f"tracing r64, step {clock.seconds:g}")
    assert written == [f"\x1b7\x1b[K gemma-2-2b-it r16: tracing r64, step {each}\x1b8" for each in ("2", "2.3")]
    Phases(Line(written.append, 30), "gemma-2-2b-it r16").tell("too early")
    assert len(written) == 2


def test_progress_is_shown_four_times_a_second_at_most_and_taken_away(clock):
    shows, line, written = ticking(80, memory_mib=None, unit="prompts")
    for clock.seconds in (0.1, 0.2, 0.3, 0.4):
        shows.tick()
    assert [text.split(",")[0] for text in written] == ["\x1b7\x1b[K 3/50 prompts"]
    line.clear()
    assert written[-1] == "\x1b7\x1b[K\x1b8"


def test_progress_tells_what_its_own_case_still_takes(clock):
    told = []
    shows = Progress(Line(lambda _: None, 80), lambda: None, told.append, 50, "steps")
    clock.seconds = 10.0
    shows.tick()
    clock.seconds = 20.0
    shows.tick()
    assert told == [490.0, 480.0]


def session(clock, *works):
    """What is left of a session with these cases, each called by its place."""
    left = Remaining({str(place): work for place, work in enumerate(works)})

    def run(place, seconds, *, is_typical=True):
        left.begin(str(place))
        clock.seconds += seconds
        left.end(is_typical=is_typical)

    return left, run


def test_what_is_left_is_the_medians_of_what_has_run(clock):
    left, run = session(clock, *[Work("inference"), Work("fine_tuning")] * 4)
    for place, seconds in enumerate((10, 60, 30, 100, 20, 61)):
        run(place, seconds)
    left.begin("6")
    assert left.seconds() == 20 + 61
    clock.seconds += 15
    assert left.seconds() == 5 + 61
    clock.seconds += 15  # longer than it should: nothing is left of it that is known
    assert left.seconds() == 61
    assert left.seconds(own=2.5) == 2.5 + 61  # but by its own pace


def test_nothing_is_told_before_every_kind_of_case_is_known(clock):
    left, run = session(clock, Work("plan 16"), Work("inference"), Work("fine_tuning"), Work("fine_tuning"))
    assert left.seconds() is None
    run(0, 40)
    left.begin("1")
    assert left.seconds(own=3.0) is None
    left.end(is_typical=True)
    left.begin("2")
    assert left.seconds() is None
    clock.seconds += 4  # loading, and the first steps
    assert left.seconds(own=50.0) == 50 + 54  # its own pace tells of the other one, too


def test_a_case_that_broke_off_tells_nothing_of_the_others(clock):
    left, run = session(clock, *[Work("inference")] * 3)
    run(0, 0.5, is_typical=False)
    left.begin("1")
    assert left.seconds() is None
    left.end(is_typical=False)


def works(monkeypatch, *of, planned, is_full_size=True):
    """What the time of these cases depends on, by candidate, if a planner plans these seconds, and else refuses."""

    def make(candidate, variant, watch):
        if candidate.name not in planned:
            raise CandidateError(message("reason.not_planned", candidate=candidate.name, error="none"))
        return SimpleNamespace(seconds=planned[candidate.name])

    found = SimpleNamespace(
        case_of=lambda item: item.case,
        candidate_of=lambda item: SimpleNamespace(name=item.case.candidate),
        variant_of=lambda item: item.case.variant and SimpleNamespace(name=item.case.variant),
    )
    monkeypatch.setattr(progress, "cases", found)
    settings = SimpleNamespace(protocol=SimpleNamespace(prompt_rows=range(25)))
    config = SimpleNamespace(stash={SETTINGS: settings}, pluginmanager=SimpleNamespace(get_plugin=lambda _: None))
    items = [SimpleNamespace(case=case, config=config, nodeid=case.candidate) for case in of]
    return works_of(items, SimpleNamespace(plan=make), is_full_size=is_full_size)


def test_at_full_size_cases_take_as_long_as_planned(monkeypatch, clock):
    measured = Case("a", FINE_TUNING, "r16"), Case("b", INFERENCE, None)
    found = works(monkeypatch, *measured, planned={"a": 60.0, "b": 2.0})
    left, _ = session(clock, found["a"], found["b"])
    left.begin("0")
    assert left.seconds() == 60 + 25 * 2
    clock.seconds += 90  # half as long again as planned, and so will be the other one
    left.end(is_typical=True)
    left.begin("1")
    assert left.seconds() == 75


def test_of_cases_that_cannot_be_planned_nothing_is_told(monkeypatch, clock):
    unknown = Case("a", FINE_TUNING, "r16"), Case("b", FINE_TUNING, "r16")
    found = works(monkeypatch, *unknown, planned={"a": None})
    left, run = session(clock, found["a"], found["b"])
    run(0, 60)
    left.begin("1")
    assert left.seconds() is None
    assert left.seconds(own=30.0) == 30


def test_plans_and_replicas_of_a_kind_take_alike(monkeypatch):
    of = Case("a", FINE_TUNING, "r16"), Case("b", FINE_TUNING, "r32"), Case("c", FINE_TUNING, "r16", is_planned=True)
    found = works(monkeypatch, *of, planned={}, is_full_size=False)
    assert found["a"] == found["b"] != found["c"]


def test_what_is_no_case_has_no_time(clock):
    left, run = session(clock, Work("inference"))
    run("tests/test_else.py::test", 5)
    left.begin("tests/test_else.py::test")
    assert left.seconds() is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under a minute left"),
        (30, "under a minute left"),
        (31, "about 1 min left"),
        (720, "about 12 min left"),
        (3569, "about 59 min left"),
        (3571, "about 1 h left"),
        (3600 + 1260, "about 1 h 20 min left"),
        (7199, "about 2 h left"),
        (90_000, "about 25 h left"),
    ],
)
def test_an_estimate_is_told_as_one(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("isatty", "variables", "watched"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "CI": "true"}, False),
        (False, {"TERM": "xterm"}, False),
        (None, {"TERM": "xterm"}, False),
    ],
)
def test_a_terminal_is_watched_but_for_that_of_a_ci(monkeypatch, isatty, variables, watched):
    for name in ("TERM", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    reporter = None if isatty is None else SimpleNamespace(isatty=isatty)
    config = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda _: reporter))
    assert is_watched(config) is watched


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (fine_tuning("x", seconds=58.72, peak_device_mib=9120.4), "58.7 s, peak 9,120 MiB of 12,288"),
        (inference("x", steady_median_seconds=1.25), "1.25 s a prompt, peak 6,000 MiB of 12,288"),
        (plan(fine_tuning("x")), "needs 9,000 MiB of 12,288"),
        (plan(fine_tuning("x"), seconds=58.24), "about 58 s, needs 9,000 MiB of 12,288"),
        (plan(fine_tuning("x"), needs_device_mib=8100.4), "needs 8,100 MiB of 12,288, takes 9,000 where there is room"),
        (
            fine_tuning("x", outcome="over_budget", peak_device_mib=12900.0),
            "over budget, 60.0 s, peak 12,900 MiB of 12,288",
        ),
        (fine_tuning("x", outcome="out_of_memory", seconds=None), "out of memory, peak 9,000 MiB of 12,288"),
        (fine_tuning("x", scale="mini", peak_device_mib=None, seconds=0.51), "rehearsed, 0.510 s"),
        (fine_tuning("x", taints=["another process"]), "60.0 s, peak 9,000 MiB of 12,288, doubtful"),
        (fine_tuning("x", outcome="error", seconds=None, peak_device_mib=None), ""),
    ],
)
def test_a_case_in_a_line(found, line):
    assert figures(found) == line
