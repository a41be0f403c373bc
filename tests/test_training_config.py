"""`--training-config`: somebody's own set-up as a protocol and a variant."""

import json
from dataclasses import fields, replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made import flat_records, made
from test_wrong_input import refused

from conftest import at_most
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.base.yaml_files import MOST_YAML_BYTES
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.protocol import Protocol, with_settings
from ohlora_fixtures.inputs.training_config import _LORA_BY_DEFAULT, _TRAINER, read_training_config
from ohlora_fixtures.inputs.variants import Variant, read_variants

SHIPPED = {each.name: each for each in read_variants(DATA / "variants.toml")}
TRAINER = {
    "batch_size": 8,
    "epochs": 3,
    "gradient_accumulation_steps": 1,
    "learning_rate": 5e-5,
    "optimizer": "adamw_torch_fused",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
}
AXOLOTL = {
    "base_model": "Qwen/Qwen3-0.6B",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 32,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "lora_target_modules": ["q_proj", "v_proj"],
    "sequence_len": 4096,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "num_epochs": 1,
    "optimizer": "paged_adamw_8bit",
    "learning_rate": "2e-4",
    "gradient_checkpointing": True,
    "bf16": "auto",
    "tf32": False,
}
PEFT = {"peft_type": "LORA", "r": 8, "lora_alpha": 32, "lora_dropout": 0.1, "target_modules": ["v_proj", "q_proj"]}
LORA = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "lora_dropout": 0.0, "init_lora_weights": True}


@pytest.fixture
def read(tmp_path):
    """Reads files, each by its name as its settings or its text."""

    def run(**files):
        paths = []
        for name, content in files.items():
            path = tmp_path / name.replace("_yaml", ".yaml").replace("_json", ".json")
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
            paths.append(path)
        return read_training_config(paths)

    return run


def protocol_of(found):
    return with_settings(Protocol(), found.protocol)


def test_training_arguments_are_a_protocol_with_their_librarys_defaults(read):
    found = read(
        mine_yaml="output_dir: out\nper_device_train_batch_size: 2\nnum_train_epochs: 4.0\nlearning_rate: 1e-4\n"
    )
    assert found.variant is None
    assert protocol_of(found) == replace(Protocol(), **TRAINER | {"batch_size": 2, "epochs": 4, "learning_rate": 1e-4})
    assert "mine.yaml (TrainingArguments): batch_size 2; epochs 4; learning_rate 1e-4; " in found.told[0]
    assert "optimizer adamw_torch_fused (default)" in found.told[0]
    assert found.told[1] == "training config, not used: without effect on memory: output_dir"


def test_what_is_left_out_is_as_the_installed_libraries_have_it():
    from peft import LoraConfig
    from transformers import TrainingArguments

    theirs = {each.name: each.default for each in fields(TrainingArguments)}
    assert {
        name: theirs[key] or False for key, name in _TRAINER.items() if name in TRAINER and key in theirs
    } == TRAINER
    lora = LoraConfig()
    assert {name: getattr(lora, name) for name in _LORA_BY_DEFAULT} == _LORA_BY_DEFAULT


def test_nothing_given_changes_nothing():
    assert read_training_config([]).protocol == {}
    assert (read_training_config([]).variant, read_training_config([]).told) == (None, ())


def test_an_sft_config_has_defaults_of_its_own_and_may_bring_an_adapter(read):
    sft = {"packing": False, "num_train_epochs": 1, "model_name_or_path": "Qwen/Qwen3-0.6B"}
    found = protocol_of(read(sft_json=sft))
    assert (found.learning_rate, found.gradient_checkpointing, found.max_row_tokens) == (2e-5, True, 1024)
    assert protocol_of(read(sft_json=sft | {"max_length": None})).max_row_tokens == 10**6
    tuned = read(sft_json=sft | {"use_peft": True, "lora_r": 4, "load_in_4bit": True})
    assert tuned.variant == Variant(
        "config",
        {**LORA, "r": 4, "lora_alpha": 32, "lora_dropout": 0.05},
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"},
    )
    assert tuned.told[-1].endswith("it was made for Qwen/Qwen3-0.6B, which --model Qwen/Qwen3-0.6B runs")


def test_an_adapter_config_is_a_variant(read):
    saved = {"task_type": "CAUSAL_LM", "inference_mode": True, "loftq_config": {}, "rank_pattern": {}, "revision": None}
    found = read(adapter_config_json=PEFT | saved)
    assert found.protocol == {}
    assert found.variant == Variant("config", {**LORA, **PEFT, "target_modules": ["q_proj", "v_proj"]})
    assert len(found.told) == 1
    ia3 = read(adapter_config_json={"peft_type": "IA3", "target_modules": "all-linear"})
    assert ia3.variant == Variant("config", {"peft_type": "IA3", "target_modules": "all-linear"})


