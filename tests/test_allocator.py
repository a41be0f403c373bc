"""The model of PyTorch's CUDA caching allocator, by hand and against a slow, obvious one; and its compiled form."""

import os
import random
from array import array

import caching_allocator
import pytest
from caching_allocator import CachingAllocator
from hypothesis import given
from hypothesis import strategies as st

from ohlora_fixtures.planner.allocator import PlainPool, Pool

KIB, MIB = 1024, 2**20
needs_compiled = pytest.mark.skipif(Pool is PlainPool, reason="the pool was not compiled when this was installed")


@pytest.fixture(autouse=True, params=[PlainPool, pytest.param(Pool, marks=needs_compiled)], ids=["plain", "compiled"])
def pool_type(request, monkeypatch):
    monkeypatch.setattr(caching_allocator, "Pool", request.param)
    return request.param


def figures(allocator):
    return (
        allocator.allocated_bytes,
        allocator.reserved_bytes,
        allocator.peak_allocated_bytes,
        allocator.peak_reserved_bytes,
    )


@pytest.mark.parametrize(
    ("request_bytes", "allocated_bytes", "reserved_bytes"),
    [
        (1, 512, 2 * MIB),
        (512, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),  # the largest request of the small pool
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB - 511, 10 * MIB, 10 * MIB),  # rounded up to 10 MiB, and that gets a segment of its own
        (10 * MIB, 10 * MIB, 10 * MIB),
        (10 * MIB + 1, 10 * MIB + 512, 12 * MIB),
        (11 * MIB, 12 * MIB, 12 * MIB),  # a rest of exactly 1 MiB stays as well, and counts as allocated
        (11 * MIB - 512, 11 * MIB - 512, 12 * MIB),
        (19 * MIB, 20 * MIB, 20 * MIB),
    ],
)
def test_sizes_are_rounded_and_segments_chosen_by_them(request_bytes, allocated_bytes, reserved_bytes):
    allocator = CachingAllocator()
    allocator.malloc(request_bytes)
    assert figures(allocator) == (allocated_bytes, reserved_bytes, allocated_bytes, reserved_bytes)


def test_the_small_pool_splits_off_every_rest():
    allocator = CachingAllocator()
    for _ in range(4096):
        allocator.malloc(1)
    assert figures(allocator)[:2] == (2 * MIB, 2 * MIB)
    allocator.malloc(1)
    assert figures(allocator)[:2] == (2 * MIB + 512, 4 * MIB)


def test_pools_share_nothing():
    allocator = CachingAllocator()
    allocator.free(allocator.malloc(5 * MIB))
    allocator.malloc(KIB)
    assert allocator.reserved_bytes == 22 * MIB


def test_the_best_fit_is_the_smallest_and_then_the_lowest(pool_type):
    pool = pool_type(is_small=True)
    first, _, second, _, third, _ = (pool.malloc(size) for size in (2048, 512, 1024, 512, 1024, 512))
    for address in (third, first, second):
        pool.free(address)
    assert pool.malloc(1000) == second
    assert pool.malloc(1000) == third
    assert pool.malloc(1000) == first
    assert pool.malloc(1000) == first + 1024  # the rest of the largest


def test_a_large_block_with_a_small_rest_is_reused_whole():
    allocator = CachingAllocator()
    allocator.free(allocator.malloc(12 * MIB))
    allocator.malloc(11 * MIB)
    assert figures(allocator)[:2] == (12 * MIB, 12 * MIB)


def test_free_neighbours_join_on_both_sides():
    allocator = CachingAllocator()
    one, two, three, four = (allocator.malloc(5 * MIB) for _ in range(4))
    assert allocator.reserved_bytes == 20 * MIB
    allocator.free(one)
    allocator.free(three)
    assert allocator.malloc(9 * MIB)  # neither hole is large enough
    assert allocator.reserved_bytes == 40 * MIB
    allocator.free(two)
    allocator.malloc(9 * MIB)  # into the joined 15 MiB or the second segment's rest, whichever fits better
    assert allocator.reserved_bytes == 40 * MIB
    allocator.free(four)
    assert allocator.allocated_bytes == 18 * MIB


def test_segments_never_join():
    allocator = CachingAllocator()
    for handle in [allocator.malloc(10 * MIB) for _ in range(2)]:
        allocator.free(handle)
    allocator.malloc(20 * MIB)
    assert allocator.reserved_bytes == 40 * MIB


def test_emptying_the_cache_gives_back_whole_segments_alone():
    allocator = CachingAllocator()
    kept = allocator.malloc(5 * MIB)
    for handle in [allocator.malloc(size) for size in (5 * MIB, 30 * MIB, 512)]:
        allocator.free(handle)
    assert allocator.reserved_bytes == 52 * MIB
    allocator.empty_cache()
    assert figures(allocator) == (5 * MIB, 20 * MIB, 40 * MIB + 512, 52 * MIB)
    allocator.free(kept)
    allocator.empty_cache()
    assert figures(allocator)[:2] == (0, 0)


def test_what_is_not_live_cannot_be_freed():
    allocator = CachingAllocator()
    handle = allocator.malloc(512)
    allocator.free(handle)
    with pytest.raises(KeyError):
        allocator.free(handle)


def test_a_copy_goes_its_own_way_and_equal_layouts_behave_alike(pool_type):
    pool = pool_type(is_small=False)
    hole, kept = pool.malloc(4 * MIB), pool.malloc(4 * MIB)
    pool.free(hole)
    twin = pool.copy()
    assert twin.layout() == pool.layout()
    assert twin.malloc(2 * MIB) == pool.malloc(2 * MIB)
    twin.free(kept)
    assert (twin.allocated_bytes, pool.allocated_bytes) == (2 * MIB, 6 * MIB)
    assert twin.layout() != pool.layout()


