"""Whether an answer is on its prompt's subject, and what that is worth."""

from random import Random

import pytest
from test_answers import DIALOGUES, KOREAN, REAL, ROWS, said

from ohlora_fixtures.quality.scoring import marks_of
from ohlora_fixtures.results.answers import GivenAnswer

TALKS = [
    ("오늘 날씨 어때?", "비가 오니까 우산 챙겨!"),
    ("점심 뭐 먹지?", "따뜻한 칼국수 어때?"),
    ("시험 망쳤어", "다음 시험은 잘 볼 거야"),
]


@pytest.mark.parametrize(
    ("answers", "shares"),
    [
        (["비가 오니까 우산 챙겨!", "따뜻한 칼국수 어때?", "다음 시험은 잘 볼 거야"], [0, 0, 0]),
        (["우산 있어?", "칼국수 맛있지", "시험이 다는 아니야"], [0, 0, 0]),  # in other words
        (["칼국수", "시험", "우산"], [0.75, 0.75, 0.75]),  # of another prompt, and nothing of the third
        (["그럼!", "흠", "기린"], [0.5, 0.5, 0.5]),  # with nothing of any
        (["", "?!", "\u200b"], [0, 0, 0]),  # what is empty is of nothing
    ],
)
def test_an_answer_is_off_topic_by_the_share_of_other_prompts_that_it_is_more_like(answers, shares):
    asked_all = [
        GivenAnswer(prompt, answer, dataset_answer=own) for (prompt, own), answer in zip(TALKS, answers, strict=True)
    ]
    assert [each.off_topic for each in marks_of(asked_all, KOREAN)] == pytest.approx(shares)


def test_what_is_asked_twice_is_one_prompt():
    prompt, own = TALKS[0]
    twice = [GivenAnswer(prompt, "칼국수!", dataset_answer=text) for text in (own, "해가 나")]
    assert [each.off_topic for each in marks_of(twice, KOREAN)] == [0, 0]
    others = [*twice, GivenAnswer(*TALKS[1], dataset_answer=TALKS[1][1])]
    assert [each.off_topic for each in marks_of(others, KOREAN)] == [1, 1, 0]


def test_no_answer_is_off_topic_where_the_datasets_own_is_not_known():
    given_answers = [GivenAnswer(prompt, "시험", dataset_answer=own) for prompt, own in TALKS[:2]]
    unknown = [*given_answers, GivenAnswer(TALKS[2][0], "칼국수")]
    assert [each.off_topic for each in marks_of(unknown, KOREAN)] == [0.5, 0.5, 0]


def test_answers_to_other_prompts_and_random_words_score_far_below_the_datasets_own():
    rows = DIALOGUES.usable_train_rows[81:106]
    words = [word for row in ROWS for word in row.answer.split()]
    chance = Random(0)

    def score(answers):
        return said([GivenAnswer(r.prompt, a, dataset_answer=r.answer) for r, a in zip(rows, answers, strict=True)])

    turned = [score(REAL[by:] + REAL[:by]) for by in range(1, 25)]
    mixed = [score([" ".join(chance.choices(words, k=8)) for _ in rows]) for _ in range(10)]
    assert score(REAL) > 95
    assert max(turned) < 60
    assert max(mixed) < 65
