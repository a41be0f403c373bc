"""Text of others in a terminal, a spreadsheet, a Markdown page, JSON and TOML: whatever it says, it stays text."""

import csv
import io
import json
import re
import tomllib
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlora_fixtures.base import safe_text
from ohlora_fixtures.base.errors import CandidateError, InputError, one_line
from ohlora_fixtures.session.records import CaseFailure

PIECES = [
    *("=1+1", "+", "-", "@", "\uff1d", ";", "\t", "\n", "\r\n", '"', "'", ",", " ", "|", "<b>", "`", "](", "[x]", "_"),
    *("**", "~~", "$", "&lt;", "&", "#", "1.", "\\", "https://a.b", "www.a.b", "\x1b[2J", "\x9b2J", "\u202e"),
]
HOSTILE = st.lists(
    st.one_of(st.text(max_size=6), st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), st.sampled_from(PIECES)),
    max_size=8,
).map("".join)
SPECIFIED = settings()
"""The profile that `conftest.py` has loaded."""
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
BIDI = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def is_obeyed(character):
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in BIDI


@SPECIFIED
@given(HOSTILE)
def test_a_line_has_nothing_that_a_terminal_obeys_and_stays_as_it_is_the_second_time(text):
    found = safe_text.line(text)
    assert [each for each in found if is_obeyed(each)] == []
    assert safe_text.line(found) == found


@SPECIFIED
@given(HOSTILE)
def test_no_spreadsheet_finds_a_formula_whatever_its_separator(text):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(["prompt", safe_text.cell(text)])
    for separator in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(buffer.getvalue()), delimiter=separator) for cell in row]
        assert [cell for cell in cells if cell.strip(' \t\n"').startswith(FORMULA_STARTS)] == []
    assert [each for each in buffer.getvalue() if is_obeyed(each) and each not in "\n\t"] == []
    assert safe_text.cell(safe_text.cell(text)) == safe_text.cell(text)


@SPECIFIED
@given(HOSTILE)
def test_markdown_reads_as_the_text_does_and_has_no_markup(text):
    found = safe_text.markdown(text)
    assert re.sub(r"\\([^\w\s])|\\(_)", r"\1\2", found) == safe_text.line(text).strip()
    bare = re.sub(r"\\[^\w\s]|\\_", "·", found)  # a letter would make an entity of an & before it
    assert re.findall(r"[`*<>|~$]|&[#a-zA-Z]|\]\(|\]\[|://|^[#=\[]|^[+-](?=[\s-])|^[0-9]{1,3}[.)]\s", bare) == []


@SPECIFIED
@given(HOSTILE)
def test_a_json_line_says_what_was_said_and_has_nothing_that_a_terminal_obeys(text):
    found = safe_text.json_line({"reason": text})
    # two surrogates side by side are one character to JSON
    assert json.loads(found) == {"reason": text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")}
    assert [each for each in found.decode()[:-1] if is_obeyed(each)] == []


@SPECIFIED
@given(HOSTILE)
def test_a_toml_string_says_what_was_said_and_has_nothing_that_a_terminal_obeys(text):
    written = safe_text.toml_string(text)
    assert [each for each in written if is_obeyed(each)] == []
    assert tomllib.loads(f"text = {written}") == {"text": re.sub("[\ud800-\udfff]", "\ufffd", text)}


@SPECIFIED
@given(HOSTILE)
def test_every_sentence_the_suite_ends_with_is_one_line(text):
    told = [str(InputError(text)), str(CandidateError(text)), str(CaseFailure("error", text)), one_line(OSError(text))]
    assert [each for sentence in told for each in sentence if is_obeyed(each)] == []


@pytest.mark.parametrize(
    "text",
    [
        "gemma-2-2b-it",
        "bench_fine_tuning[gemma-2-2b-it-r16]",
        "NVIDIA GeForce RTX 4070 (12 GB), 8.9; 45.2%",
        "안녕 👩\u200d🚀",
        "Gemma Terms of Use",
        "60.00",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert safe_text.line(text) == safe_text.cell(text) == safe_text.markdown(text) == text


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("a | b", r"a \| b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[here](https://x.y)", r"\[here\](https\://x.y)"),
        ("![](//x.y)", r"![\](//x.y)"),
        ("__init__ of `x`", r"\_\_init\_\_ of \`x\`"),
        ("two\nlines", "two lines"),
        ("# no heading", r"\# no heading"),
        ("1. no list", r"1\. no list"),
        ("see www.x.y", r"see www\.x.y"),
    ],
)
def test_markup_is_escaped(text, page):
    assert safe_text.markdown(text) == page


def test_an_apostrophe_stands_where_a_formula_could_begin():
    assert safe_text.cell("=1+1") == "'=1+1"
    assert safe_text.cell('응;=HYPERLINK("x")') == '응;\'=HYPERLINK("x")'
    assert safe_text.cell("하나\n- 둘, - 셋") == "하나\n'- 둘, - 셋"
