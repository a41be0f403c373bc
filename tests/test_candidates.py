import json

import pytest

from ohlora_fixtures.base.errors import CandidateError, InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates, select_group
from ohlora_fixtures.workloads.models import outline

TRAINABLE_PARAMETERS = {
    "gemma-2-2b-it": (20766720, 41533440, 83066880),
    "koquality-polyglot-1.3b": (3145728, 6291456, 12582912),
    "gemma-ko-v01": (19611648, 39223296, 78446592),
    "polyglot-ko-1.3b": (3145728, 6291456, 12582912),
    "llama1B": (11272192, 22544384, 45088768),
    "KoAlpaca-KoRWKV-1.5B": (14155776, 28311552, 56623104),
    "FinguAI-Chat-v1": (7569408, 15138816, 30277632),
}
"""The study's figures at full size, for ranks 16, 32 and 64."""

OURS = read_candidates(DATA / "candidates.toml")
SEED = select_group(OURS, "seed")


MODERN = select_group(OURS, "modern")
FACTS = {
    "kanana-1.5-2.1b-instruct-2505": (2086984704, True),
    "Midm-2.0-Mini-Instruct": (2305517312, True),
    "HyperCLOVAX-SEED-Text-Instruct-0.5B": (566281216, False),
    "HyperCLOVAX-SEED-Text-Instruct-1.5B": (1585547264, False),
    "EXAONE-4.0-1.2B": (1279391488, False),
    "gemma-3-1b-it": (999885952, False),
    "Qwen2.5-0.5B-Instruct": (494032768, True),
    "Qwen2.5-1.5B-Instruct": (1543714304, True),
    "Qwen3-0.6B": (596049920, True),
    "Qwen3-1.7B": (1720574976, True),
    "Qwen3.5-0.8B": (752393024, True),
    "Qwen3.5-2B": (1881825088, True),
    "gemma-3-270m-it": (268098176, False),
    "LFM2-350M": (354483968, False),
    "LFM2-700M": (742489344, False),
    "LFM2-1.2B": (1170340608, False),
    "granite-4.0-350m": (352379904, True),
    "granite-4.0-1b": (1631750144, True),
    "SmolLM3-3B": (3075098624, True),
    "llama-3.2-Korean-Bllossom-3B": (3212749824, False),
}
"""Of the modern twenty: parameters, and whether the licence is free."""


def test_the_modern_group_is_twenty_and_says_what_of_them_is_not_verified():
    assert {each.name: (each.parameters, each.free_license) for each in MODERN} == FACTS
    unverified = {each.name: each.unverified for each in MODERN if each.unverified}
    assert {name: words.partition(":")[0] for name, words in unverified.items()} == {
        "HyperCLOVAX-SEED-Text-Instruct-0.5B": "its architecture, and so its size, is from memory",
        "HyperCLOVAX-SEED-Text-Instruct-1.5B": "its architecture, and so its size, is from memory",
        "Qwen3.5-0.8B": "Korean",
        "Qwen3.5-2B": "Korean",
        "SmolLM3-3B": "Korean",
    }


@pytest.mark.parametrize("candidate", OURS, ids=lambda candidate: candidate.name)
def test_it_is_told_where_each_licence_is_read_and_each_benchmark(candidate):
    assert candidate.license_source.startswith("https://")
    assert candidate.license_evidence
    assert bool(candidate.korean_benchmark) == bool(candidate.korean_benchmark_source)


def test_the_seed_group_is_the_studys_seven():
    assert [candidate.name for candidate in SEED] == list(TRAINABLE_PARAMETERS)


@pytest.mark.parametrize("candidate", OURS, ids=lambda candidate: candidate.name)
def test_parameters_are_those_of_the_architecture(candidate):
    if candidate.name.startswith("kanana"):
        with pytest.raises(CandidateError, match=r"kanana.* cannot be built: .*not a multiple"):
            outline(candidate)
    else:
        assert outline(candidate).parameters == candidate.parameters


