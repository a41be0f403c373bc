"""`python -m ohlora_fixtures recipe`: what it writes trains a mini model, and what that has learned answers."""

import ast
import json
import os
import subprocess
import sys

import chat_templates as known
import pytest
import yaml
from chat_templates import tokenizer_with
from made import made
from peft import PeftModel
from test_workloads import CANDIDATES, SOURCE, texts_for
from transformers import AutoModelForCausalLM, AutoTokenizer

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.conversations import Dialogue
from ohlora_fixtures.inputs.templates import PLAIN, encode_all, template_of
from ohlora_fixtures.inputs.variants import read_variants
from ohlora_fixtures.workloads.models import load

NAME = "FinguAI-Chat-v1"
SHIPPED = {each.name: each for each in read_variants(DATA / "variants.toml")}
CASE = f"bench_fine_tuning[{NAME}-r16]"


@pytest.fixture
def results(tmp_path):
    """A results folder with a plan of FinguAI-Chat-v1 in each of some variants, the first of which was chosen."""

    def write(*variants, chosen=True):
        lines = []
        for name in variants:
            facts = made(NAME, name, is_planned=True, protocol={"epochs": 1, "learning_rate": 2e-5}).as_dict()
            facts["experiment"]["variant"] = SHIPPED[name].as_dict()
            lines.append(json.dumps(facts, default=str) + "\n")
        folder = tmp_path / "results"
        folder.mkdir()
        (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
        choice = {"candidate": NAME, "variant": variants[0]} if chosen else None
        (folder / "selection.json").write_text(json.dumps({"choice": choice}), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    small = load(CANDIDATES[NAME], SOURCE, texts_for(NAME))
    small.model.save_pretrained(folder)
    small.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["r16", "r16-qlora", "full"])
def test_the_chosen_case_trains_ones_rows_and_what_has_learned_answers(variant, results, mini, tmp_path, capsys):
    folder = results(variant)
    assert main(["recipe", str(folder)]) == 0
    assert "ROWS.csv" in capsys.readouterr().out
    recipe = folder / "recipe"
    settings = yaml.safe_load((recipe / "training_arguments.yaml").read_text())
    rate = SHIPPED[variant].training.get("learning_rate", 2e-5)
    assert (settings["learning_rate"], settings["num_train_epochs"]) == (rate, 1)
    assert (settings["per_device_train_batch_size"], settings["optim"]) == (4, "adamw_torch")
    (tmp_path / "rows.csv").write_text("input_data,output_data\n안녕?,안녕!\n뭐 해?,공부해!\n", encoding="utf-8-sig")
    done = subprocess.run(
        [sys.executable, str(recipe / "train.py"), "rows.csv", str(mini)],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trained = tmp_path / "trained"
    if variant == "full":
        assert not (recipe / "adapter_config.json").exists()
        model = AutoModelForCausalLM.from_pretrained(trained)
    else:
        kept = json.loads((trained / "adapter_config.json").read_text())
        assert (kept["r"], kept["lora_alpha"], kept["peft_type"]) == (16, 16, "LORA")
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(mini), str(trained))
    tokenizer = AutoTokenizer.from_pretrained(trained)
    asked = tokenizer("안녕?", return_tensors="pt", return_token_type_ids=False)
    answer = model.generate(**asked, max_new_tokens=4, min_new_tokens=4)
    assert answer.shape[1] == asked["input_ids"].shape[1] + 4


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize(
    ("text_template", "chat_template"),
    [
        *((None, template) for template in (None, known.GEMMA, known.SMOLLM, known.LLAMA2, known.QWEN3)),
        (PLAIN, known.GEMMA),
        ("<bos>{input}\n{output}<end_of_turn>\n", None),
    ],
)
def test_the_script_encodes_as_the_suite_does(text_template, chat_template, closes):
    tokenizer = tokenizer_with(chat_template, closes=closes)
    found = {"recipe": {"text_template": text_template, "max_row_tokens": 120}, "tokenizer": tokenizer}
    tree = ast.parse((DATA / "recipe" / "train.py").read_text(encoding="utf-8"))
    own = {"template", "ends"}
    kept = [each for each in tree.body if isinstance(each, ast.FunctionDef) or own & names_set_by(each)]
    exec(compile(ast.Module(kept, []), "train.py", "exec"), found)
    for answer in ("나도 안녕!", "n", "길게 " * 30 + "."):
        (example,) = encode_all(template_of(text_template, tokenizer), [Dialogue("안녕?", answer)], 120)
        assert found["encode"]({"input_data": "안녕?", "output_data": answer}) == example


def names_set_by(statement):
    """The names that an assignment gives values to."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_another_case_may_be_asked_for(results, tmp_path):
    folder = results("r16-qlora", "r16", chosen=False)
    assert main(["recipe", str(folder), "--case", CASE, "--into", str(tmp_path / "mine")]) == 0
    facts = json.loads((tmp_path / "mine" / "recipe.json").read_text(encoding="utf-8"))
    assert (facts["model"], facts["quantization"]) == (CANDIDATES[NAME].repo, {})
    assert facts["text_template"] == CANDIDATES[NAME].text_template


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], f"error: nothing was chosen in {{}}: give --case one of {CASE}"),
        (["--case", "bench_fine_tuning[x-r16]"], f"has no fine-tuning case bench_fine_tuning[x-r16]: it has {CASE}"),
        (["--case", "gemma"], f"has no fine-tuning case gemma: it has {CASE}"),
        (["--case", CASE, "--into", "{}/records.jsonl"], "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_sentence(options, says, results, capsys):
    folder = results("r16", chosen=False)
    assert main(["recipe", str(folder), *(option.format(folder) for option in options)]) == 2
    assert says.format(folder) in capsys.readouterr().err
