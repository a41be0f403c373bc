"""The study's published grades, against what the computed score says of the same 175 untuned answers."""

import csv
from itertools import combinations
from statistics import fmean

import pytest
from study_marks import MARKS, PROTOCOL

from ohlora_fixtures.quality.grades import published_grades
from ohlora_fixtures.quality.grading import points_of
from ohlora_fixtures.quality.scoring import Marks


@pytest.fixture(scope="module")
def marks():
    """By candidate, of each answer."""
    with MARKS.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    found = {line["candidate"]: [] for line in lines}
    for line in lines:
        found[line["candidate"]].append(Marks(**{name: float(line[name]) for name in Marks._fields}))
    assert [int(line["row"]) for line in lines[:25]] == list(
        range(PROTOCOL.prompt_rows.start, PROTOCOL.prompt_rows.stop)
    )
    assert [len(each) for each in found.values()] == [25] * 7
    return found


@pytest.fixture(scope="module")
def grades():
    return {each.case.candidate: points_of(each.grade) for each in published_grades().grades}


def said(marks):
    return {name: fmean(each.good for each in own) for name, own in marks.items()}


def tau_b(first, second):
    """Kendall's rank correlation, corrected for ties (Kendall, The treatment of ties in ranking problems, 1945)."""
    signs = [
        tuple((values[one] > values[other]) - (values[one] < values[other]) for values in (first, second))
        for one, other in combinations(first, 2)
    ]
    untied = [sum(bool(pair[at]) for pair in signs) for at in (0, 1)]
    return sum(one * other for one, other in signs) / (untied[0] * untied[1]) ** 0.5


def test_the_score_orders_the_candidates_more_as_the_study_did_than_without_the_topic(marks, grades):
    without = {name: [each._replace(off_topic=0) for each in own] for name, own in marks.items()}
    assert tau_b(grades, said(without)) == pytest.approx(0.206, abs=0.001)
    assert tau_b(grades, said(marks)) == pytest.approx(0.514, abs=0.001)


def test_the_two_that_the_study_graded_worst_say_less_than_the_two_that_it_chose(marks, grades):
    found = said(marks)
    *_, reserve, final = sorted(found, key=grades.get)
    worst, poor, *_ = sorted(found, key=grades.get)
    assert (worst, poor, reserve, final) == (
        "FinguAI-Chat-v1",
        "KoAlpaca-KoRWKV-1.5B",
        "polyglot-ko-1.3b",
        "gemma-2-2b-it",
    )
    assert max(found[worst], found[poor]) < min(found[reserve], found[final])


def test_their_answers_are_as_like_to_other_prompts_as_to_their_own(marks):
    off_topic = {name: fmean(each.off_topic for each in own if not each.empty) for name, own in marks.items()}
    nonsense = {off_topic.pop("FinguAI-Chat-v1"), off_topic.pop("KoAlpaca-KoRWKV-1.5B")}
    assert max(off_topic.values()) < 0.4
    assert min(nonsense) > 0.5
