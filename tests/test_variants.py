"""Variants: what a variants file may say, what ranks are short for, and what peft makes of them."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_workloads import CANDIDATES, SHORT, SOURCE, examples_for, texts_for

from ohlora_fixtures.base.errors import CandidateError, InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import (
    DEFAULT,
    Variant,
    by_rank,
    ends_of,
    lora,
    read_variants,
    select_variants,
    variants_of_ranks,
)
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter, fine_tune, trainable_parameters
from ohlora_fixtures.workloads.models import load
from ohlora_fixtures.workloads.trainer import make_trainer

SHIPPED = read_variants(DATA / "variants.toml")
BY_NAME = {variant.name: variant for variant in SHIPPED}
IA3 = BY_NAME["ia3"]


@pytest.fixture
def written(tmp_path):
    """Reads variants from a TOML text."""

    def read(text):
        path = tmp_path / "variants.toml"
        path.write_text(text, encoding="utf-8")
        return read_variants(path)

    return read


def entry(**keys):
    """A table of a variants file; texts stand for themselves, all else for TOML."""
    keys = {"name": '"mine"', "adapter": '{ peft_type = "LORA", r = 8 }'} | keys
    return "[[variant]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)


def test_the_shipped_file_has_the_studys_ranks_and_they_are_the_protocols_lora():
    assert select_variants(SHIPPED, ",".join(DEFAULT)) == (lora(16), lora(32), lora(64))
    assert [each.rank for each in map(BY_NAME.get, DEFAULT)] == [16, 32, 64]
    assert all(each.protocol(Protocol()) == Protocol() for each in map(BY_NAME.get, DEFAULT))


def test_a_variant_is_what_its_table_says(written):
    text = entry(training="{ gradient_checkpointing = true, optim = 'sgd', learning_rate = 1e-3, max_grad_norm = 2.0 }")
    (found,) = written(text)
    assert (found.name, found.adapter, found.rank) == ("mine", {"peft_type": "LORA", "r": 8}, 8)
    assert found.protocol(Protocol()) == replace(
        Protocol(), gradient_checkpointing=True, optimizer="sgd", learning_rate=1e-3, max_grad_norm=2.0
    )
    assert json.loads(json.dumps(found.as_dict()))["adapter"] == found.adapter


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            entry(adaptor="{}"),
            "variant 'mine' in {path} has the unknown key 'adaptor': the keys are name, adapter, base, training",
        ),
        (entry(name=None), "variant 1 in {path} lacks the key 'name'"),
        (
            entry(base="{ load_in_4bits = true }"),
            "settings with load_in_4bit = true or load_in_8bit",
        ),
        (
            entry(base="{ load_in_4bit = false }"),
            "settings with load_in_4bit = true or load_in_8bit",
        ),
        (
            entry(adapter=None, base="{ load_in_8bit = true }"),
            "weights cannot be trained, so give it an adapter",
        ),
        (entry(adapter="{ r = 8 }"), "a table of a peft configuration's settings with peft_type, such as"),
        (entry(adapter='"LORA"'), "a table of a peft configuration's settings with peft_type, such as"),
        (entry(name='"r16/x"'), "letters, digits, '.', '_' and '-' alone, 60 at most, and not 'inference'"),
        (entry(name='"inference"'), "and not 'inference'"),
        (entry(name='"-r16"'), "letters, digits"),
        (entry(name=f'"{"r" * 61}"'), "60 at most"),
        (
            entry(training="{ gradient_checkpoint = true }"),
            "these settings of TrainingArguments: per_device_train_batch_size, gradient_acc",
        ),
        (entry(training="{ gradient_checkpointing = 5 }"), "gradient_checkpointing"),
        (entry() + entry(name='"MINE"'), "has 'mine' more than once: give each variant its own name"),
        ("", "variant"),
        ("[[variant]]\nname = ", "variants.toml"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(written, tmp_path, text, says):
    with pytest.raises(InputError) as told:
        written(text)
    assert says.format(path=tmp_path / "variants.toml") in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        read_variants(tmp_path / "none.toml")


def test_variants_come_in_the_order_they_are_asked_for():
    assert [each.name for each in select_variants(SHIPPED, " r64, r16-dora ,r16")] == ["r64", "r16-dora", "r16"]


@pytest.mark.parametrize("name", ["r17", "", "R16", "r16 dora"])
def test_an_unknown_variant_is_told_with_those_there_are(name):
    with pytest.raises(InputError, match=r"variant .* is unknown: choose with --variants among r16, r32, r64, r16-"):
        select_variants(SHIPPED, f"r16,{name}")


def test_a_variant_asked_for_twice_is_refused():
    with pytest.raises(InputError, match="--variants r16, r16 names a variant more than once: name it once"):
        select_variants(SHIPPED, "r16, r16")


@pytest.mark.parametrize(
    ("ranks", "names"), [("16", ["r16"]), ("64,16", ["r64", "r16"]), (" 8 , 9999", ["r8", "r9999"]), ("1", ["r1"])]
)
def test_ranks_are_short_for_variants(ranks, names):
    found = variants_of_ranks(SHIPPED, ranks)
    assert [each.name for each in found] == names
    assert all(each == BY_NAME.get(each.name, lora(each.rank)) for each in found)


def test_a_rank_stands_for_what_a_file_has_under_its_name():
    own = Variant("r16", {"peft_type": "LORA", "r": 16, "lora_alpha": 32})
    assert variants_of_ranks([own], "16,32") == (own, lora(32))


@pytest.mark.parametrize(
    "ranks",
    [
        "",
        ",",
        "16,",
        "0",
        "-16",
        "16.0",
        "r16",
        "1e2",
        "016",
        "10000",
        "16,16",
        "16, 16 ",
        "9" * 5000,
        "\uff11\uff16",
        "16;32",
    ],
)
def test_anything_else_is_no_rank(ranks):
    with pytest.raises(InputError) as told:
        variants_of_ranks(SHIPPED, ranks)
    assert str(told.value).endswith("must be different whole numbers from 1 to 9999, such as 16,32,64")
    assert len(str(told.value)) < 200


@given(st.lists(st.integers(1, 9999), min_size=1, max_size=5, unique=True))
def test_every_list_of_different_ranks_is_read(ranks):
    assert [each.rank for each in variants_of_ranks((), ",".join(map(str, ranks)))] == ranks


DORA = [Variant(f"d{rank}", {"peft_type": "LORA", "r": rank, "use_dora": True}) for rank in (8, 16, 32)]
SLOW = replace(lora(24), training={"gradient_checkpointing": True})


def test_variants_that_differ_in_rank_alone_are_alike():
    session = (lora(64), DORA[1], lora(16), DORA[0], lora(32), IA3, SLOW)
    assert by_rank(lora(32), session) == [lora(16), lora(32), lora(64)]
    assert by_rank(DORA[0], session) == DORA[:2]
    assert by_rank(IA3, session) == []
    assert ends_of(lora(32), session) == (lora(16), lora(64))
    assert (
        ends_of(lora(16), session)
        is ends_of(DORA[0], session)
        is ends_of(IA3, session)
        is ends_of(SLOW, session)
        is None
    )


@pytest.fixture(scope="module")
def small():
    return load(CANDIDATES["FinguAI-Chat-v1"], SOURCE, texts_for("FinguAI-Chat-v1"))


def attached(small, variant, protocol=SHORT):
    return attach_adapter(small.model, variant, small.candidate.target_modules, protocol)


@pytest.mark.parametrize(
    "variant",
    [*map(BY_NAME.get, ("r16", "r16-dora", "r16-rslora", "r16-all-linear", "r16-adamw8bit", "ia3"))],
    ids=lambda variant: variant.name,
)
def test_a_variant_trains_its_own_adapter_and_leaves_the_base_as_it_was(small, variant):
    before = {name: weight.clone() for name, weight in small.model.state_dict().items()}
    adapted = attached(small, variant)
    config = adapted.peft_config["default"]
    assert config.peft_type.value == variant.adapter["peft_type"]
    assert all(
        getattr(config, name) == value
        for name, value in variant.adapter.items()
        if name not in ("feedforward_modules", "target_modules")
    )
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert 0 < trainable_parameters(adapted) == trained < sum(p.numel() for p in small.model.parameters())
    tuned = fine_tune(adapted, small.tokenizer, examples_for(small), variant.protocol(SHORT), lambda: None)
    detach_adapter(adapted)
    assert len(tuned.losses) == SHORT.steps
    after = small.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not hasattr(small.model, "peft_config")


def test_dora_trains_more_than_lora_and_ia3_less(small):
    counts = []
    for variant in (IA3, BY_NAME["r16"], BY_NAME["r16-dora"]):
        adapted = attached(small, variant)
        counts.append(trainable_parameters(adapted))
        detach_adapter(adapted)
    assert counts == sorted(set(counts))


def test_what_a_variant_leaves_out_comes_from_the_protocol_and_what_it_says_goes_before(small):
    for adapter, alpha in (({}, 16), ({"lora_alpha": 64}, 64)):
        adapted = attached(small, Variant("x", {"peft_type": "LORA", "r": 4, **adapter}))
        config = adapted.peft_config["default"]
        detach_adapter(adapted)
        assert (config.r, config.lora_alpha, config.lora_dropout) == (4, alpha, 0.05)
    chosen = Variant("x", {"peft_type": "LORA", "r": 4, "target_modules": ["o_proj"]})
    adapted = attached(small, chosen)
    config = adapted.peft_config["default"]
    detach_adapter(adapted)
    assert set(config.target_modules) == {"o_proj"}


def test_checkpointing_is_a_training_setting_of_a_variant(small):
    variant = BY_NAME["r16-checkpointing"]
    protocol = variant.protocol(SHORT)
    adapted = attached(small, variant, protocol)
    args = make_trainer(adapted, small.tokenizer, examples_for(small), protocol, lambda: None).args
    assert getattr(args, "activation_checkpointing", None) or args.gradient_checkpointing
    fine_tune(adapted, small.tokenizer, examples_for(small), protocol, lambda: None)
    detach_adapter(adapted)
    assert not small.model.is_gradient_checkpointing


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        (
            {"peft_type": "LORA", "rank": 8},
            r"variant x has the unknown adapter key rank: peft's .* has alora.* use_dora",
        ),
        ({"peft_type": "LORRA", "r": 8}, r"variant x .*peft_type.*IA3.*LORA"),
        ({"peft_type": "LORA", "r": 0}, r"^variant x.*r"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}, r"^variant x .*PROMPT_TUNING.*no adapter on modules"),
        ({"peft_type": "LORA", "r": 8, "target_modules": ["nowhere"]}, r"^variant x.*nowhere"),
    ],
)
def test_what_peft_does_not_know_or_refuses_is_told_with_what_there_is(small, adapter, says):
    with pytest.raises(CandidateError, match=says) as told:
        attached(small, Variant("x", adapter))
    assert "\n" not in str(told.value)
    detach_adapter(attached(small, lora(4)))  # and the model is as good as before


def test_a_misspelt_key_is_named_before_the_one_that_is_missing(tmp_path):
    path = tmp_path / "variants.toml"
    path.write_text('[[variant]]\nname = "mine"\nadaptor = { peft_type = "LORA" }\n', encoding="utf-8")
    with pytest.raises(InputError, match="has the unknown key 'adaptor': the keys are name, adapter, base, training"):
        read_variants(path)


def test_every_weight_is_trained_where_there_is_no_adapter(small):
    full = BY_NAME["full"]
    own = load(small.candidate, SOURCE, texts_for(small.candidate.name))
    before = {name: weight.clone() for name, weight in own.model.named_parameters()}
    protocol = replace(full.protocol(SHORT), learning_rate=0.01)
    model = attach_adapter(own.model, full, (), protocol)
    assert trainable_parameters(model) == own.parameters
    fine_tune(model, own.tokenizer, examples_for(own), protocol, lambda: None).end()
    detach_adapter(model)
    assert all(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert all(weight.grad is None for weight in model.parameters())


def test_gradients_of_single_rows_add_up_to_those_of_the_batch(small):
    losses = []
    for name in ("r16", "r16-accumulation"):
        protocol = BY_NAME[name].protocol(replace(SHORT, lora_dropout=0.0))
        adapted = attached(small, BY_NAME[name], protocol)
        losses.append(fine_tune(adapted, small.tokenizer, examples_for(small), protocol, lambda: None).losses)
        detach_adapter(adapted)
    assert len(losses[0]) == len(losses[1]) == SHORT.steps
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize("name", ["r16-qlora", "r16-int8"])
def test_an_adapter_on_a_quantised_base_learns_and_leaves_the_base_as_it_was(name):
    variant = BY_NAME[name]
    candidate = CANDIDATES["FinguAI-Chat-v1"]
    own = load(candidate, SOURCE, texts_for(candidate.name), variant.base)
    plain = load(candidate, SOURCE, texts_for(candidate.name))
    assert (own.base, own.parameters) == (variant.base, plain.parameters)
    before = {name: weight.clone() for name, weight in own.model.named_parameters()}
    adapted = attached(own, variant)
    assert {each.dtype for each in adapted.parameters() if each.requires_grad} == {torch.float32}
    tuned = fine_tune(adapted, own.tokenizer, examples_for(own), SHORT, lambda: None)
    detach_adapter(adapted)
    assert len(tuned.losses) == SHORT.steps
    assert all(torch.equal(weight, before[name]) for name, weight in own.model.named_parameters())