def test_axolotls_common_keys_are_both(read):
    found = read(qlora_yaml=yaml.safe_dump(AXOLOTL | {"sample_packing": True, "warmup_ratio": 0.1}))
    own = {"batch_size": 2, "epochs": 1, "gradient_accumulation_steps": 4, "optimizer": "paged_adamw_8bit"}
    own |= {"learning_rate": 2e-4, "gradient_checkpointing": True, "max_row_tokens": 4096}
    assert protocol_of(found) == replace(Protocol(), **own)
    assert found.variant == Variant(
        "config",
        {**LORA, "r": 32, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]},
        SHIPPED["r16-qlora"].base,
    )
    assert found.told[1] == "training config, not used: sample_packing; without effect on memory: warmup_ratio"


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        (
            {
                "adapter": "lora",
                "load_in_4bit": None,
                "load_in_8bit": True,
                "lora_target_modules": [],
                "lora_target_linear": True,
            },
            Variant(
                "config",
                {**LORA, "r": 32, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": "all-linear"},
                {"load_in_8bit": True},
            ),
        ),
        ({"adapter": "", "load_in_4bit": False}, Variant("config")),
        ({"adapter": None, "load_in_4bit": False}, Variant("config")),
    ],
)
def test_axolotls_adapters(read, changes, variant):
    assert read(it_yaml=AXOLOTL | changes).variant == variant


def test_lora_keys_of_a_full_run_are_told(read):
    assert "lora_r" in read(it_yaml=AXOLOTL | {"adapter": "", "load_in_4bit": False}).told[1]


def test_two_files_make_one_set_up(read):
    found = read(arguments_yaml={"num_train_epochs": 1, "seed": 7}, adapter_config_json=PEFT)
    assert (protocol_of(found).epochs, protocol_of(found).seed, found.variant.rank) == (1, 7, 8)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a_yaml": ""}, "a.yaml is no table of settings"),
        ({"a_yaml": "[1]"}, "a.yaml is no table of settings"),
        ({"a_yaml": "1: 2"}, "a.yaml is no table of settings"),
        ({"a_json": "{"}, "a.json is not valid YAML or JSON: Expecting property name"),
        ({"a_yaml": "a: &x 1\nb: *x"}, "is not valid YAML or JSON: an alias"),
        ({"a_yaml": "a: !!python/object/apply:os.getcwd []"}, "could not determine a constructor"),
        ({"a_yaml": "a" * (MOST_YAML_BYTES + 1)}, "it is larger than"),
        ({"a_json": "{}"}, "it has no key"),
        ({"a_yaml": "peft_type: LORA\nr: 2026-01-01"}, "Object of type date is not JSON serializable"),
        ({"a_yaml": {"colour": "red"}}, "is none of TrainingArguments, SFTConfig, adapter_config.json and axolotl"),
        ({"a_yaml": {"num_train_epochs": 2.5}}, "cannot be run: protocol setting epochs='2.5' needs a whole number"),
        ({"a_yaml": {"num_train_epochs": 0}}, "epochs='0' needs a whole number from 1 to 10,000"),
        ({"a_yaml": {"per_device_train_batch_size": 10**9}}, "batch_size='1000000000' needs a whole number"),
        ({"a_yaml": {"learning_rate": "fast"}}, "learning_rate='fast' needs a finite number"),
        ({"a_yaml": {"learning_rate": float("inf")}}, "learning_rate='inf' needs a finite number"),
        ({"a_yaml": AXOLOTL | {"gradient_checkpointing": "unsloth"}}, "gradient_checkpointing='unsloth' needs true or"),
        ({"a_yaml": AXOLOTL | {"adapter": "llama-adapter"}}, "adapter = 'llama-adapter', which must be lora, qlora or"),
        (
            {"a_yaml": AXOLOTL | {"load_in_4bit": False}},
            "must have both adapter: qlora and load_in_4bit: true, or none",
        ),
        ({"a_yaml": AXOLOTL | {"adapter": "lora"}}, "must have both adapter: qlora and load_in_4bit: true, or none"),
        ({"a_yaml": AXOLOTL | {"lora_r": None}}, "has a LoRA adapter and no lora_r: add its rank"),
        ({"a_yaml": AXOLOTL | {"adapter": "", "load_in_4bit": 0, "load_in_8bit": 1}}, "base and no adapter"),
        ({"a_json": {"peft_type": 3}}, "adapter = {'peft_type': 3}, which must be a table of a peft"),
        (
            {"a_json": {"text_template": "", "max_row_tokens": 9, "quantization": 3}},
            "has quantization = 3, which must be",
        ),
        (
            {"a_yaml": {"num_train_epochs": 1}, "b_yaml": {"num_train_epochs": 2}},
            "b.yaml have epochs 1 and 2: leave one of them",
        ),
        ({"a_json": PEFT, "b_json": PEFT | {"r": 9}}, "b.json have adapter "),
    ],
)
def test_what_cannot_be_run_is_told_in_one_sentence(read, files, says):
    with pytest.raises(InputError) as raised:
        read(**files)
    assert says in str(raised.value)
    assert len(str(raised.value)) <= 400


