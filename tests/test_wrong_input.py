"""What a user can get wrong ends in one plain sentence and exit code 4, before any model is loaded."""

from types import SimpleNamespace

import pytest

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.cases import INFERENCE, Case
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.session.preflight import check

USAGE_ERROR = 4


def refused(result, *sentences):
    assert result.ret == USAGE_ERROR
    errors = [line for line in result.errlines + result.outlines if line.startswith("ERROR: ")]
    assert len(errors) == 1, errors
    for sentence in sentences:
        assert sentence in errors[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--candidate-group", "best"],
            "candidate group 'best' is unknown: choose with --candidate-group among all, modern, seed",
        ),
        (
            ["--candidate", "llama1B,gemma"],
            "candidate 'gemma' is unknown: choose with --candidate among gemma-2-2b-it, koquality-polyglot-1.3b,",
        ),
        (["--candidates", "none.toml"], "none.toml does not exist: give --candidates the path of a TOML file"),
        (["--dataset", "none.csv"], "none.csv cannot be read (No such file or directory): give the path of a file"),
        (["--dataset", "data/none.csv"], "data/none.csv cannot be read (No such file or directory)"),
        (["--columns", "prompt=question"], "--columns 'prompt=question' needs prompt and answer both"),
        (["--rows", "20"], "--rows '20' is none of all, first N and random N"),
        (["--rows", "first 201"], "has 200 train rows with a prompt and an answer, but 201 are asked for"),
        (["--rows", "all", "--protocol", "fine_tuning_rows=0:4"], "both choose rows: give one of them"),
        (["--model-dir", "none"], "none is not a folder: give --model-dir a folder"),
        (["--lora-ranks", "0"], "LoRA ranks '0' must be different whole numbers from 1 to 9999, such as 16,32,64"),
        (["--lora-ranks", "8", "--variants", "r16"], "--lora-ranks is short for --variants: give one of them"),
        (["--lora-ranks", "16,big"], "LoRA ranks '16,big' must be different whole numbers"),
        (["--lora-ranks", "16,16"], "LoRA ranks '16,16' must be different"),
        (["--lora-ranks", "16,"], "LoRA ranks '16,' must be"),
        (["--vram-budget", "12"], "'12' is not a memory size"),
        (["--scale", "huge"], "--scale 'huge' is not one of auto, full, mini"),
        (["--weights", "none"], "--weights 'none' is not one of hub, random"),
        (["--weights", "hub", "--scale", "mini"], "--weights hub needs full size"),
        (
            ["--memory-compare-fail", "peak"],
            "memory limit 'peak' must be one of peak, device, reserved, allocated, a colon, and a percentage or a size",
        ),
        (
            ["--memory-compare-fail", "peak:5%"],
            "--memory-compare-fail needs a stored run to compare with: add --benchmark-compare",
        ),
        (
            ["--benchmark-compare=kept/by/nobody.json"],
            "nobody.json cannot be compared with (No such file or directory): give --benchmark-compare another file",
        ),
        (["--protocol", "epochs=0"], "protocol setting epochs='0' needs a whole number from 1 to 10,000"),
        (
            ["--protocol", "prompt_rows=300:310"],
            "has 200 train rows with a prompt and an answer, but 310 are asked for",
        ),
    ],
)
def test_options(suite, arguments, says):
    refused(suite.runpytest("benches", *arguments), says)


def test_a_candidates_file(suite, write_candidates):
    refused(suite.runpytest("benches", "--candidates", write_candidates(korean=None)), "lacks the key 'korean'")
    refused(suite.runpytest("benches", "--candidates", write_candidates(size=3)), "has the unknown key 'size'")


def test_a_dataset(suite, write_dataset):
    refused(
        suite.runpytest("benches", "--dataset", write_dataset(count=139)), "has 139 train rows", "140 are asked for"
    )
    (suite.path / "workbook.csv").write_bytes(b"PK\3\4\xff\xff")
    refused(suite.runpytest("benches", "--dataset", "workbook.csv"), "is not text in UTF-8, UTF-16 or CP949: save it")


