"""The computed score: how its parts become one figure, a grade and an interval."""

import math

import pytest
from test_answers import KOREAN, REAL, REFERENCE, answered, matched

from ohlora_fixtures.quality.grading import grade_of, points_of
from ohlora_fixtures.quality.scoring import is_overfitted, judge, matched_of, nats_per_character
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.workloads.likelihood import Likelihood


def test_nats_are_of_all_rows_characters_together():
    assert nats_per_character([Likelihood(6.0, 1, 1), Likelihood(3.0, 2, 8)]) == 1
    assert nats_per_character([]) is None


@pytest.mark.parametrize(
    ("shares", "part"),
    [([1, 1], 1), ([1, 0.5], 0.5), ([0.5], 0), ([1, 0], 0), ([0, 0], 0), ([1 / 3, 1, 1, 1], 2 / 3), ([], None)],
)
def test_what_is_matched_is_how_far_beyond_chance(shares, part):
    assert matched_of(shares) == (None if part is None else pytest.approx(part))


def test_the_score_is_the_product_so_that_neither_part_makes_up_for_the_other():
    good, bad = answered(["별을 좋아해"]), answered([""])
    assert judge(good, matched(1, 0.75), KOREAN).score == pytest.approx(75)
    assert [judge(*each, KOREAN).score for each in ((good, matched(0.5)), (bad, matched(1)), (bad, matched(0)))] == [
        0
    ] * 3


def test_how_likely_the_rows_are_does_not_count():
    """A model that is surer of itself, be it by a temperature, is no better."""
    rows = [[Likelihood(nats, 5, 10, 0.9)] for nats in (0.1, 10.0, 1000.0)]
    assert len({judge(answered(REAL), each, REFERENCE).score for each in rows}) == 1


@pytest.mark.parametrize("rows", [(), matched(None)])
def test_where_nothing_is_matched_the_answers_alone_count(rows):
    found = judge(answered(["- 별을 좋아해", ""]), rows, KOREAN)
    assert found.score == pytest.approx(25)
    assert "matched" not in found.parts


def test_one_answer_and_one_row_have_an_interval_of_one_point():
    found = judge(answered(["- 별을 좋아해"]), matched(0.75), KOREAN)
    assert found.interval == (found.score, found.score)
    assert found.each == (50,)


def test_the_interval_is_the_same_each_time_and_narrower_with_more_answers():
    first, again = (judge(answered(REAL), (), REFERENCE) for _ in range(2))
    assert first.interval == again.interval
    half = [text if at % 2 else "" for at, text in enumerate(REAL[:20])]
    prompts = [GivenAnswer(f"질문 {at}", f"{text}{at}" if text else "") for at, text in enumerate(half * 5)]
    wide, narrow = (judge(given, (), REFERENCE).interval for given in (prompts[:20], prompts))
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 1.8


@pytest.mark.parametrize(
    ("score", "grade"),
    [(100, "최상"), (80, "최상"), (79.99, "상"), (60, "상"), (40, "중"), (20, "하"), (19.99, "최하"), (0, "최하")],
)
def test_a_grade_is_the_scores_fifth(score, grade):
    assert grade_of(score) == grade
    assert grade_of(points_of(grade)) == grade


def test_a_judgements_grade_is_its_scores():
    found = judge(answered(["- 별을 좋아해"]), (), KOREAN)
    assert (found.score, found.grade) == (50, "중")


@pytest.mark.parametrize(
    ("trained", "held_out", "is_so"),
    [
        ((3.0, 2.0), (3.0, 2.5), False),  # both likelier
        ((3.0, 2.0), (3.0, 3.0), False),
        ((3.0, 2.0), (3.0, 3.01), True),  # the others less likely
        ((3.0, 3.0), (3.0, 4.0), False),  # nothing was learned
        ((3.0, 3.5), (3.0, 4.0), False),  # diverged, not overfitted
        ((5.0, 1.0), (3.0, 2.9), False),  # a fifth is left
        ((5.0, 0.99), (3.0, 1.5), False),  # half of the others' is left
        ((5.0, 0.99), (3.0, 1.51), True),
        ((5.0, 0.01), (3.0, 0.5), False),  # learned by heart, but for good
        ((5.0, math.nan), (3.0, math.nan), False),
    ],
)
def test_overfitted_is_what_knows_its_rows_and_no_others(trained, held_out, is_so):
    assert is_overfitted(trained, held_out) is is_so
