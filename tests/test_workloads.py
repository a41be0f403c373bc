"""Both workloads on mini replicas of every architecture class."""

import gc
from dataclasses import replace

import pytest
import torch

from ohlora_fixtures.base.errors import CandidateError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.protocol import Protocol, Rows
from ohlora_fixtures.inputs.templates import encode_all
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter, fine_tune, trainable_parameters
from ohlora_fixtures.workloads.inference import answer
from ohlora_fixtures.workloads.models import ModelSource, load
from ohlora_fixtures.workloads.trainer import make_trainer

DIALOGUES = read_dialogues(DATA / "dialogues.csv")
SOURCE = ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=42)
SHORT = Protocol(epochs=2, fine_tuning_rows=Rows(120, 128), prompt_rows=Rows(81, 83))
R16 = lora(16)
NAMES = ["gemma-2-2b-it", "gemma-ko-v01", "polyglot-ko-1.3b", "llama1B", "KoAlpaca-KoRWKV-1.5B", "FinguAI-Chat-v1"]
"""One candidate of each of the seed's six architecture classes."""

CANDIDATES = {candidate.name: candidate for candidate in read_candidates(DATA / "candidates.toml")}


@pytest.fixture(scope="module", autouse=True)
def _quick():
    gc.freeze()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=NAMES)
def loaded(request):
    return load(CANDIDATES[request.param], SOURCE, texts_for(request.param))


@pytest.fixture(scope="module")
def small():
    return load(CANDIDATES["FinguAI-Chat-v1"], SOURCE, texts_for("FinguAI-Chat-v1"))


def texts_for(name):
    return DIALOGUES.texts(CANDIDATES[name].text_template)


def examples_for(loaded, protocol=SHORT):
    rows = DIALOGUES.rows(protocol.fine_tuning_rows)
    return encode_all(loaded.template, rows, protocol.max_row_tokens)


def prompts_for(loaded, protocol=SHORT):
    return loaded.template.prompts(DIALOGUES.rows(protocol.prompt_rows))


def tune(loaded, variant=R16, protocol=SHORT):
    adapted = attach_adapter(loaded.model, variant, loaded.candidate.target_modules, protocol)
    tuned = fine_tune(adapted, loaded.tokenizer, examples_for(loaded, protocol), protocol, lambda: None)
    detach_adapter(adapted)
    return tuned


def weights_as_trained(model):
    """The weights outside RWKV's inference mode, which scales some of them by powers of two."""
    if hasattr(model, "rwkv"):
        model.train()
        model.rwkv._rescale_layers()
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def test_the_base_is_bit_equal_after_inference_and_two_ranks(loaded):
    before = weights_as_trained(loaded.model)
    answer(loaded.model, loaded.tokenizer, prompts_for(loaded), SHORT, lambda: None)
    tune(loaded, lora(8))
    tune(loaded, R16)
    after = weights_as_trained(loaded.model)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_rank_gives_the_same_losses_alone_and_after_another(loaded):
    alone = tune(loaded, R16).losses
    tune(loaded, lora(8))
    assert tune(loaded, R16).losses == alone


def test_random_weights_answer_to_the_protocols_length(loaded):
    prompts = prompts_for(loaded)
    ticks = []
    answered = answer(loaded.model, loaded.tokenizer, prompts, SHORT, lambda: ticks.append(1))
    prompt_tokens = sum(map(len, prompts))
    assert answered.tokens == len(prompts) * SHORT.max_length - prompt_tokens
    assert len(answered.answers) == len(ticks) == len(prompts)


def test_every_step_ticks_and_has_a_loss(loaded):
    adapted = attach_adapter(loaded.model, R16, loaded.candidate.target_modules, SHORT)
    examples = examples_for(loaded)
    ticks = []
    tuned = fine_tune(adapted, loaded.tokenizer, examples, SHORT, lambda: ticks.append(1))
    detach_adapter(adapted)
    assert len(ticks) == len(tuned.losses) == SHORT.steps == 4
    assert tuned.tokens == 2 * sum(len(example["input_ids"]) for example in examples)


def test_training_learns(small):
    untaught = tune(small, protocol=replace(SHORT, epochs=20, learning_rate=0.0)).losses
    taught = tune(small, protocol=replace(SHORT, epochs=20, learning_rate=0.1)).losses
    assert taught[0] == untaught[0]
    assert all(after < before for after, before in zip(taught[-10:], untaught[-10:], strict=True))


def test_adapters_are_fp32_on_a_bf16_base(small):
    adapted = attach_adapter(small.model, R16, small.candidate.target_modules, SHORT)
    trained = {p.dtype for p in adapted.parameters() if p.requires_grad}
    frozen = {p.dtype for p in adapted.parameters() if not p.requires_grad}
    assert trainable_parameters(adapted) == sum(p.numel() for name, p in adapted.named_parameters() if "lora_" in name)
    detach_adapter(adapted)
    assert (trained, frozen) == ({torch.float32}, {torch.bfloat16})


def test_an_adapter_follows_the_protocol(small):
    adapted = attach_adapter(small.model, lora(32), small.candidate.target_modules, SHORT)
    config = adapted.peft_config["default"]
    detach_adapter(adapted)
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (32, 16, 0.05, "none")
    assert config.init_lora_weights == "gaussian"
    assert set(config.target_modules) == set(small.candidate.target_modules)


def test_the_batch_stays_at_four_on_a_machine_with_several_gpus(small, monkeypatch):
    adapted = attach_adapter(small.model, R16, small.candidate.target_modules, SHORT)
    trainer = make_trainer(adapted, small.tokenizer, examples_for(small), SHORT, lambda: None)
    monkeypatch.setattr(trainer.args, "_n_gpu", 2)
    assert super(type(trainer.args), trainer.args).n_gpu == 2
    assert trainer.args.n_gpu == 1
    assert trainer.args.train_batch_size == 4
    detach_adapter(adapted)


def test_the_trainer_follows_the_protocol(small):
    protocol = replace(SHORT, batch_size=2, gradient_checkpointing=True, learning_rate=0.01, optimizer="sgd")
    adapted = attach_adapter(small.model, R16, small.candidate.target_modules, protocol)
    args = make_trainer(adapted, small.tokenizer, examples_for(small), protocol, lambda: None).args
    detach_adapter(adapted)
    assert (args.train_batch_size, args.num_train_epochs, args.learning_rate) == (2, 2, 0.01)
    assert (args.optim, args.max_grad_norm, args.lr_scheduler_type) == ("sgd", 1.0, "linear")
    assert getattr(args, "activation_checkpointing", None) or args.gradient_checkpointing


def test_sampling_is_seeded(small):
    once, again = (answer(small.model, small.tokenizer, prompts_for(small), SHORT, lambda: None) for _ in range(2))
    assert once == again


def test_a_prompt_that_leaves_no_room_is_refused(small):
    protocol = replace(SHORT, max_length=5)
    with pytest.raises(CandidateError, match=r"prompt 1 has \d+ tokens, which leaves no room .* max_length of 5"):
        answer(small.model, small.tokenizer, prompts_for(small), protocol, lambda: None)