def test_a_results_folder(suite):
    suite.makefile(".txt", taken="")
    refused(suite.runpytest("benches", "--results-dir", "taken.txt"), "taken.txt cannot be written: give --results-dir")
    refused(suite.runpytest("benches", "--results-dir", "taken.txt/in"), "cannot be written")
    (suite.mkdir("full") / "records.jsonl").touch()
    refused(suite.runpytest("benches", "--results-dir", "full"), "full already holds a session's records")


def test_an_ini_setting(suite):
    suite.makeini((suite.path / "pytest.ini").read_text() + "\nvram_budget = lots\n")
    (suite.path / "tox.ini").rename(suite.path / "pytest.ini")
    refused(suite.runpytest("benches"), "'lots' is not a memory size")


def test_a_parameter_count_that_does_not_match_its_architecture(suite, write_candidates):
    path = write_candidates(parameters=463987713)
    result = suite.runpytest_forked("benches", "--candidates", path)
    refused(result, "candidate 'small' has parameters = 463987713", "small.json has 463987712: correct one of them")


@pytest.mark.parametrize(
    ("changes", "optimizer", "says"),
    [
        ({"target_modules": ["q_proj", "w_proj"]}, "sgd", "has 'w_proj' in target_modules, but its architecture"),
        ({}, "adam-best", "optimizer='adam-best' is not one of adamw_torch, "),
    ],
)
def test_what_only_the_libraries_know(write_candidates, changes, optimizer, says):
    candidates = read_candidates(write_candidates(**changes))
    options = {"scale": "mini", "weights": None, "model_dir": None, "allow_remote_code": False}
    settings = SimpleNamespace(candidates=candidates, protocol=Protocol(optimizer=optimizer), **options)
    with pytest.raises(InputError, match=says):
        check(settings, [Case(each.name, INFERENCE) for each in candidates])


def test_a_parameter_count_under_xdist(suite, write_candidates):
    path = write_candidates(parameters=1)
    result = suite.runpytest_subprocess("benches", "--candidates", path, "-n", "2", "--dist", "loadgroup")
    refused(result, "candidate 'small' has parameters = 1")


def test_the_hub_without_network(suite, write_candidates):
    result = suite.runpytest_forked("benches", "--candidates", write_candidates(), "--scale", "full")
    refused(result, "the Hub cannot be reached for somebody/small", "--model-dir", "--weights random")


def test_a_weights_folder_without_the_candidate(suite):
    weights = suite.mkdir("weights")
    result = suite.runpytest_forked("benches", "-k", "Fingu", "--scale", "full", "--model-dir", weights)
    refused(result, "has no folder FinguAI-Chat-v1: put its weights there")


@pytest.mark.parametrize(
    ("adapter", "training", "says"),
    [
        (
            '{ peft_type = "LORRA", r = 8 }',
            "{}",
            "has peft_type = 'LORRA', which peft does not have; it has",
        ),
        (
            '{ peft_type = "LORA", rr = 8 }',
            "{}",
            "has the unknown adapter key rr: peft's configuration has",
        ),
        (
            '{ peft_type = "LORA", r = 8 }',
            '{ optim = "adamm" }',
            "training setting optim='adamm' is not one of",
        ),
    ],
)
def test_a_variants_typo_is_refused_before_the_first_case(suite, tiny, adapter, training, says):
    text = f'[[variant]]\nname = "mine"\nadapter = {adapter}\ntraining = {training}\n'
    (suite.path / "mine.toml").write_text(text, encoding="utf-8")
    arguments = ["-k", "plan", "--candidates", tiny(), "--variants-file", "mine.toml"]
    refused(suite.runpytest_forked("benches", *arguments), says)