def test_a_file_that_is_not_there_and_a_folder_without_any(tmp_path):
    with pytest.raises(
        InputError, match=r"none.yaml cannot be read \(No such file or directory\): give a YAML or JSON"
    ):
        read_training_config([tmp_path / "none.yaml"])
    with pytest.raises(
        InputError, match=r"is a folder without adapter_config.json, training_arguments.yaml, recipe.json"
    ):
        read_training_config([tmp_path])


KEYS = st.sampled_from([*AXOLOTL, *PEFT, "num_train_epochs", "use_peft", "max_length", "quantization", "text_template"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["lora", "qlora", "LORA"]),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(max_size=3), each, max_size=2),
    max_leaves=4,
)


@at_most(100)
@given(st.lists(st.dictionaries(KEYS, VALUES), min_size=1, max_size=2))
def test_whatever_a_file_says_ends_in_a_set_up_or_a_sentence(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("any")
    for number, content in enumerate(contents):
        (folder / f"{number}.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        found = read_training_config(sorted(folder.iterdir()))
    except InputError:
        return
    protocol_of(found)


@pytest.mark.parametrize(
    "name", ["r16", "r16-dora", "r16-checkpointing", "r16-accumulation", "r16-qlora", "ia3", "full"]
)
def test_what_recipe_writes_is_read_back(name, tmp_path):
    from ohlora_fixtures.commands.recipe import write
    from ohlora_fixtures.workloads.fine_tuning import adapter_config

    candidate = next(each for each in read_candidates(DATA / "candidates.toml") if each.name == "FinguAI-Chat-v1")
    variant, protocol = SHIPPED[name], Protocol(epochs=2, learning_rate=3e-5, max_row_tokens=300, seed=7)
    record = made(candidate.name, name, protocol=protocol.as_dict())
    record = replace(record, experiment=replace(record.experiment, variant=variant.as_dict()))
    write(tmp_path, candidate, record)
    found = read_training_config([tmp_path])
    rows = {"fine_tuning_rows": protocol.fine_tuning_rows, "prompt_rows": protocol.prompt_rows}
    assert replace(protocol_of(found), **rows) == variant.protocol(protocol)
    assert found.variant.base == variant.base
    if not variant.adapter:
        assert found.variant.adapter == {}
    else:
        ours, back = (adapter_config(each, candidate.target_modules, protocol) for each in (variant, found.variant))
        back.base_model_name_or_path = ours.base_model_name_or_path
        assert {**back.to_dict(), "target_modules": None} == {**ours.to_dict(), "target_modules": None}
        assert set(back.target_modules) == set(ours.target_modules)
    assert not any("not used: " in line and "without effect" not in line for line in found.told)


def test_a_session_plans_it(suite, tiny):
    (suite.path / "arguments.yaml").write_text("per_device_train_batch_size: 2\nnum_train_epochs: 1\npacking: true\n")
    (suite.path / "adapter_config.json").write_text(json.dumps(PEFT))
    options = ("benches", "-k", "plan", "--candidates", tiny(), "--results-dir", "it")
    both = "arguments.yaml,adapter_config.json"
    result = suite.runpytest_subprocess(*options, "--training-config", both, "--protocol", "epochs=2")
    result.assert_outcomes(passed=2, deselected=2)
    assert "training config, not used: packing" in result.outlines
    tuned = next(each for each in flat_records(suite.path / "it") if each["variant"])
    assert tuned["case"] == "bench_plan[tiny-config]"
    assert (tuned["protocol"]["batch_size"], tuned["protocol"]["epochs"]) == (2, 2)
    assert tuned["protocol"]["optimizer"] == "adamw_torch_fused"


def test_a_session_with_one_that_cannot_be_run_ends_before_it_begins(suite):
    refused(suite.runpytest("benches", "--training-config", "none.yaml"), "none.yaml cannot be read")


def test_it_runs_beside_variants_that_are_named(suite):
    (suite.path / "adapter_config.json").write_text(json.dumps(PEFT))
    chosen = ("benches", "--collect-only", "-q", "-k", "plan and llama", "--training-config", "adapter_config.json")

    def ids(*more):
        return [line.partition("::")[2] for line in suite.runpytest(*chosen, *more).outlines if "::" in line]

    assert ids() == ["bench_plan[llama1B-inference]", "bench_plan[llama1B-config]"]
    assert ids("--variants", "r32,config")[1:] == ["bench_plan[llama1B-r32]", "bench_plan[llama1B-config]"]
    assert ids("--lora-ranks", "2")[1:] == ["bench_plan[llama1B-r2]"]
