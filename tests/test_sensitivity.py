"""How firm a ranking is: totals, the Pareto front and the weights at which it changes, against brute force."""

import pytest
from choices import candidate
from hypothesis import assume, given
from hypothesis import strategies as st
from test_untrusted import SPECIFIED

from ohlora_fixtures.choice.contenders import Option
from ohlora_fixtures.choice.selection import CRITERIA
from ohlora_fixtures.choice.sensitivity import LARGEST_WEIGHT, ahead, front, shifts, total

EVEN = dict.fromkeys("abc", 1.0)
SHARES = st.integers(0, 10).map(lambda tenths: tenths / 10)
"""So coarse that options are level often."""
SCORES = st.fixed_dictionaries(dict.fromkeys(CRITERIA, SHARES))
WEIGHTS = st.fixed_dictionaries(dict.fromkeys(CRITERIA, st.sampled_from([0.0, 0.5, 1.0, 5.0])))
CRITERION = st.sampled_from(CRITERIA)


@pytest.mark.parametrize(
    ("scores", "weights", "expected"),
    [
        ((0.5, 0.5, 0.5), (1, 1, 1), 50),
        ((1.0, 0.0, 0.0), (5, 1, 4), 50),
        ((1.0, 0.0, 0.0), (5, 0, 0), 100),
        ((1.0, None, 0.0), (1, 100, 1), 50),
        ((None, 0.2, None), (1, 0, 1), None),
        ((None, None, None), (1, 1, 1), None),
        ((0.0, 0.0, 0.0), (1, 1, 1), 0),
    ],
)
def test_a_total_is_the_weighted_mean_of_the_scores_there_are(scores, weights, expected):
    assert total(dict(zip("abc", scores, strict=True)), dict(zip("abc", weights, strict=True))) == expected


def test_totals_that_differ_through_rounding_alone_are_level():
    assert total({"a": 0.1 + 0.2, "b": 0.3, "c": 0.3}, EVEN) == total({"a": 0.3, "b": 0.3, "c": 0.3}, EVEN)


@SPECIFIED
@given(st.lists(st.tuples(SHARES, SHARES, SHARES), max_size=8))
def test_the_front_is_what_no_other_point_is_at_least_as_good_as(points):
    def is_dominated(point):
        return any(other != point and all(map(float.__le__, other, point)) for other in points)

    assert front(points) == [at for at, point in enumerate(points) if not is_dominated(point)]
    assert bool(front(points)) == bool(points)


def test_points_alike_are_both_on_the_front():
    assert front([(1, 2), (1, 2), (2, 1), (2, 2)]) == [0, 1, 2]


@SPECIFIED
@given(SCORES, st.lists(SCORES, min_size=1, max_size=3), WEIGHTS, CRITERION)
def test_an_option_is_ahead_of_all_of_a_candidates_between_two_weights_and_nowhere_else(one, own, weights, criterion):
    assume(any(weights.values()))

    def lead(weight):
        """By how much it is better than the best of them."""
        moved = weights | {criterion: weight}
        return total(one, moved) - max(total(other, moved) for other in own)

    low, high = ahead(one, own, weights, criterion)
    for end in (low, high):
        if low < high and 1e-6 < end < LARGEST_WEIGHT:
            assert lead(end) == pytest.approx(0, abs=1e-6)
    for weight in (0.01, 0.3, 1.7, 4.3, 29.0, 310.0, 999.0):
        assert lead(weight) > 0 if low < weight < high else lead(weight) <= 1e-6


@pytest.mark.parametrize(
    ("one", "other", "ends"),
    [
        ((0.25, 0.75, None), (0.5, 0.5, None), (0, 1)),
        ((0.5, 0.5, 0.5), (0.25, 0.75, 0.5), (1, 1000)),
        ((0.25, 0.75, 0.5), (0.25, 0.5, 0.5), (0, 1000)),  # alike in it
        ((0.75, 0.75, 0.5), (0.5, 0.5, 0.5), (0, 1000)),  # at any weight
        ((0.5, 0.5, 0.5), (0.75, 0.75, 0.5), None),  # at none
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), None),
        ((None, None, None), (None, None, None), None),
    ],
)
def test_where_an_option_is_ahead(one, other, ends):
    one, other = (dict(zip("abc", scores, strict=True)) for scores in (one, other))
    low, high = ahead(one, [other], EVEN, "a")
    assert (low, high) == pytest.approx(ends) if ends else low > high


