"""Replicas: the architecture's own class at a size that trains on a CPU, whatever its settings are called."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig

from ohlora_fixtures.base.errors import CandidateError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.workloads.fine_tuning import attach_adapter
from ohlora_fixtures.workloads.models import ModelSource, accepted_by_peft, build_on_meta, load, outline
from ohlora_fixtures.workloads.replicas import MOST_PARAMETERS, mini_architecture

SOURCE = ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=0)
CANDIDATE = read_candidates(DATA / "candidates.toml")[0]
TEXTS = ["안녕? 나는 오로라야.", "하나 둘 셋 넷"] * 20


@pytest.fixture
def candidate(tmp_path):
    """Makes a candidate of a config.json's settings."""

    def make(**settings):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return replace(CANDIDATE, name="mine", config=path)

    return make


def test_a_replica_keeps_the_ratio_of_heads():
    mini = mini_architecture({"num_attention_heads": 8, "num_key_value_heads": 1, "hidden_size": 2048}, 999, 0)
    assert (mini["num_attention_heads"], mini["num_key_value_heads"]) == (2, 1)
    assert mini["vocab_size"] == 999
    assert "intermediate_size" not in mini


def test_null_for_key_value_heads_stands_for_as_many_as_there_are_heads():
    assert mini_architecture({"num_attention_heads": 8, "num_key_value_heads": None}, 9, 0)["num_key_value_heads"] == 2


def test_what_is_said_of_each_layer_is_said_of_the_kept_ones_and_each_kind_is_kept():
    mini = mini_architecture(
        {
            "num_hidden_layers": 6,
            "layer_types": ["conv", "conv", "full", "conv", "conv", "full"],
            "intermediate_size": [8192] * 6,
            "pattern": "MM*MM*",
            "attn_layer_indices": [2, 5],
            "per_layer_config": {"2": {"rope": 1}, "4": {"rope": 2}},
        },
        9,
        0,
    )
    assert mini["num_hidden_layers"] == 2
    assert mini["layer_types"] == ["conv", "full"]
    assert mini["intermediate_size"] == [64, 64]
    assert (mini["pattern"], mini["attn_layer_indices"]) == ("M*", [1])
    assert mini["per_layer_config"] == {"1": {"rope": 1}}


def test_layers_that_are_all_alike_are_two():
    mini = mini_architecture({"num_hidden_layers": 6, "layer_types": ["full"] * 6}, 9, 0)
    assert (mini["num_hidden_layers"], mini["layer_types"]) == (2, ["full"] * 2)


def test_stacks_of_layers_stay_as_many():
    mini = mini_architecture({"num_hidden_layers": 128, "num_layers_per_stack": 16}, 9, 0)
    assert (mini["num_hidden_layers"], mini["num_layers_per_stack"]) == (8, 1)


def test_settings_that_depend_on_one_another_stay_so():
    mini = mini_architecture(
        {
            "hidden_size": 2048,
            "num_expert_group": 8,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "qk_head_dim": 192,
            "rope_parameters": {"sliding": {"rope_type": "default", "rope_theta": 1.0}, "full": None},
        },
        9,
        0,
    )
    assert mini["num_expert_group"] == 1
    assert mini["qk_head_dim"] == mini["qk_nope_head_dim"] + mini["qk_rope_head_dim"]
    assert mini["rope_parameters"] == {"sliding": {"rope_type": "default", "rope_theta": 1.0}, "full": None}


@pytest.mark.parametrize("kind", ["llama4_text", "phimoe"])
def test_no_router_to_experts_is_a_target(candidate, kind):
    mini = candidate(**mini_architecture(AutoConfig.for_model(kind).to_dict(), 99, 0))
    assert "q_proj" in outline(mini).linear_names
    assert "router" not in outline(mini).linear_names


KINDS = [
    "deepseek_v3", "falcon_h1", "gemma3", "gemma3n_text", "gpt2", "gpt_oss", "jamba", "lfm2", "mamba", "mpt",
    "nemotron_h", "phi3", "qwen3_5", "qwen3_moe", "recurrent_gemma", "rwkv", "smollm3", "zamba2",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_its_settings_are_called_an_architecture_has_a_small_replica_that_trains(candidate, kind):
    loaded = load(candidate(model_type=kind), SOURCE, TEXTS)
    assert loaded.parameters < MOST_PARAMETERS
    ids = torch.tensor([loaded.tokenizer(TEXTS[0])["input_ids"]])
    loaded.model.train()(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    ids = loaded.model.eval().generate(ids, max_new_tokens=2, do_sample=False)
    assert ids.shape[1] == len(loaded.tokenizer(TEXTS[0])["input_ids"]) + 2


def test_an_architecture_that_stays_large_has_no_replica(candidate, monkeypatch):
    monkeypatch.setattr("ohlora_fixtures.workloads.models.MOST_PARAMETERS", 1000)
    with pytest.raises(CandidateError, match=r"mine has no small replica \([\d,]+ parameters remain\): plan it, or"):
        load(candidate(model_type="llama", num_hidden_layers=2), SOURCE, TEXTS)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model_type": "roberta"}, "mine is roberta, which writes no text: take a causal language model"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "mine is BertForMaskedLM, which writes"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "Classification, which writes"),
        (
            {"model_type": "telechat9", "auto_map": {"AutoModelForCausalLM": "modeling.Model"}},
            r"mine is telechat9, which transformers [\d.]+ lacks and Python code of its repository builds: it is",
        ),
        (
            {"model_type": "lama"},
            r"mine is lama, which transformers [\d.]+ does not have: update transformers, or",
        ),
        (
            {"model_type": "llama", "quantization_config": {"quant_method": "awq"}},
            r"mine's config\.json has a quantization_config \(awq\): its weights are quantized",
        ),
    ],
)
def test_what_is_no_causal_language_model_in_bf16_is_refused(candidate, settings, says):
    for look in (outline, lambda found: load(found, SOURCE, TEXTS)):
        with pytest.raises(CandidateError, match=says):
            look(candidate(num_hidden_layers=1, **settings))


@pytest.mark.parametrize("kind", ["mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h", "zamba2", "llama"])
def test_no_target_is_proposed_that_peft_refuses(candidate, kind):
    mini = mini_architecture(AutoConfig.for_model(kind).to_dict(), 99, 0)
    mini = candidate(**{name: value for name, value in mini.items() if name != "time_step_limit"})  # infinity
    targets = accepted_by_peft(mini, outline(mini).linear_names)
    assert targets
    assert not any(name.isdigit() for name in targets)
    assert ("out_proj" in targets) == (kind == "zamba2")


def test_no_target_is_proposed_that_peft_takes_for_experts_weights_and_refuses_with_dropout(candidate):
    mini = candidate(**mini_architecture(AutoConfig.for_model("afmoe").to_dict(), 99, 0))
    targets = accepted_by_peft(mini, outline(mini).linear_names)
    adapted = attach_adapter(build_on_meta(mini), lora(8), targets, Protocol(lora_dropout=0.05))
    assert {name.rpartition(".")[2] for name in adapted.targeted_module_names} == set(targets)
