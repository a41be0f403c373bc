"""Answers files: written to be graded, and read back after a spreadsheet has had them."""

import csv
import errno
import io
import os
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_untrusted import FORMULA_STARTS, HOSTILE, SPECIFIED

from ohlora_fixtures.base.csv_files import KnownTexts, unchanged
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.safe_text import cell
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.results.answers import COLUMNS, GivenAnswer, read_answers, write_answers

HELLO = GivenAnswer("안녕?", "응, 안녕! 🌌", 7, 1.25, is_cut_off=False, grade="상")
FORMULA = GivenAnswer("계산해 줘", '=HYPERLINK("x")\n- 둘', 80, 2.0, is_cut_off=True)
TUNED, UNTUNED = answering_case("gemma", "r16"), answering_case("gemma", None)
ANSWERS = {TUNED: [HELLO], UNTUNED: [FORMULA, GivenAnswer("왜?", "")]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers" / "gemma.csv"


@pytest.fixture
def written(path):
    write_answers(path, ANSWERS)
    return path


def saved(path, **how):
    """The file as a spreadsheet saves it again: `separator`, `encoding`, `end` of a line, `columns`."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    buffer = io.StringIO(newline="")
    end = how.get("end", "\r\n")
    writer = csv.writer(buffer, delimiter=how.get("separator", ","), lineterminator=end)
    columns = how.get("columns", COLUMNS)
    writer.writerows([columns, *([row[name].replace("\n", end) for name in columns] for row in rows)])
    path.write_bytes(buffer.getvalue().encode(how.get("encoding", "utf-8-sig"), "replace"))
    return read_answers(path)


def says(path, text, encoding="utf-8"):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InputError) as error:
        read_answers(path)
    return str(error.value)


def test_what_is_written_is_read_and_the_untuned_model_stands_first(written):
    found = read_answers(written)
    assert list(found) == [UNTUNED, TUNED]
    assert found[TUNED] == [HELLO]
    formula, empty = found[UNTUNED]
    assert formula.answer == cell(FORMULA.answer) == "'=HYPERLINK(\"x\")\n'- 둘"
    assert (formula.tokens, formula.seconds, formula.is_cut_off, formula.grade) == (80, 2.0, True, "")
    assert empty == GivenAnswer("왜?", "")


def test_excel_needs_the_byte_order_mark_to_see_hangul(written):
    assert written.read_bytes().startswith(b"\xef\xbb\xbf")


@SPECIFIED
@given(st.lists(st.builds(GivenAnswer, HOSTILE, HOSTILE, grade=HOSTILE), min_size=1, max_size=3))
def test_whatever_a_model_says_no_cell_is_a_formula_and_all_comes_back(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("hostile") / "a.csv"
    write_answers(path, {answering_case("a", None): answers})
    text = path.read_text(encoding="utf-8-sig")
    assert [each for row in csv.reader(io.StringIO(text)) for each in row if each.startswith(FORMULA_STARTS)] == []
    found = read_answers(path)[answering_case("a", None)]
    assert [(each.prompt, each.answer) for each in found] == [(cell(a.prompt), cell(a.answer)) for a in answers]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheets_separator_encoding_and_line_ends_are_no_obstacle(written, separator, encoding, end):
    before = read_answers(written)
    after = saved(written, separator=separator, encoding=encoding, end=end)
    assert after[TUNED] == before[TUNED]
    assert after[UNTUNED][0].answer.replace("\r\n", "\n") == before[UNTUNED][0].answer


def test_a_korean_excel_saves_cp949_which_has_no_emoji(written):
    assert saved(written, encoding="cp949")[TUNED][0].answer == "응, 안녕! ?"


@pytest.mark.parametrize(
    ("text", "came_back"),
    [
        ("=1+1", "'=1+1"),
        ("=1+1", "=1+1"),
        ("'안녕'이래", "안녕'이래"),
        (" 하나\n- 둘\u2028", "하나\r\n'- 둘"),
        ("하나\n둘", "하나\r둘"),
        ("밤 🌌", "밤 ?"),
        ("밤 👩\u200d🚀", "밤 ?????"),
    ],
)
def test_a_text_is_known_again_whatever_a_spreadsheet_does_to_it(text, came_back):
    assert KnownTexts(["밤", text]).find(came_back) == unchanged(text)
    assert KnownTexts(["밤", "하나 둘", "1+1"]).find(came_back) is None


def test_columns_stand_in_any_order_and_most_may_be_missing(written):
    found = saved(written, columns=("grade", "prompt", "candidate"))
    assert found == {
        UNTUNED: [GivenAnswer("계산해 줘", ""), GivenAnswer("왜?", ""), GivenAnswer("안녕?", "", grade="상")]
    }


def test_blank_rows_are_passed_over_wherever_they_stand(path):
    path.parent.mkdir()
    path.write_text("\n,,,\ncandidate,variant,prompt,grade\n,,,\n\na,,안녕,상\n , ,\t,\n", encoding="utf-8")
    assert read_answers(path) == {answering_case("a", None): [GivenAnswer("안녕", "", grade="상")]}


@pytest.mark.parametrize("rank", ["16", "16.0", "16,0", " 16 "])
def test_an_older_files_rank_is_whole_however_a_spreadsheet_writes_it(path, rank):
    path.parent.mkdir()
    path.write_text(f"candidate;lora_rank;prompt;grade;tokens\na;{rank};안녕;;7.0\n", encoding="utf-8")
    assert read_answers(path) == {answering_case("a", "r16"): [GivenAnswer("안녕", "", tokens=7)]}


HEAD = "candidate,lora_rank,prompt,answer,seconds,grade\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lacks the column 'candidate': it needs candidate, prompt, grade"),
        ("prompt,answer\n안녕,응\n", "lacks the column 'candidate'"),
        ("candidate,prompt,grade,grade\n", "has the column 'grade' more than once: leave one of them"),
        (HEAD + "a,r16,안녕,응,,\n", "the lora_rank 'r16' in line 2, which is not a number: correct it"),
        (HEAD + "a,1.5,안녕,응,,\n", "the lora_rank '1.5' in line 2, which is not a whole number"),
        (HEAD + "a,0,안녕,응,,\n", "the lora_rank 0 in line 2: leave it empty for the untuned model"),
        (HEAD + "a,-16,안녕,응,,\n", "the lora_rank '-16' in line 2, which is not a number"),
        (HEAD + "a,,안녕,응,nan,\n", "the seconds 'nan' in line 2, which is not a number"),
        (HEAD + "a,,안녕,응,1e999,\n", "the seconds '1e999' in line 2, which is not a number"),
        (HEAD + '\n,,"안\n녕",응,,\n', "no candidate in line 4: fill in its name, or remove that line"),
        (
            HEAD + "a,,안녕,응, 안녕,,상\n",
            "more cells in line 2 than columns: put double quotes around a text that",
        ),
        (
            HEAD + 'a,,"안녕" 하세요,응,,\n',
            "is not a readable CSV file: ',' expected after '\"' near line 2; correct its",
        ),
        (HEAD + 'a,,"안녕,응,,\n', "is not a readable CSV file: unexpected end of data near line 2"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(path, text, sentence):
    found = says(path, text)
    assert sentence in found
    assert str(path) in found


def test_a_workbook_is_no_csv(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/workbook.xml", "<workbook/>" * 100)
    text = buffer.getvalue().decode("latin-1")
    assert "is not text in UTF-8, UTF-16 or CP949: save it in UTF-8, a workbook as CSV" in says(path, text, "latin-1")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file or directory\): give the path of a"):
        read_answers(tmp_path / "none.csv")


def test_an_older_file_stays_if_the_new_one_cannot_be_written(written, monkeypatch):
    before = written.read_bytes()

    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write_answers(written, {})
    assert written.read_bytes() == before
