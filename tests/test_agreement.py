"""Whether two sources rank the same things alike."""

import pytest

from ohlora_fixtures.base.messages import verbatim
from ohlora_fixtures.quality.grading import agreement, rank_correlation


@pytest.mark.parametrize(
    ("pairs", "rho"),
    [
        ([(1, 10), (2, 20), (3, 300)], 1.0),
        ([(1, 30), (2, 20), (3, 10)], -1.0),
        ([(1, 2), (2, 1), (3, 4), (4, 3), (5, 5)], 0.8),  # 1 - 6 x 4 / (5 x 24)
        ([(1, 1), (1, 2), (2, 3)], 0.866025),  # ranks 1.5, 1.5, 3 against 1, 2, 3
        ([(90, 80), (70, 75)], None),
        ([(90, 80), (90, 75), (90, 60)], None),
        ([], None),
    ],
)
def test_spearmans_rho(pairs, rho):
    assert rank_correlation(pairs) == (rho if rho is None else pytest.approx(rho, abs=1e-6))


def test_sources_that_agree():
    pairs = {"a": [(90, 81.0), (70, 60.0)], "b": [(30, 44.0), (10, 12.0)]}
    assert str(agreement(*map(verbatim, ("a person's grades", "the computed score", "answers")), pairs)) == (
        "a person's grades and the computed score rank the answers alike: rank correlation 1.00 over 4 answers"
    )


def test_sources_that_disagree_name_the_candidate_they_rank_most_differently():
    pairs = {
        "a": [(90, 80.0)],
        "none": [],
        "fluent nonsense r16": [(10, 99.0), (10, 95.0)],
        "c": [(70, 60.0), (50, 40.0)],
    }
    assert str(agreement(*map(verbatim, ("a person's grades", "the computed score", "answers")), pairs)) == (
        "a person's grades and the computed score disagree on the answers: rank correlation -0.56 over 5 answers; "
        "most on fluent nonsense r16, 10.0 against 97.0"
    )


def test_the_border_is_a_rank_correlation_of_one_half():
    half = {"a": [(1, 1), (2, 3), (3, 2)]}
    less = {"a": [(1, 1), (2, 4), (3, 3), (4, 2)]}
    assert "alike: rank correlation 0.50" in str(agreement(*map(verbatim, ("one", "other", "candidates")), half))
    assert "disagree on the candidates: rank correlation 0.20" in str(
        agreement(*map(verbatim, ("one", "other", "candidates")), less)
    )


def test_too_little_to_tell():
    assert agreement(*map(verbatim, ("one", "other", "answers")), {"a": [(90, 80.0), (70, 60.0)]}) is None