@pytest.mark.parametrize("candidate", SEED, ids=lambda candidate: candidate.name)
def test_trainable_parameters_at_full_size_are_the_studys(candidate):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ohlora_fixtures.inputs.protocol import Protocol
    from ohlora_fixtures.inputs.variants import lora
    from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter, trainable_parameters

    counts = []
    settings = {key: value for key, value in candidate.architecture().items() if key != "torch_dtype"}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
        for rank in (16, 32, 64):
            adapted = attach_adapter(model, lora(rank), candidate.target_modules, Protocol())
            counts.append(trainable_parameters(adapted))
            detach_adapter(adapted)
    assert tuple(counts) == TRAINABLE_PARAMETERS[candidate.name]


def test_group_all_is_every_candidate():
    assert select_group(OURS, "all") == OURS


def test_an_unknown_group_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="'best' is unknown: choose with --candidate-group among all, modern, seed"):
        select_group(OURS, "best")


def test_a_users_own_file_is_read_relative_to_itself(write_candidates, tmp_path):
    (candidate,) = read_candidates(write_candidates())
    assert candidate.config == tmp_path / "configs" / "small.json"
    assert candidate.leaderboard_average is None
    assert not candidate.remote_code


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"korean": None}, "candidate 'small' in .* lacks the key 'korean'"),
        ({"name": None}, "candidate 1 in .* lacks the key 'name'"),
        ({"colour": "red"}, "has the unknown key 'colour': the keys are name, group"),
        ({"parameters": "many"}, "parameters = 'many', which must be a whole number above 0"),
        ({"parameters": True}, "must be a whole number above 0"),
        ({"free_license": "yes"}, "must be true or false"),
        ({"korean": "fluent"}, "must be 'supported', 'specialised', 'no' or 'unknown'"),
        ({"name": "../up"}, "must be letters, digits"),
        ({"target_modules": []}, "must be a list of module names"),
        ({"text_template": "{input} only"}, r"must be a text with \{input\} and then \{output\}"),
        ({"leaderboard_average": -1}, "must be a number above 0"),
        ({"repo": " "}, "must be a non-empty text"),
        ({"unverified": True}, "must be a non-empty text"),
        ({"config": "configs/none.json"}, r"names the architecture .*none\.json, which does not exist"),
        ({"config": "candidates.toml"}, "which cannot be read as JSON"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused(write_candidates, changes, says):
    with pytest.raises(InputError, match=says):
        read_candidates(write_candidates(**changes))


def test_a_config_without_a_model_type_is_refused(write_candidates, tmp_path):
    path = write_candidates()
    (tmp_path / "configs" / "small.json").write_text('{"hidden_size": 64}')
    with pytest.raises(InputError, match="lacks the field 'model_type'"):
        read_candidates(path)


@pytest.mark.parametrize(
    ("absurd", "says"),
    [
        ({"num_hidden_layers": 10**6}, "whose num_hidden_layers is more than 1,000: correct that number"),
        ({"text_config": {"n_layer": 10**6}}, "whose n_layer is more than 1,000"),
        ({"layer_types": ["full_attention"] * 1001}, "whose layer_types is more than 1,000"),
        ({"num_labels": 10**8}, "whose num_labels is more than 100,000"),
        ({"vocab_size": 10**400}, "whose vocab_size is more than 2,147,483,648"),
    ],
)
def test_an_absurd_architecture_is_refused_before_it_is_built(write_candidates, tmp_path, absurd, says):
    path = write_candidates()
    (tmp_path / "configs" / "small.json").write_text(json.dumps({"model_type": "llama"} | absurd))
    with pytest.raises(InputError, match=says):
        read_candidates(path)


@pytest.mark.parametrize("text", ["", "title = 'x'", "candidate = 'x'", "candidate = []", "candidate = ['x']"])
def test_a_file_without_candidate_tables_is_refused(tmp_path, text):
    path = tmp_path / "candidates.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"must consist of \[\[candidate\]\] tables"):
        read_candidates(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_candidates(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\): give --candidates"):
        read_candidates(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("[[candidate]\n")
    with pytest.raises(InputError, match="is not valid TOML"):
        read_candidates(broken)


def test_two_candidates_of_one_name_are_refused(write_candidates):
    path = write_candidates()
    path.write_text(path.read_text() * 2)
    with pytest.raises(InputError, match="has 'small' more than once"):
        read_candidates(path)
