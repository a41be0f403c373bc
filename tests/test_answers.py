"""How good answers are: every measure on answers that it must tell apart."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_untrusted import HOSTILE, SPECIFIED

from conftest import at_most
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.dataset import Dialogue, read_dialogues
from ohlora_fixtures.quality.grading import GRADES
from ohlora_fixtures.quality.scoring import (
    Marks,
    Reference,
    judge,
    marks_of,
    reference_of,
)
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.workloads.likelihood import Likelihood

DIALOGUES = read_dialogues(DATA / "dialogues.csv")
ROWS = (*DIALOGUES.usable_train_rows, *DIALOGUES.usable_valid_rows)
REFERENCE = reference_of(ROWS)
REAL = [row.answer for row in DIALOGUES.usable_train_rows[81:106]]
KOREAN = Reference("HANGUL", frozenset("["), 0.0)


def asked(*answers):
    """Each answer as a row of its own."""
    return [Dialogue(f"질문 {at}", answer) for at, answer in enumerate(answers)]


def matched(*shares):
    """Held-out rows, each with its share of other prompts after which its answer is less likely."""
    return [Likelihood(10.0, 5, 10, share) for share in shares]


def answered(answers, *, is_cut_off=False):
    """Each answer to a prompt of its own."""
    return [GivenAnswer(f"질문 {at}", text, is_cut_off=is_cut_off) for at, text in enumerate(answers)]


def marks(*answers, reference=KOREAN, **changes):
    return marks_of(answered(answers, **changes), reference)


def said(given, reference=REFERENCE):
    return judge(given, (), reference).score


@pytest.mark.parametrize(
    "answer", ["", " \n\t", "\u200b\ufeff\u2060", "\u3164\u115f\uffa0", "\u2800", "\ufe0f", "\x07"]
)
def test_an_answer_of_which_nothing_is_seen_is_empty(answer):
    assert marks(answer) == [Marks(1, 0, 0, 0, 0, 0, 0, 0)]
    assert marks(answer)[0].good == 0


@pytest.mark.parametrize("answer", ["...", "!?", "😊", "[ ] - *", "\u200b。"])
def test_an_answer_without_a_letter_or_digit_says_nothing(answer):
    assert (marks(answer)[0].empty, marks(answer)[0].good) == (1, 0)


@pytest.mark.parametrize("answer", ["응", "7", "ㅋ", "OK", "好", "\u1112\u1161\u11ab"])
def test_a_single_letter_or_digit_is_an_answer(answer):
    assert marks(answer)[0].empty == 0


def test_the_same_answer_counts_by_the_share_of_other_prompts_that_got_it():
    assert [each.same for each in marks("응!", "아니", " 응!\u200b", "글쎄", "응!")] == [0.5, 0, 0.5, 0, 0.5]
    assert [each.same for each in marks("응!", "응!")] == [1, 1]
    assert [each.same for each in marks("응!")] == [0]


def test_the_same_answer_to_the_same_prompt_is_no_fault():
    assert [each.same for each in marks_of([GivenAnswer("안녕", "응!"), GivenAnswer("안녕", "응!")], KOREAN)] == [0, 0]


def test_empty_answers_neither_share_an_answer_nor_make_others_differ():
    assert [each.same for each in marks("응!", "응!", "", "", "\u200b")] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("가나다", 0),  # too short for one sequence
        ("가나다라", 0),
        ("가나다라마바사", 0),
        ("가가가가가", 1 / 2),
        ("하하하하하하하하하하하하하", 9 / 10),
        ("가나다라가나다라", 1 / 5),
        ("별을 봤어. " * 10, 1 - 7 / 66),
    ],
)
def test_repetition_is_the_share_of_sequences_that_came_before(answer, share):
    assert marks(answer)[0].repetition == pytest.approx(share)


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("별을 좋아해! 7시 😊", 0),
        ("I like stars", 1),
        ("我喜欢星星", 1),
        ("ほし", 1),
        ("별 AB", 2 / 3),
        ("12 + 3 = 15", 0),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", 0),  # Hangul taken apart, as macOS writes it
    ],
)
def test_letters_of_another_script_are_foreign(answer, share):
    assert marks(answer)[0].foreign == pytest.approx(share)


def test_the_character_at_which_an_answer_was_cut_off_is_not_foreign():
    cut, ended = (GivenAnswer("안녕", "별이 빛\ufffd", is_cut_off=is_cut_off) for is_cut_off in (True, False))
    assert [marks_of([each], KOREAN)[0].foreign for each in (cut, ended)] == [0, 1 / 4]
    (within,) = marks_of([GivenAnswer("안녕", "별\ufffd이 빛", is_cut_off=True)], KOREAN)
    assert within.foreign == 1 / 4


@pytest.mark.parametrize(
    ("answer", "is_stray"),
    [
        ("별!", 0),
        ("[기분: 좋음] 별!", 0),
        ("\u200b\n[기분: 좋음] 별!", 0),
        ("7월이야", 1),
        ("٧월이야", 1),
        ("- 별!", 1),
        ('"별!"', 1),
        ("😊 별!", 1),
        ("", 0),
    ],
)
def test_a_beginning_is_stray_unless_the_datasets_answers_begin_so(answer, is_stray):
    assert marks(answer)[0].stray_beginning == is_stray


@pytest.mark.parametrize(
    ("prompt", "answer", "share"),
    [
        ("오늘 날씨가 좋네", "오늘 날씨가 좋네", 1),
        ("오늘 날씨가 좋네!", "  오늘 날씨가\n좋네 ", 1),  # with other spaces
        ("오늘 날씨가 좋네", "오늘 날씨가 좋네!", 6 / 7),
        ("오늘 날씨가 좋네", "정말 맑다, 나가자", 0),
        ("덥네", "덥네", 1),
        ("날씨가 흐리네", "네", 0),  # too short to echo a part
        ("", "응!", 0),
        ("", "", 0),
    ],
)
def test_an_echo_is_the_share_of_sequences_that_stand_in_the_prompt(prompt, answer, share):
    assert marks_of([GivenAnswer(prompt, answer)], KOREAN)[0].echo == pytest.approx(share)


def test_only_more_echo_than_the_datasets_own_answers_have_counts():
    """A dataset of corrected sentences, say, has answers that hold most of their prompts."""
    assert 0 < REFERENCE.echo < 0.02
    half = reference_of([Dialogue("가나다라", "가나다라"), Dialogue("가나다라", "마바사아")])
    assert reference_of([Dialogue("가나다라", "가나다라")]).echo == half.echo == 0.5
    assert marks_of([GivenAnswer("가나다라마", "가나다라마")], half)[0].echo == 1
    assert marks_of([GivenAnswer("가나다라", "가나다라바사아")], half)[0].echo == 0  # a quarter


def test_an_answer_that_was_cut_off_or_begins_astray_is_worth_half():
    assert marks("별을 좋아해", is_cut_off=True)[0].good == 0.5
    assert marks("- 별을 좋아해")[0].good == 0.5
    assert marks("- 별을 좋아해", is_cut_off=True)[0].good == 0.25
    assert marks("별을 좋아해", is_cut_off=None)[0].good == 1


BAD = {
    "empty": ([""] * 25, False),
    "invisible": (["\u200b\u3164"] * 25, False),
    "punctuation": (["...", "!", "?!", "😊", "- -"] * 5, False),
    "one for all": (["그렇구나! 나도 그렇게 생각해."] * 25, False),
    "loops": ([f"{text[:6]} " * 10 for text in REAL], False),
    "laughter": (["ㅋ" * (20 + at) for at in range(25)], False),
    "English": ([f"I am a friendly assistant, number {chr(97 + at)}." for at in range(25)], False),
    "Chinese": ([f"我是一个友好的助手{chr(0x4E00 + at)}" for at in range(25)], False),
    "mixed": ([f"{text} 但是我不知道这个问题的答案, but I can help you with it" for text in REAL], False),
    "cut off": ([text[:20] for text in REAL], True),
    "digits": ([f"{at}. {text}" for at, text in enumerate(REAL)], False),
    "symbols": ([f"> {text}" for text in REAL], False),
    "emoji": ([f"🤖 {text}" for text in REAL], False),
    "noise": ([f"{at}{at * 7919}#@!$%{at * 104729}" for at in range(25)], False),
}


def test_real_dialogues_have_hardly_a_fault():
    assert said(answered(REAL)) > 95
    assert said(answered([row.answer for row in ROWS])) > 95


@pytest.mark.parametrize("kind", BAD)
def test_real_dialogues_score_far_better_than_bad_answers_of_each_kind(kind):
    answers, is_cut_off = BAD[kind]
    assert said(answered(answers, is_cut_off=is_cut_off)) < 60 < said(answered(REAL)) - 35


def test_prompts_given_back_are_worth_nothing():
    rows = DIALOGUES.usable_train_rows[81:106]
    assert said([GivenAnswer(row.prompt, row.prompt) for row in rows]) < 1


def test_every_part_is_told_as_a_share():
    parts = judge(answered(["", "별!", "I", "별!"], is_cut_off=True), matched(0.75), KOREAN).parts
    assert parts == pytest.approx(
        {
            "empty": 1 / 4,
            "same": 1 / 4,
            "repetition": 0,
            "foreign": 1 / 4,
            "cut_off": 1,
            "stray_beginning": 0,
            "echo": 0,
            "off_topic": 0,
            "said": 1 / 8,
            "matched": 1 / 2,
        }
    )


def test_what_a_good_answer_looks_like_is_read_from_the_dataset():
    assert (REFERENCE.script, REFERENCE.beginnings) == ("HANGUL", {"["})
    english = reference_of(asked("Hello there", "* waves", "OK 별"))
    assert (english.script, english.beginnings) == ("LATIN", {"*"})
    assert reference_of(asked("12", "!")).script == ""
    tagged, plain = marks("[기분: 좋음] 별!"), marks("[기분: 좋음] 별!", reference=reference_of(asked(*["별!"] * 30)))
    assert (tagged[0].stray_beginning, plain[0].stray_beginning) == (0, 1)


@pytest.mark.parametrize(("others", "is_usual"), [(19, True), (20, False)])
def test_a_beginning_is_usual_from_5_percent_on(others, is_usual):
    for sign in ("[", "🌟"):
        assert (sign in reference_of(asked(f"{sign}별", *["별"] * others)).beginnings) is is_usual
    assert ("0" in reference_of(asked("1월", "7월", *["별"] * (2 * others))).beginnings) is is_usual


ANSWERS = st.lists(
    st.builds(
        GivenAnswer,
        prompt=st.sampled_from(["안녕", "뭐 해?", "잘 자", "오늘 어때?"]),
        answer=HOSTILE | st.sampled_from(["", "응!", "별을 좋아해", "[기분: 좋음] 별!", "I like stars"]),
        is_cut_off=st.sampled_from([None, True, False]),
        dataset_answer=st.sampled_from(["", "응!", "별을 좋아해", "잘 자, 좋은 꿈 꿔"]) | HOSTILE,
    ),
    min_size=1,
    max_size=8,
)
RESAMPLED = at_most(40)
"""Each judgement draws a thousand times."""
LIKELIHOODS = st.lists(st.floats(0, 1).map(lambda share: Likelihood(10.0, 5, 10, share)), max_size=5)


@SPECIFIED
@given(ANSWERS)
def test_every_mark_is_a_share_whatever_was_answered(given_answers):
    for each in marks_of(given_answers, KOREAN):
        assert [share for share in (*each, each.good) if not 0 <= share <= 1] == []
        assert each.good == 0 or not each.empty


@SPECIFIED
@given(ANSWERS)
def test_what_is_not_seen_changes_no_mark(given_answers):
    dressed = [each.answer and f"\u200b{each.answer}\ufe0f \u3164" for each in given_answers]
    again = [replace(each, answer=text) for each, text in zip(given_answers, dressed, strict=True)]
    assert marks_of(again, KOREAN) == marks_of(given_answers, KOREAN)


@RESAMPLED
@given(ANSWERS, LIKELIHOODS)
def test_a_score_lies_within_its_interval_and_an_empty_answer_never_raises_it(given_answers, rows):
    found = judge(given_answers, rows, KOREAN)
    low, high = found.interval
    assert 0 <= low <= found.score + 1e-9
    assert found.score - 1e-9 <= high <= 100
    assert found.each == pytest.approx(tuple(100 * each.good for each in marks_of(given_answers, KOREAN)))
    assert found.grade in GRADES
    for prompt in ("안녕", "아직 아무도 묻지 않은 것"):
        assert judge([*given_answers, GivenAnswer(prompt, "")], rows, KOREAN).score <= found.score + 1e-9


@RESAMPLED
@given(ANSWERS, LIKELIHOODS, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(given_answers, rows, chance):
    turned = chance.sample(given_answers, len(given_answers))
    assert judge(turned, rows, KOREAN).score == pytest.approx(judge(given_answers, rows, KOREAN).score)


def test_rows_that_are_matched_better_never_lower_the_score():
    scores = [judge(answered(REAL), matched(share), REFERENCE).score for share in (0.0, 0.4, 0.5, 0.6, 0.8, 1.0)]
    assert scores == sorted(scores)