class Obvious:
    """The rules and nothing else: segments are lists of [size, live handle or None], searched from end to end."""

    def __init__(self):
        self.segments = []  # (is small, blocks)
        self.handles = 0

    def malloc(self, request):
        size = (request + 511) // 512 * 512
        small = size <= MIB
        fits = [
            (block[0], number, place)
            for number, (is_small, blocks) in enumerate(self.segments)
            for place, block in enumerate(blocks)
            if is_small is small and blocks[place][1] is None and block[0] >= size
        ]
        if fits:
            _, number, place = min(fits)
        else:
            segment = 2 * MIB if small else 20 * MIB if size < 10 * MIB else (size + 2 * MIB - 1) // (2 * MIB) * 2 * MIB
            self.segments.append((small, [[segment, None]]))
            number, place = len(self.segments) - 1, 0
        blocks = self.segments[number][1]
        rest = blocks[place][0] - size
        if rest >= 512 if small else rest > MIB:
            blocks[place : place + 1] = [[size, None], [rest, None]]
        self.handles += 1
        blocks[place][1] = self.handles
        return self.handles

    def free(self, handle):
        for _, blocks in self.segments:
            for block in blocks:
                if block[1] == handle:
                    block[1] = None
            place = 0
            while place + 1 < len(blocks):
                if blocks[place][1] is None and blocks[place + 1][1] is None:
                    blocks[place : place + 2] = [[blocks[place][0] + blocks[place + 1][0], None]]
                else:
                    place += 1

    def empty_cache(self):
        self.segments = [each for each in self.segments if len(each[1]) > 1 or each[1][0][1] is not None]

    def figures(self):
        blocks = [block for _, blocks in self.segments for block in blocks]
        return sum(size for size, handle in blocks if handle), sum(size for size, _ in blocks)


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_random_events_come_out_as_the_obvious_allocator_has_them(seed):
    chance = random.Random(seed)
    sizes = [lambda: chance.randrange(1, 4 * KIB), lambda: chance.randrange(1, 2 * MIB)]
    sizes += [lambda: chance.randrange(MIB, 24 * MIB), lambda: chance.choice([512, MIB, 5 * MIB, 10 * MIB, 20 * MIB])]
    allocator, obvious, live = CachingAllocator(), Obvious(), []
    for _ in range(1500):
        draw = chance.random()
        if draw < 0.01:
            allocator.empty_cache()
            obvious.empty_cache()
        elif live and draw < 0.25 + len(live) / 160:
            ours, theirs = live.pop(chance.randrange(len(live)))
            allocator.free(ours)
            obvious.free(theirs)
        else:
            size = chance.choice(sizes)()
            live.append((allocator.malloc(size), obvious.malloc(size)))
        assert figures(allocator)[:2] == obvious.figures()


class Card:
    """A device that is full from a limit on, and notes what it is told."""

    def __init__(self, pool, limit):
        self.pool, self.limit, self.told = pool, limit, []
        pool.device = self

    def before_segment(self, segment_bytes):
        self.told.append(segment_bytes)
        if self.pool.reserved_bytes + segment_bytes > self.limit:
            self.pool.empty_cache()
            if self.pool.reserved_bytes + segment_bytes > self.limit:
                raise MemoryError

    def emptied(self):
        self.told.append("emptied")


def state(pool):
    names = ("is_small", "allocated_bytes", "reserved_bytes", "held_bytes", "peak_reserved_bytes", "changes")
    return [getattr(pool, name) for name in names]


def outcome(pool, events, addresses):
    try:
        return pool.play(array("q", events), addresses)
    except (KeyError, IndexError, MemoryError) as error:
        return type(error)


SIZES = st.sampled_from([1, 3, 2047, 2048, 4095, 4096, 10240, 20479, 20480, 40960, 70000]) | st.integers(1, 60000)
DRAWN = st.lists(SIZES.map(lambda blocks: 512 * blocks) | st.integers(-60, 0), max_size=120)


@needs_compiled
@given(st.booleans(), st.lists(DRAWN, min_size=1, max_size=3), st.integers(0, 1 << 26))
def test_the_compiled_pool_is_the_plain_one(is_small, plays, limit):
    plain, compiled = PlainPool(is_small=is_small), Pool(is_small=is_small)
    known, layouts = ([None], [None]), {}
    for drawn in plays:
        plain, compiled = plain.copy(), compiled.copy()
        cards = [Card(pool, limit) for pool in (plain, compiled)]
        events = [min(event, 2048 * 512) if is_small else event for event in drawn]
        outcomes = [outcome(pool, events, own) for pool, own in zip((plain, compiled), known, strict=True)]
        assert outcomes[0] == outcomes[1]
        assert known[0] == known[1]
        assert state(plain) == state(compiled)
        assert cards[0].told == cards[1].told
        assert layouts.setdefault(plain.layout(), compiled.layout()) == compiled.layout()
    assert len(set(layouts.values())) == len(layouts)


def test_what_a_pool_does_not_take_is_an_error(pool_type):
    pool = pool_type(is_small=True)
    with pytest.raises((TypeError, AttributeError)):
        pool.play("text", [])
    with pytest.raises(KeyError):
        pool.play(array("q", [512, -1, -1]), [])
    with pytest.raises(IndexError):
        pool.play(array("q", [-1]), [])
    pool.device = object()
    with pytest.raises(AttributeError):
        pool.empty_cache()


@pytest.mark.skipif("CI" not in os.environ, reason="elsewhere there may be no compiler")
def test_ci_tries_the_compiled_pool():
    assert Pool is not PlainPool
