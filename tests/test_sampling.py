"""How answers are sampled: as the model's makers set it, or in settings of one's own; what was used is kept."""

from dataclasses import replace

import pytest
from made import changed, made
from test_workloads import CANDIDATES, SHORT, SOURCE, prompts_for, texts_for
from transformers import GenerationConfig

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.inputs.protocol import Protocol, Sampling, parse_protocol
from ohlora_fixtures.report.notes import notes
from ohlora_fixtures.results.comparison import compare
from ohlora_fixtures.results.record import record_of
from ohlora_fixtures.workloads.inference import answer
from ohlora_fixtures.workloads.models import load

NAME = "FinguAI-Chat-v1"
USUAL = {"do_sample": True, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.0}


@pytest.fixture(scope="module")
def small():
    return load(CANDIDATES[NAME], SOURCE, texts_for(NAME))


@pytest.fixture
def answered(small, monkeypatch):
    """Answers to the protocol's prompts, with settings that the model's makers would have put beside its weights."""

    def ask(protocol, **makers):
        ends = {"pad_token_id": small.tokenizer.pad_token_id, "eos_token_id": None}
        monkeypatch.setattr(small.model, "generation_config", GenerationConfig(**ends, **makers))
        return answer(small.model, small.tokenizer, prompts_for(small), protocol, lambda: None)

    return ask


def used(answered):
    return {name: answered.sampling[name] for name in USUAL}


def test_by_default_it_is_as_the_makers_set_it(answered):
    plain = answered(SHORT)
    cold = answered(SHORT, temperature=0.01, top_p=0.8)
    assert used(plain) == USUAL
    assert used(cold) == USUAL | {"temperature": 0.01, "top_p": 0.8}
    assert cold.answers != plain.answers


def test_of_the_makers_settings_none_counts_beside_ones_own(answered):
    own = replace(SHORT, sampling=Sampling(top_p=0.9))
    makers = {"temperature": 0.01, "top_k": 1, "repetition_penalty": 5.0, "min_p": 0.5, "no_repeat_ngram_size": 1}
    found = answered(own, **makers)
    assert found.answers == answered(own).answers
    assert used(found) == USUAL | {"top_k": 0, "top_p": 0.9}
    assert found.answers != answered(SHORT, **makers).answers


def test_the_protocols_length_goes_before_a_number_of_new_tokens_that_the_makers_set(answered):
    found = answered(SHORT, max_new_tokens=200)
    assert {each.prompt_tokens + each.new_tokens for each in found.lengths} == {SHORT.max_length}


def test_ones_own_settings_are_another_protocol_and_the_makers_are_the_studys():
    own = parse_protocol(["sampling=top_p=0.90,temperature=.7"])
    assert own == parse_protocol(["sampling=temperature=0.7,top_p=0.9"]) == parse_protocol([f"sampling={own.sampling}"])
    assert [str(each) for each in own.changes()] == ["sampling temperature=0.7,top_p=0.9 instead of model"]
    assert own.hash() != Protocol().hash() == parse_protocol(["sampling=model"]).hash() == "b63317e6c20a"
    assert own.as_dict()["sampling"] == "temperature=0.7,top_p=0.9"


@pytest.mark.parametrize(
    "value",
    ["", "x", "top_p", "top_p=2", "top_p=0", "top_p=nan", "temperature=0", "top_k=1.5", "top_p=.9,top_p=.8", "seed=1"],
)
def test_settings_that_generate_would_not_take_are_refused(value):
    with pytest.raises(InputError, match=r"needs model, or settings of generate, such as sampling=temperature=0\.7"):
        parse_protocol([f"sampling={value}"])


def test_what_was_used_is_kept_and_told():
    one = made("x", sampling=USUAL, weights="hub")
    two = changed(one, sampling=USUAL | {"temperature": 0.6})
    rehearsed = changed(one, weights="random")
    assert record_of(one.as_dict()).measured.sampling == USUAL
    assert record_of(made("x").as_dict()).measured.sampling is None

    def told(*records):
        found = [note for note in notes(compare([], (), records, {})) if "sampled" in str(note.told)]
        assert {note.is_caution for note in found} <= {len(found) > 1}
        return [str(note.told) for note in found]

    usual = "answers sampled with temperature 1, top_k 50, top_p 1, repetition_penalty 1: x"
    assert told(one, one) == [usual]
    assert told(one, two) == [usual, usual.replace("temperature 1", "temperature 0.6")]
    assert told(rehearsed) == []
