"""A person's grades: the scale, filled-in files, the answers they count for, and what they make of a candidate."""

import csv
import io
from statistics import fmean

import pytest
from made import said

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.quality.grades import read_grades
from ohlora_fixtures.quality.grading import (
    GRADES,
    Judged,
    Quality,
    grade_from,
    grade_of,
    interval,
    points_of,
    quality_of,
)
from ohlora_fixtures.results.answers import GivenAnswer, write_answers

HELLO, WHY = GivenAnswer("안녕?", "응, 안녕! 🌌"), GivenAnswer("왜?", "그냥.")
HEAD = "candidate,variant,prompt,answer,grade"

TUNED, UNTUNED = answering_case("a", "r16"), answering_case("a", None)
OTHER = answering_case("b", "r16")
CASES = {TUNED, UNTUNED, OTHER}


@pytest.fixture
def grades(tmp_path):
    """Reads grades from lines under the usual columns, or from a text of its own."""

    def read(*lines, name="graded.csv", encoding="utf-8", head=HEAD):
        path = tmp_path / name
        path.write_bytes("\n".join([head, *lines, ""]).encode(encoding, "replace"))
        return read_grades([path])

    return read


def test_a_grade_is_a_fifth_of_the_scores_and_stands_for_its_middle():
    scores = (100, 80, 79.999, 60, 59.999, 40, 39.999, 20, 19.999, 0)
    assert [grade_of(score) for score in scores] == [grade for grade in GRADES for _ in range(2)]
    assert [points_of(grade) for grade in GRADES] == [90, 70, 50, 30, 10]
    assert [grade_of(points_of(grade)) for grade in GRADES] == list(GRADES)


@pytest.mark.parametrize("words", [GRADES, ("best", "good", "fair", "poor", "worst"), "54321"])
def test_a_person_may_write_words_or_figures(words):
    assert [grade_from(word) for word in words] == list(GRADES)


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        (" Best ", "최상"),
        ("4.0", "상"),
        ("4,0", "상"),
        ("4.5", None),
        ("6", None),
        ("0", None),
        ("", None),
        ("최", None),
    ],
)
def test_the_border_of_what_is_a_grade(text, grade):
    assert grade_from(text) == grade


def test_a_grade_counts_for_its_answer_at_its_rank(grades):
    found = grades("a,r16,안녕?,응,최상", "a,r32,안녕?,응,하", "a,,안녕?,응,최하", "a,r16,왜?,그냥.,")
    judged = found.of(
        {TUNED: [WHY, GivenAnswer("안녕?", "응")], UNTUNED: [GivenAnswer("안녕?", "응")], OTHER: [WHY]}, CASES
    )
    assert judged.points == {TUNED: (None, 90), UNTUNED: (10,), OTHER: (None,)}
    path = found.grades[0].path  # at rank 32 nothing was answered
    assert said(judged.notes) == (
        f"1 grade in {path} is for an answer that is not among these, or of random weights, and does not count",
    )
    assert judged.quality(UNTUNED) == Quality(10, None, "최하", "person", is_tuned=False, judged=1, given=1)
    assert judged.quality(OTHER) is judged.quality(answering_case("c", "r16")) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("separator", ",;")
def test_a_graded_file_counts_after_any_spreadsheet_had_it(tmp_path, encoding, separator):
    answers = [
        HELLO,
        GivenAnswer("식?", "=1+1"),
        GivenAnswer("줄? 😀", " 하나\n- 둘 "),
        GivenAnswer("없지?", "", tokens=0),
    ]
    path = tmp_path / "a.csv"
    write_answers(path, {TUNED: answers})
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator)
    trimmed = [[value.replace("\n", "\r\n").strip() for value in (row | {"grade": "3"}).values()] for row in rows]
    writer.writerows([rows[0].keys(), *trimmed])
    halves = [f"{each}?" if encoding == "cp949" and ord(each) > 0xFFFF else each for each in buffer.getvalue()]
    path.write_bytes("".join(halves).encode(encoding, "replace"))  # Windows writes a mark for each half of an emoji
    found = read_grades([path])
    found.check(["a"], [each.prompt for each in answers])
    judged = found.of({TUNED: answers}, CASES)
    assert (judged.points[TUNED], said(judged.notes)) == ((50, 50, 50, 50), ())


def test_grades_of_other_answers_are_told_and_do_not_count(grades):
    found = grades("a,r16,안녕?,저런,최상", "a,r16,왜?,그냥.,중", "a,r16,왜?,몰라,최하", "b,r16,왜?,그냥.,상")
    judged = found.of({TUNED: [HELLO, WHY]}, CASES)
    assert judged.points == {TUNED: (None, 50)}
    assert said(judged.notes) == (
        (
            f"3 grades in {found.grades[0].path} are for answers that are not among these, or of random "
            "weights, and do not count"
        ),
    )


def test_without_an_answer_a_grade_counts_whatever_was_answered_but_not_over_the_answers_own(grades):
    found = grades("a,r16,안녕?,,최상", "a,r16,왜?,,최상", "a,r16,왜?,그냥.,하")
    judged = found.of({TUNED: [HELLO, WHY]}, CASES)
    assert (judged.points[TUNED], said(judged.notes)) == ((90, 30), ())


