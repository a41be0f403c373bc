"""The likelihood of the dataset's answers, on mini replicas."""

import math
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from test_workloads import CANDIDATES, DIALOGUES, SOURCE, examples_for, texts_for

from ohlora_fixtures.inputs.conversations import Dialogue
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.templates import IGNORED_LABEL, encode_all, template_of
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter
from ohlora_fixtures.workloads.inference import answer
from ohlora_fixtures.workloads.likelihood import Reader, in_training_scale
from ohlora_fixtures.workloads.models import load

ROWS = DIALOGUES.usable_valid_rows[:3]
RWKV = "KoAlpaca-KoRWKV-1.5B"


@pytest.fixture(scope="module", params=["llama1B", RWKV])
def loaded(request):
    return load(CANDIDATES[request.param], SOURCE, texts_for(request.param))


def likelihoods_of(loaded, model=None, rows=ROWS, max_tokens=512, others=0):
    return Reader(model or loaded.model, loaded.template, max_tokens).likelihoods(rows, others)


def test_it_is_the_loss_that_training_would_have_without_the_end_of_the_sequence(loaded):
    for row, found in zip(ROWS, likelihoods_of(loaded), strict=True):
        (example,) = encode_all(loaded.template, [row], 512)
        labels = [*example["labels"][:-1], IGNORED_LABEL]
        with torch.no_grad():
            loss = loaded.model(input_ids=torch.tensor([example["input_ids"]]), labels=torch.tensor([labels])).loss
        tokens = sum(label != IGNORED_LABEL for label in labels)
        assert found.tokens == tokens
        assert found.characters == len(row.answer)
        assert found.nats == pytest.approx(loss.item() * tokens, rel=2e-3)  # the model's own loss is rounded to bf16


def test_a_model_that_knows_nothing_gives_every_token_its_share(loaded):
    with torch.no_grad():
        saved = loaded.model.get_output_embeddings().weight.clone()
        loaded.model.get_output_embeddings().weight.zero_()
        (found,) = likelihoods_of(loaded, rows=ROWS[:1])
        loaded.model.get_output_embeddings().weight.copy_(saved)
    assert found.nats == pytest.approx(found.tokens * math.log(loaded.model.config.vocab_size), rel=1e-4)


def test_rows_that_are_too_long_are_left_out(loaded):
    (whole,) = likelihoods_of(loaded, rows=ROWS[:1])
    fits = len(loaded.template.prompts(ROWS[:1])[0]) + whole.tokens
    assert len(likelihoods_of(loaded, rows=ROWS[:1], max_tokens=fits)) == 1
    assert likelihoods_of(loaded, rows=ROWS[:1], max_tokens=fits - 1) == ()
    assert likelihoods_of(loaded, rows=[Dialogue("x" * 2000, "y")]) == ()


def test_an_adapted_model_is_asked_as_it_was_trained(loaded):
    """RWKV's weights are divided for inference; an adapter beside one of them would not be."""
    before = likelihoods_of(loaded)
    protocol = Protocol(lora_dropout=0.0)
    adapted = attach_adapter(loaded.model, lora(8), loaded.candidate.target_modules, protocol)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    example = examples_for(loaded)[0]
    inputs = {"input_ids": torch.tensor([example["input_ids"]])}
    with torch.no_grad():
        trained = adapted.train()(**inputs).logits.float()
        with in_training_scale(adapted):
            asked = adapted.eval()(**inputs).logits.float()
            tuned = likelihoods_of(loaded, adapted)
            answer(adapted, loaded.tokenizer, [[1, 2]], Protocol(max_length=12), lambda: None)
        again = adapted.train()(**inputs).logits.float()
    assert torch.equal(trained, asked)
    assert torch.equal(trained, again)
    assert tuned != before
    detach_adapter(adapted)
    assert likelihoods_of(loaded) == before


def test_without_that_care_rwkv_would_be_another_model():
    loaded = load(CANDIDATES[RWKV], SOURCE, texts_for(RWKV))
    adapted = attach_adapter(loaded.model, lora(8), loaded.candidate.target_modules, Protocol(lora_dropout=0.0))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    inputs = {"input_ids": torch.tensor([examples_for(loaded)[0]["input_ids"]])}
    with torch.no_grad():
        trained = adapted.train()(**inputs).logits.float()
        asked = adapted.eval()(**inputs).logits.float()
        assert not torch.allclose(trained, asked, rtol=0.05)
        with pytest.raises(ValueError, match="in the scale of inference already"), in_training_scale(adapted):
            pass


class Characters:
    """A tokenizer of characters."""

    bos_token, eos_token, eos_token_id = None, "\0", 0
    added_tokens_decoder: ClassVar = {}

    def __call__(self, text, *, add_special_tokens=True):
        return {"input_ids": [1, *map(ord, text)] if add_special_tokens else [*map(ord, text)]}


class Copying:
    """A model that expects the characters it has seen, as firmly as `scale` says."""

    device = "cpu"

    def __init__(self, scale):
        self.scale, self.asked = scale, []

    def eval(self):
        return self

    def __call__(self, input_ids, use_cache):
        self.asked.append(bytes(input_ids[0, 1:].tolist()).decode())
        seen = torch.nn.functional.one_hot(input_ids, 128).cumsum(1).clamp(max=1)
        return SimpleNamespace(logits=self.scale * seen.float())


def matches(rows, scale=1.0, others=3):
    model = Copying(scale)
    found = Reader(model, template_of("{input}:{output}", Characters()), 512).likelihoods(rows, others)
    return [each.matched for each in found], model.asked


ALIKE = [Dialogue(sign * 3, sign * (at + 1)) for at, sign in enumerate("abcdefgh")]
STRANGE = [Dialogue(sign * 3, "xyzvw") for sign in "abcdefgh"]


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_answers_are_matched_with_their_prompts_however_sure_of_itself_a_model_is(scale):
    assert matches(ALIKE, scale)[0] == [1.0] * 8
    assert matches(ALIKE, -scale)[0] == [0.0] * 8


def test_a_model_to_which_every_prompt_is_the_same_ties_and_one_that_finds_no_number_matches_nothing():
    assert matches(ALIKE, 0.0)[0] == [0.5] * 8
    assert matches(ALIKE, math.nan)[0] == [0.0] * 8


def test_an_answer_is_read_after_three_other_prompts_far_from_its_own():
    asked = matches(ALIKE)[1]
    assert asked[:4] == ["aaa:a", "ccc:a", "eee:a", "ggg:a"]
    assert len(asked) == 8 * 4
    assert asked[-3:] == ["bbb:hhhhhhhh", "ddd:hhhhhhhh", "fff:hhhhhhhh"]


@pytest.mark.parametrize(("rows", "others"), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 3)])
def test_of_few_rows_each_is_another_once(rows, others):
    shares, asked = matches(ALIKE[:rows])
    assert shares == [1.0 if others else None] * rows
    assert len(asked) == len(set(asked)) == rows * (1 + others)


def test_a_prompt_or_an_answer_that_is_the_rows_own_is_no_other():
    assert matches(STRANGE)[0] == [None] * 8
    assert matches([ALIKE[0]] * 4)[0] == [None] * 4
    assert matches([Dialogue("aaa", sign) for sign in "abcd"])[0] == [None] * 4