def ranked(all_scores, weights):
    """Options as `select` ranks them: level ones by name."""
    options = [
        Option(candidate(name), variant, scores, scores, total(scores, weights), None)
        for (name, variant), scores in all_scores.items()
    ]
    return sorted(options, key=lambda each: (-(each.total or 0.0), each.candidate.name, each.variant))


OPTIONS = st.dictionaries(
    st.tuples(st.sampled_from("ABCD"), st.sampled_from(["r16", "r64"])), SCORES, min_size=1, max_size=6
)


@SPECIFIED
@given(OPTIONS, WEIGHTS, st.sets(CRITERION, max_size=3))
def test_shifts_are_where_brute_force_finds_another_candidate_in_the_lead(all_scores, weights, known_of_none):
    assume(any(weight for name, weight in weights.items() if name not in known_of_none))
    all_scores = {key: scores | dict.fromkeys(known_of_none) for key, scores in all_scores.items()}
    led = ranked(all_scores, weights)
    own = led[0].candidate.name
    others = [option for option in led if option.candidate.name != own]

    def best(criterion, weight, options):
        moved = weights | {criterion: weight}
        return max(total(option.scores, moved) or 0.0 for option in options)

    def lead(criterion, weight):
        """By how much the choice's candidate is better than every other."""
        return best(criterion, weight, [each for each in led if each not in others]) - best(criterion, weight, others)

    found = {(each.criterion, each.side): each for each in shifts(led, others, weights)}
    assert others or not found
    for criterion, now in weights.items() if others else ():
        for side, end in (("below", 0.0), ("above", LARGEST_WEIGHT)):
            shift = found.get((criterion, side))
            turns_at = end if shift is None else shift.turns_at
            for share in (0.01, 0.21, 0.57, 0.83, 0.99):
                assert lead(criterion, now + share * (turns_at - now)) >= -1e-6
            if shift is not None:
                assert (shift.criterion, shift.weight, shift.side) == (criterion, now, side)
                assert min(now, end) <= turns_at <= max(now, end)
                beyond = turns_at + 1e-5 * (end - turns_at)
                assert lead(criterion, beyond) <= 0
                assert total(shift.becomes.scores, weights | {criterion: beyond}) == pytest.approx(
                    best(criterion, beyond, others), abs=1e-6
                )


def test_of_level_candidates_a_weight_that_moves_at_all_decides():
    half = dict.fromkeys(CRITERIA, 0.5)
    options = {("A", "r16"): half | {"quality": 0.6, "leaderboard": 0.4}, ("B", "r16"): half}
    weights = dict.fromkeys(CRITERIA, 1.0)
    led = ranked(options, weights)
    assert [each.candidate.name for each in led] == ["A", "B"]
    found = [(each.criterion, each.side, each.turns_at) for each in shifts(led, led[1:], weights)]
    assert found == [("quality", "below", pytest.approx(1)), ("leaderboard", "above", pytest.approx(1))]


def test_a_weight_of_0_can_only_grow():
    options = {
        ("A", "r16"): dict.fromkeys(CRITERIA, 0.5),
        ("B", "r16"): dict.fromkeys(CRITERIA, 0.4) | {"leaderboard": 0.9},
    }
    weights = dict.fromkeys(CRITERIA, 1.0) | {"leaderboard": 0.0}
    led = ranked(options, weights)
    (found,) = shifts(led, led[1:], weights)
    assert (found.criterion, found.side, found.becomes.candidate.name) == ("leaderboard", "above", "B")
    assert found.turns_at == pytest.approx(5 * 0.1 / 0.4)


def test_what_is_chosen_beyond_a_turn_is_what_is_better_there():
    """At a weight of 2 the choice is level with two others, one of which is better from there on."""
    start, weights = dict.fromkeys(CRITERIA, 0.0), dict.fromkeys(CRITERIA, 1.0) | {"quality": 0.5}
    options = {
        ("A", "r16"): start | {"quality": 0.25, "leaderboard": 1.0},
        ("B", "r16"): start | {"quality": 0.5, "leaderboard": 0.5},
        ("C", "r16"): start | {"quality": 0.625, "leaderboard": 0.25},
    }
    led = ranked(options, weights)
    (found,) = (each for each in shifts(led, led[1:], weights) if each.criterion == "quality")
    assert (found.side, found.turns_at, found.becomes.candidate.name) == ("above", pytest.approx(2), "C")