def test_a_model_that_answered_nothing_is_graded_for_that(grades):
    found = grades("a,r16,안녕?,,7,최하", head="candidate,variant,prompt,answer,tokens,grade")
    assert found.of({TUNED: [HELLO]}, CASES).points[TUNED] == (None,)
    assert found.of({TUNED: [GivenAnswer("안녕?", "")]}, CASES).points[TUNED] == (10,)


def test_a_candidate_graded_as_a_whole_needs_no_answers_and_gives_way_to_them(grades):
    found = grades("a,,,,최상", "b,r16,,,하", "b,r16,왜?,,상", head=HEAD)
    alone = found.of({}, CASES)
    assert alone.quality(UNTUNED) == Quality(90, None, "최상", "person", is_tuned=False)
    assert alone.quality(OTHER) == Quality(30, None, "하", "person", is_tuned=True)
    both = found.of({OTHER: [WHY]}, CASES)
    assert both.quality(OTHER).score == 70
    assert said(both.notes) == (
        "grades for a whole candidate that do not count, as its answers have grades of their own: 1",
    )


def test_the_least_file_has_three_columns(grades):
    found = grades("안녕?,a,good", head="prompt,candidate,grade")
    assert found.of({UNTUNED: [HELLO]}, CASES).points[UNTUNED] == (70,)


def test_a_folder_of_files_and_a_file_twice(tmp_path, grades):
    grades("a,r16,왜?,그냥.,상", name="a.csv")
    grades("b,r16,왜?,그냥.,하", name="b.csv")
    (tmp_path / "._a.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "notes.txt").write_text("no grades")
    found = read_grades([tmp_path, tmp_path / "a.csv"])
    assert found.of({TUNED: [WHY], OTHER: [WHY]}, CASES).points == {TUNED: (70,), OTHER: (30,)}


def test_what_is_graded_must_be_known(grades):
    found = grades("a,r16,안녕? ,응,상", "b,,,,중", "c,r16,저기?,응,상")
    found.check("abc", ["안녕?", "저기?"])
    with pytest.raises(
        InputError, match=r"graded\.csv has a grade for the candidate 'b', which is unknown here: correct"
    ):
        found.check(["a", "c"], ["안녕?"])
    with pytest.raises(
        InputError, match=r"graded\.csv has a grade for an answer to '저기\?', which is not a prompt here: "
    ):
        found.check("abc", ["안녕?"])


def test_two_prompts_that_a_spreadsheet_has_made_the_same_are_not_mixed_up(grades):
    found = grades("a,r16,안녕 😀,,상", encoding="cp949")
    found.check("a", ["안녕 😀", "왜 😀"])
    with pytest.raises(InputError, match="is not a prompt here"):
        found.check("a", ["안녕 😀", "안녕 😢"])


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["a,r16,안녕?,응,good-ish"],
            "graded.csv has the grade 'good-ish' for a r16's answer to '안녕?': write 최상,",
        ),
        (
            ["a,,,,7"],
            "has the grade '7' for a as a whole: write 최상, 상, 중, 하, 최하, or best, good, fair, poor, worst, or",
        ),
        (["a,r16,안녕?,응,"], "graded.csv has no grade: fill in the column 'grade'"),
        (["a,r16,왜?,응,상", "a,r16,왜? ,응,하"], "a r16's answer to '왜?' is graded 상 in "),
        (["a,,,,상", "a,,,,최하"], "a as a whole is graded 상 in "),
    ],
)
def test_grades_that_cannot_be_used_are_told_in_one_sentence(grades, lines, says):
    with pytest.raises(InputError) as error:
        grades(*lines)
    assert says in str(error.value)


def test_a_folder_without_files_is_told(tmp_path):
    with pytest.raises(InputError, match="has no CSV file: give a filled-in answers file, or the folder of them"):
        read_grades([tmp_path])


def test_quality_is_the_mean_with_its_interval_over_the_answers():
    assert quality_of([90, 70, 70, 50], "judge", is_tuned=True) == Quality(70, (55, 85), "상", "judge", is_tuned=True)
    assert quality_of([70], "judge", is_tuned=False).interval is None
    judged = Judged("judge", {TUNED: (90, None, 70)}, {TUNED: 10})
    assert judged.quality(TUNED).score == 80


def test_the_interval_is_the_bootstraps():
    values = [float(value) for value in range(100)]
    low, high = interval(fmean, values)
    # the mean of 100 draws from 0..99 has a standard error of 2.89: 49.5 -+ 1.96 x 2.89 is 43.8 to 55.2
    assert low == pytest.approx(43.8, abs=0.5)
    assert high == pytest.approx(55.2, abs=0.5)
    assert interval(fmean, values) == (low, high)
    assert interval(max, values)[1] == 99
    assert interval(fmean, [50.0, 50.0]) == (50, 50)


def test_a_grade_for_a_variant_that_there_is_not_is_told(grades):
    found = grades("a,r99,,,상", "a,r98,,,하", "b,r16,,,중", "a,,,,최상")
    assert said(found.of({}, CASES).notes) == (
        f"2 grades in {found.grades[0].path} are for models in variants that are not among these, and do not count",
    )
    assert said(grades("a,r99,,,상").of({}, CASES).notes) == (
        f"1 grade in {found.grades[0].path} is for a model in a variant that is not among these, and does not count",
    )
