"""Runs put together from steps, and played with the pools apart, against plain replays."""

import random
from array import array

import pytest
from caching_allocator import CachingAllocator, OutOfMemoryError

from ohlora_fixtures.planner.allocator import Category, Trace
from ohlora_fixtures.planner.player import WASTED, fits, may_fit, play
from ohlora_fixtures.planner.steps import NotComposableError, cut, events_at

MIB = 2**20


def a_run(seed, kinds=(0, 1, 2, 1, 0, 2, 2, 1, 0, 1, 2, 0)):
    """A trace of weights and then steps of some kinds; each step frees what the one before it left; and its ends."""
    chance = random.Random(seed)
    trace, ends, left = Trace(), [], []
    for _ in range(10):
        trace.allocate(chance.randrange(1, 30 * MIB), Category.BASE_WEIGHTS)
    trace.empty_cache()
    for number, kind in enumerate(kinds):
        of_kind = random.Random(1000 * seed + kind)
        if number == 0:
            trace.allocate(3 * MIB, Category.OPTIMIZER)
        live = []
        for index in range(60):
            live.append(trace.allocate(of_kind.choice([300, 40_000, 900_000, 3 * MIB, 13 * MIB]), Category.ACTIVATIONS))
            if index == 20:
                for allocation in left:
                    trace.free(allocation)
            if of_kind.random() < 0.6:
                trace.free(live.pop(of_kind.randrange(len(live))))
        left = [live.pop(0), live.pop()]
        for allocation in live:
            trace.free(allocation)
        ends.append(len(trace.events))
    return trace, ends, kinds


def plain(events):
    allocator, handles, peak = CachingAllocator(), [], 0
    live, at_peak = {}, {}
    for event in events:
        if event > 0:
            live[len(handles)] = event
            handles.append(allocator.malloc(event))
            if allocator.allocated_bytes > peak:
                peak, at_peak = allocator.allocated_bytes, dict(live)
        elif event:
            allocator.free(handles[-1 - event])
            del live[-1 - event]
        else:
            allocator.empty_cache()
    return allocator, at_peak


@pytest.mark.parametrize("seed", range(5))
def test_a_trace_played_is_a_trace_replayed(seed):
    trace, _, _ = a_run(seed)
    played, (allocator, at_peak) = play(trace), plain(trace.events)
    assert played.allocated_bytes == allocator.allocated_bytes
    assert played.peak_allocated_bytes == allocator.peak_allocated_bytes
    # the pools' segments are summed at their own peaks, and without a cache emptied in between that is the same
    assert played.peak_reserved_bytes == allocator.peak_reserved_bytes
    by_category = dict.fromkeys((category.name.lower() for category in Category), 0)
    for allocation, size in at_peak.items():
        by_category[Category(trace.categories[allocation]).name.lower()] += size
    assert {name: size for name, size in played.at_peak.items() if name != WASTED} == by_category
    assert sum(played.at_peak.values()) == played.peak_allocated_bytes


@pytest.mark.parametrize("seed", range(5))
def test_a_run_put_together_from_its_kinds_of_steps_is_the_run(seed):
    trace, ends, kinds = a_run(seed)
    run = cut(trace, ends)
    step_of = {}
    for kind, step in zip(kinds[1:-1], run.steps, strict=True):
        step_of.setdefault(kind, step)
        assert step.events == step_of[kind].events
    composed = play(run.beginning, [step_of[kind] for kind in kinds[1:]])
    allocator, _ = plain(trace.events)
    assert composed.peak_allocated_bytes == allocator.peak_allocated_bytes
    assert composed.peak_reserved_bytes == allocator.peak_reserved_bytes
    assert sum(composed.at_peak.values()) == composed.peak_allocated_bytes
    still_held = run.beginning.events[:0] + trace.events  # what the last step leaves is let go at the run's end
    for allocation in sorted(plain_live(trace) - set(range(11))):
        still_held.append(-1 - allocation)
    assert composed.allocated_bytes == plain(still_held)[0].allocated_bytes


@pytest.mark.parametrize("seed", range(8))
def test_what_a_run_needs_is_the_limit_under_which_the_whole_allocator_gets_through(seed):
    trace, ends, _ = a_run(seed)
    run = cut(trace, ends)
    played = play(run.beginning, run.steps)
    whole = trace.until(ends[-2])
    assert gets_through(whole.events, played.needs_bytes)
    assert not gets_through(whole.events, played.needs_bytes - 4 * MIB)
    assert played.peak_allocated_bytes <= played.needs_bytes <= played.peak_reserved_bytes
    assert fits(run.beginning, run.steps, played.needs_bytes)
    assert not fits(run.beginning, run.steps, played.needs_bytes - 2 * MIB)
    assert may_fit(run.beginning, run.steps, played.peak_allocated_bytes)
    assert not may_fit(run.beginning, run.steps, played.peak_allocated_bytes - played.at_peak[WASTED] - 1)


def gets_through(events, limit_bytes):
    allocator, handles = CachingAllocator(limit_bytes), []
    try:
        for event in events:
            if event > 0:
                handles.append(allocator.malloc(event))
            elif event:
                allocator.free(handles[-1 - event])
            else:
                allocator.empty_cache()
    except OutOfMemoryError:
        return False
    return True


def plain_live(trace):
    live, count = set(), 0
    for event in trace.events:
        if event > 0:
            live.add(count)
            count += 1
        elif event:
            live.discard(-1 - event)
    return live


def traced(*steps):
    """A trace of steps given as lists of sizes and, negative, ids to free."""
    trace, ends = Trace(), []
    for step in steps:
        for event in step:
            trace.allocate(event, Category.ACTIVATIONS) if event > 0 else trace.free(-event - 1)
        ends.append(len(trace.events))
    return trace, ends


def test_steps_that_hang_together_in_another_way_are_refused():
    with pytest.raises(NotComposableError, match="older than the step before"):
        cut(*traced([8], [8, -2], [8, -1, -3], [8, -4]))
    with pytest.raises(NotComposableError, match="keeps what it allocates"):
        cut(*traced([8], [8], [8], [8]))
    with pytest.raises(NotComposableError, match="too few"):
        cut(*traced([8]))
    run = cut(*traced([8], [8, -1], [8, -2], [8, -3]))
    with pytest.raises(NotComposableError, match="does not free what"):
        play(Trace(run.beginning.events, run.beginning.categories), run.steps)


def test_sizes_lie_on_lines_and_parabolas_to_the_byte():
    def at(x):
        return array("q", [7 * x * x + 3 * x + 1, -1, 10**12 * x, -2, 512])

    assert events_at(301, {1: at(1), 50: at(50), 512: at(512)}) == at(301)
    assert events_at(5, {2: array("q", [20, -1]), 4: array("q", [40, -1])}) == array("q", [50, -1])


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ([8, -1], [8, 8, -1], "number of events"),
        ([8, 8, -1], [8, 8, -2], "order"),
        ([8, -1], [-1, 8], "order"),
        ([8], [9], "no whole"),
        ([8], [800], "no whole"),
    ],
)
def test_what_is_on_no_line_is_refused(first, second, why):
    with pytest.raises(NotComposableError, match=why):
        events_at(1, {4: array("q", first), 6: array("q", second)})
