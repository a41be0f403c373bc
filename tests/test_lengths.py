"""Rows that are cut, and prompts whose own answer does not fit, are said beforehand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from chat_templates import tokenizer_with
from made import flat_records, made

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.conversations import Dialogue
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.templates import count_cut, count_long, encode_all, template_of
from ohlora_fixtures.planner.batches import encoded
from ohlora_fixtures.planner.planner import MeasuredTokenizer
from ohlora_fixtures.report.notes import notes
from ohlora_fixtures.results.comparison import compare

ROW = Dialogue("abc", "de")
TOKENS = 9
"""Of this row in bytes: `<bos>`, `abc`, ` :`, `de`, `<eos>`."""


def test_a_row_is_cut_where_a_token_is_missing_of_its_end():
    template = template_of("{input} :{output}", tokenizer_with(None))
    for most, cut in ((TOKENS, 0), (TOKENS - 1, 1), (TOKENS - 2, 1), (TOKENS + 1, 0)):
        examples = encode_all(template, [ROW, Dialogue("a", "b")], most)
        assert len(examples[0]["input_ids"]) == min(most, TOKENS)
        assert count_cut(examples, template, most) == cut
        assert count_long(template.encoded([ROW]), template, most) == cut


@pytest.fixture
def planned(tiny):
    """What is planned for of the tiny candidate: by a tokenizer, or estimated."""

    def plan(protocol, tokenizer=None, **changes):
        (candidate,) = read_candidates(tiny(chars_per_token=1.0))
        settings = SimpleNamespace(protocol=protocol, model_dir=None, dialogues=read_dialogues(DATA / "dialogues.csv"))
        measured = None if tokenizer is None else MeasuredTokenizer(tokenizer, "own")
        return encoded(replace(candidate, **changes), settings, measured)

    return plan


@pytest.mark.parametrize("tokenizer", [None, tokenizer_with(None)])
def test_a_plan_counts_them_by_any_tokenizer(planned, tokenizer):
    whole = planned(Protocol(max_row_tokens=1000, max_length=1000), tokenizer)
    assert (whole.rows_cut, whole.long_answers) == (0, 0)
    longest = max(len(each["input_ids"]) for each in whole.examples)
    count = sum(len(each["input_ids"]) == longest for each in whole.examples)
    assert planned(Protocol(max_row_tokens=longest), tokenizer).rows_cut == 0
    assert planned(Protocol(max_row_tokens=longest - 1), tokenizer).rows_cut == count
    assert planned(Protocol(max_length=max(whole.prompt_tokens) + 1), tokenizer).long_answers == 25


def test_they_are_said_of_the_best_tokenizer_that_is_known_of_each_candidate():
    lengths = {"max_length": 80, "prompt_rows": "81:106", "max_row_tokens": 512, "fine_tuning_rows": "valid 0:3000"}
    plans = [made(name, is_planned=True, protocol=lengths, tokenizer="estimated", long_answers=20) for name in "ab"]
    own = made("b", protocol=lengths, tokenizer="own", long_answers=24)
    rows = [made(name, "r16", is_planned=True, protocol=lengths, tokenizer="own", rows_cut=12) for name in "ab"]
    none = made("c", is_planned=True, protocol=lengths, tokenizer="own", long_answers=0)
    told = [
        str(note.told) for note in notes(compare([], (), [own, *plans, *rows, none], {})) if "max_" in str(note.told)
    ]
    assert told == [
        "own answers of 20 of 25 prompts do not fit in 80 tokens (max_length): a",
        "own answers of 24 of 25 prompts do not fit in 80 tokens (max_length): b",
        "12 of 3,000 rows cut at 512 tokens (max_row_tokens): a, b",
    ]


def test_a_plan_says_so_from_command_to_table(suite, tiny):
    arguments = ["-k", "plan and (r16 or inference)", "--candidates", tiny(), "--results-dir", "out"]
    short = ["--protocol", "epochs=1", "--protocol", "max_row_tokens=30", "--protocol", "max_length=30"]
    result = suite.runpytest_subprocess("benches", *arguments, *short)
    inference, tuned = flat_records(suite.path / "out")
    assert (inference["rows_cut"], tuned["long_answers"]) == (None, None)
    assert min(inference["long_answers"], tuned["rows_cut"]) > 0
    said = " ".join(result.stdout.str().split())
    assert f"own answers of {inference['long_answers']} of 25 prompts do not fit in 30 tokens" in said
    assert f"{tuned['rows_cut']} of 20 rows cut at 30 tokens" in said
