"""Pretrained weights from a folder, and what is refused about them."""

import json
from dataclasses import replace

import chat_templates
import pytest
import torch
from chat_templates import tokenizer_with

from ohlora_fixtures.base.errors import CandidateError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.workloads.inference import answer
from ohlora_fixtures.workloads.models import ModelSource, load, outline, release

TEXTS = read_dialogues(DATA / "dialogues.csv").texts("### 질문: {input} ### 답변: {output}")
RANDOM = ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=1)
CANDIDATE = next(each for each in read_candidates(DATA / "candidates.toml") if each.name == "llama1B")


@pytest.fixture
def pretrained(tmp_path):
    """A small checkpoint with its tokenizer in `<folder>/llama1B`, and what it was saved from."""
    made = load(CANDIDATE, RANDOM, TEXTS)
    made.model.save_pretrained(tmp_path / "llama1B")
    made.tokenizer.save_pretrained(tmp_path / "llama1B")
    candidate = replace(CANDIDATE, parameters=made.parameters)
    return candidate, replace(RANDOM, scale="full", weights="hub", model_dir=tmp_path), made


def same_weights(one, other):
    weights = one.state_dict()
    return all(torch.equal(weight, weights[name]) for name, weight in other.state_dict().items())


def test_weights_and_tokenizer_come_from_the_folder(pretrained):
    candidate, source, made = pretrained
    loaded = load(candidate, source, texts=())
    assert same_weights(loaded.model, made.model)
    assert (loaded.model.dtype, loaded.tokenizer_origin) == (torch.bfloat16, "own")
    assert loaded.tokenizer("안녕")["input_ids"] == made.tokenizer("안녕")["input_ids"]
    assert not loaded.model.training


def test_a_pretrained_model_may_end_its_answer(pretrained):
    candidate, source, made = pretrained
    settings = source.model_dir / "llama1B" / "generation_config.json"
    everything = list(range(len(made.tokenizer)))
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "eos_token_id": everything}))
    loaded = load(candidate, source, texts=())
    assert answer(loaded.model, loaded.tokenizer, [[1, 2]], Protocol(), lambda: None).tokens == 1


@pytest.mark.parametrize(("named", "ends"), [(5, [5]), ([5, 6], [5, 6])])
def test_the_token_that_ends_a_turn_ends_an_answer_too(pretrained, named, ends):
    candidate, source, _ = pretrained
    folder = source.model_dir / "llama1B"
    tokenizer = tokenizer_with(chat_templates.GEMMA)
    tokenizer.save_pretrained(folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": named}))
    loaded = load(replace(candidate, text_template=None), source, texts=())
    turn = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert loaded.model.generation_config.eos_token_id == [*ends, turn]
    assert loaded.template.end == (turn,)
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": turn}))
    loaded = load(replace(candidate, text_template=None), source, texts=())
    assert loaded.model.generation_config.eos_token_id == turn


def test_safetensors_go_first_and_older_files_are_read_too(pretrained):
    candidate, source, made = pretrained
    folder = source.model_dir / "llama1B"
    torch.save({name: weight + 1 for name, weight in made.model.state_dict().items()}, folder / "pytorch_model.bin")
    assert same_weights(load(candidate, source, texts=()).model, made.model)
    torch.save(made.model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert same_weights(load(candidate, source, texts=()).model, made.model)


def test_weights_of_another_size_are_refused(pretrained):
    candidate, source, made = pretrained
    with pytest.raises(CandidateError, match=f"have {made.parameters} parameters, the candidates file says 1235814400"):
        load(replace(candidate, parameters=CANDIDATE.parameters), source, texts=())


def test_a_folder_without_weights_is_an_error_in_one_line(pretrained):
    candidate, source, _ = pretrained
    (source.model_dir / "llama1B" / "model.safetensors").unlink()
    with pytest.raises(CandidateError, match=r"^llama1B cannot be loaded: OSError: .*") as caught:
        load(candidate, source, texts=())
    assert "\n" not in str(caught.value)


def test_remote_code_needs_both_the_candidate_and_the_command_line(pretrained):
    candidate, source, _ = pretrained
    folder = source.model_dir / "llama1B"
    ran = folder / "ran"
    (folder / "custom.py").write_text(f"open({str(ran)!r}, 'w')\nclass Custom: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "custom", "auto_map": {"AutoConfig": "custom.Custom"}}
    (folder / "config.json").write_text(json.dumps(config))
    for remote_code, allowed in ((False, False), (False, True), (True, False)):
        with pytest.raises(CandidateError):
            load(replace(candidate, remote_code=remote_code), replace(source, allow_remote_code=allowed), texts=())
        assert not ran.exists()


def test_the_refusal_says_how_to_allow_it(pretrained):
    candidate, source, _ = pretrained
    with pytest.raises(CandidateError, match="read it, then allow it with --allow-remote-code"):
        load(replace(candidate, remote_code=True), source, texts=())


def test_an_architecture_that_transformers_refuses_is_one_line(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "hidden_size": "wide"}))
    with pytest.raises(CandidateError, match=r"llama1B cannot be built: .*hidden_size") as caught:
        outline(replace(CANDIDATE, config=path))
    assert "\n" not in str(caught.value)


def test_random_weights_are_the_same_every_time():
    assert same_weights(load(CANDIDATE, RANDOM, TEXTS).model, load(CANDIDATE, RANDOM, TEXTS).model)


def test_release_lets_go():
    loaded = load(CANDIDATE, RANDOM, TEXTS)
    release(loaded)
    assert not hasattr(loaded, "model")


def test_no_kernel_is_fetched_from_the_hub(monkeypatch):
    from transformers.models.rwkv import modeling_rwkv

    fetched = []
    monkeypatch.setattr(modeling_rwkv, "is_ninja_available", lambda: True)
    monkeypatch.setattr(modeling_rwkv, "is_torch_cuda_available", lambda: True)
    monkeypatch.setattr(modeling_rwkv, "load_wkv_cuda_kernel", fetched.append)
    rwkv = next(each for each in read_candidates(DATA / "candidates.toml") if "RWKV" in each.name)
    load(rwkv, RANDOM, TEXTS)
    outline(rwkv)
    assert fetched == []
    assert modeling_rwkv.is_ninja_available()
