"""Sessions with `--model`: a folder is planned and run like any candidate."""

import json
import sys

import pytest
from made import flat_records
from test_collecting import collected
from test_wrong_input import refused

from conftest import TINY_PARAMETERS
from ohlora_fixtures.__main__ import main

CARD = "---\nlicense: apache-2.0\n---\n"


def test_a_model_alone_is_planned_from_its_config_and_said_before_the_cases(suite, model_folder, tokenizer_files):
    path = model_folder(README_md=CARD, **tokenizer_files)
    options = ("benches", "-k", "plan and r8", "--lora-ranks", "8", "--model", path, "--results-dir", "it")
    result = suite.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1, deselected=3)
    (line,) = [line for line in result.outlines if line.startswith("model: ")]
    assert line.startswith(f"model: my-model, {path}: {TINY_PARAMETERS:,} parameters; adapters on q_proj")
    (record,) = flat_records(suite.path / "it")
    assert (record["case"], record["outcome"]) == ("bench_plan[my-model-r8]", "passed")
    kept = json.loads((suite.path / "it" / "session.json").read_text(encoding="utf-8"))["candidates"]["my-model"]
    assert (kept["parameters"], kept["repo"]) == (TINY_PARAMETERS, str(path))
    again = suite.runpytest_subprocess(*options[:-2], "--resume", "it")
    assert again.ret == 0
    assert any("1 of its 1 case are kept" in line for line in again.outlines)
    merged = suite.path / "all"
    assert main(["merge", str(suite.path / "it"), "--into", str(merged)]) == 0
    assert main(["report", str(merged), "--into", str(suite.path / "report")]) == 0
    assert "my-model" in (suite.path / "report" / "comparison.md").read_text(encoding="utf-8")


def test_collecting_a_model_imports_nothing_heavy(suite, model_folder):
    (suite.path / "conftest.py").write_text(
        (suite.path / "conftest.py").read_text()
        + "\nimport sys\n\ndef pytest_unconfigure():\n"
        + "    print('HEAVY', [m for m in ('torch', 'transformers', 'peft', 'pandas') if m in sys.modules])\n"
    )
    result = suite.run(
        sys.executable, "-m", "pytest", "benches", "--collect-only", "--model", model_folder(README_md=CARD)
    )
    assert "HEAVY []" in result.outlines
    assert any(line.startswith("model: my-model") and "counted when it runs" in line for line in result.outlines)


def names(result):
    return [line.partition("[")[2].rstrip("]") for line in collected(result)]


def test_models_stand_alone_or_beside_what_else_is_asked_for(suite, model_folder, write_candidates):
    model, other = model_folder(), model_folder("other")
    chosen = ("benches/bench_inference.py", "--collect-only", "-q")
    assert names(suite.runpytest(*chosen, "--model", model, "--model", other)) == ["my-model", "other"]
    both = suite.runpytest(*chosen, "--model", model, "--candidate", "llama1B")
    assert names(both) == ["my-model", "llama1B"]
    beside = suite.runpytest(*chosen, "--model", model, "--candidates", write_candidates())
    assert names(beside) == ["my-model", "small"]
    with (suite.path / "pytest.ini").open("a", encoding="utf-8") as settings:
        settings.write(f"\nmodel =\n  {model}\n  {other}\n")
    assert names(suite.runpytest(*chosen)) == ["my-model", "other"]
    assert names(suite.runpytest(*chosen, "--model", other)) == ["other"]
    assert names(suite.runpytest(*chosen, "--candidate", "llama1B")) == ["llama1B"]


def test_two_cases_of_one_id_are_refused(suite, model_folder, tmp_path):
    (tmp_path / "v.toml").write_text(
        '[[variant]]\nname = "x"\n[[variant]]\nname = "b-x"\nadapter = { peft_type = "LORA" }\n'
    )
    models = ("--model", model_folder("a"), "--model", model_folder("a-b"))
    result = suite.runpytest("benches", "--collect-only", "-q", *models, "--variants-file", tmp_path / "v.toml")
    refused(result, "two candidates would both have a case 'a-b-x'")


def test_without_weights_a_measured_case_at_full_size_says_what_to_do(suite, model_folder):
    path = model_folder()
    options = ("benches/bench_inference.py", "--scale", "full", "--model", path)
    refused(suite.runpytest_subprocess(*options), f"model folder {path} has no weights", "--weights random")


def test_a_name_that_nothing_has_ends_the_session_before_it_begins(suite):
    refused(suite.runpytest("benches", "--model", "./none"), "--model './none' is neither a folder here")
    offline = suite.runpytest("benches", "--model", "nobody/none")
    refused(offline, "the Hub cannot be reached for --model nobody/none", "connect to the network")
    assert not (suite.path / "results").exists()


@pytest.mark.parametrize("option", ["--model", "--model-dir"])
def test_no_code_of_a_models_folder_is_run(suite, model_folder, tmp_path, option):
    path = model_folder(conftest_py=f"open({str(tmp_path / 'ran')!r}, 'w')")
    for order in ([option, path, "benches"], ["benches", option, path]):
        result = suite.run(sys.executable, "-m", "pytest", *order, "--collect-only", "-q", "-k", "inference")
        assert result.ret == 0
    assert not (tmp_path / "ran").exists()


def test_what_others_wrote_moves_no_cursor(suite, model_folder):
    path = model_folder(README_md='---\nlicense: "mit\\e[2J"\nbase_model: "a/b\\u202ec"\n---\n')
    (suite.path / "mine.json").write_text(json.dumps({"num_train_epochs": 1, "packing\x1b[2J": 1}), encoding="utf-8")
    result = suite.runpytest("benches", "--collect-only", "--model", path, "--training-config", "mine.json")
    lines = [line for line in result.outlines if line.startswith(("model: ", "training config"))]
    assert ["[2J" in line for line in lines] == [True, False, True]
    assert not set("".join(lines)) & {"\x1b", "\u202e"}
