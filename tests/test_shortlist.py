"""`python -m ohlora_fixtures candidates`: from a leaderboard's export to a candidates file."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from exports import KO_HEADS, ko_row, open_llm_row, write_csv
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from hypothesis import given
from hypothesis import strategies as st
from test_untrusted import HOSTILE, SPECIFIED, is_obeyed

from conftest import TINY, TINY_PARAMETERS
from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.commands.candidates_file import write_candidates
from ohlora_fixtures.inputs.candidates import Candidate, read_candidates

OURS = {each.name: each for each in read_candidates(DATA / "candidates.toml")}
ROOT = Path(__file__).parents[1]
KNOWN = ko_row("EleutherAI/polyglot-ko-1.3b", 29.95)
TUNED = ko_row("someone/ko-tuned", 31.5)
RIGHT_SIZED = {**TINY, "vocab_size": 2_000_000}
"""An architecture of 0.51 B parameters."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command on an export with the given rows: exit status, output, error output on one line each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(rows, *options, heads=KO_HEADS):
        status = main(["candidates", str(write_csv(tmp_path, heads, rows)), *options])
        output, errors = capsys.readouterr()
        return status, output, errors

    return run


def put_config(folder, name, architecture):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(architecture), encoding="utf-8")


def test_a_known_model_is_written_as_the_suite_knows_it(run, tmp_path):
    status, output, _ = run([KNOWN, ko_row("Qwen/Qwen3-0.6B", 33.0)])
    assert status == 0
    assert "in candidates.toml: 2 of the kept; run them with pytest benches --candidates candidates.toml" in output
    best, second = read_candidates(tmp_path / "candidates.toml")
    assert (best.name, best.group, best.leaderboard_average) == ("Qwen3-0.6B", "seed", 33.0)
    ours = OURS["polyglot-ko-1.3b"]
    assert second.config.resolve() == ours.config.resolve()
    assert second == Candidate(**{**vars(ours), "config": second.config, "leaderboard": best.leaderboard})


def test_what_is_kept_is_sorted_by_average_and_says_what_it_rests_on(run):
    _, output, _ = run([TUNED, KNOWN, ko_row("x/Qwen3-it", "n/a", 0.6)])
    rows = [re.split(r"  +", line) for line in output.splitlines() if re.match("(someone|EleutherAI|x)/", line)]
    assert rows == [
        ["someone/ko-tuned", "31.50", "~1.30 B", "apache-2.0*", "specialised (its name)"],
        ["EleutherAI/polyglot-ko-1.3b", "29.95", "1.33 B", "apache-2.0", "specialised (known to the suite)"],
        ["x/Qwen3-it", "-", "~0.60 B", "apache-2.0", "supported (made from Qwen3)"],
    ]
    assert "*: from the model's card alone" in output
    assert "~: as the leaderboard has it" in output


def test_what_lacks_an_architecture_is_named_on_screen_and_in_the_file(run, tmp_path):
    _, output, _ = run([TUNED, KNOWN])
    assert "kept, but not in the candidates file: 1\n  someone/ko-tuned (31.50): needs its config.json" in output
    assert "--download-configs" in output
    assert "# - someone/ko-tuned (31.50): needs its config.json\n" in (tmp_path / "candidates.toml").read_text("utf-8")


@pytest.mark.parametrize("name", ["someone--ko-tuned.json", "ko-tuned.json"])
def test_a_config_gives_exact_parameters_and_lora_targets(run, tmp_path, name):
    put_config(tmp_path / "mine", name, RIGHT_SIZED)
    status, output, _ = run([TUNED], "--configs", "mine", "--into", "new/mine.toml")
    (candidate,) = read_candidates(tmp_path / "new" / "mine.toml")
    assert status == 0
    assert candidate.parameters == TINY_PARAMETERS + (2_000_000 - TINY["vocab_size"]) * TINY["hidden_size"]
    assert "0.51 B" in output
    assert candidate.config == tmp_path / "new" / ".." / "mine" / name
    assert candidate.target_modules == OURS["Qwen2.5-0.5B-Instruct"].target_modules
    assert (candidate.name, candidate.korean, candidate.card_license) == ("ko-tuned", "specialised", "apache-2.0")
    text = (tmp_path / "new" / "mine.toml").read_text("utf-8")
    assert "# Licence: its card; its base model is not known, and that licence could bind instead.\n" in text
    assert "# Korean: its name.\n" in text


def test_of_an_architecture_that_the_suite_has_not_every_linear_module_but_the_head_is_tuned(run, tmp_path):
    gpt2 = {"model_type": "gpt2", "n_embd": 128, "n_layer": 1, "n_head": 2, "vocab_size": 2_500_000}
    put_config(tmp_path / "configs", "ko-tuned.json", gpt2)
    run([TUNED])
    (candidate,) = read_candidates(tmp_path / "candidates.toml")
    assert candidate.target_modules == ("c_attn", "c_fc", "c_proj")


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        (TINY, "0.00322995 B parameters"),
        ({**RIGHT_SIZED, "model_type": "gemma"}, "licence Gemma Terms of Use (binds through Gemma; card: apache-2.0)"),
        ({**RIGHT_SIZED, "_name_or_path": "meta-llama/Llama-3.2-1B"}, "licence Llama Community License"),
        ({**RIGHT_SIZED, "model_type": "unheard-of"}, "is unheard-of, which transformers "),
        ({**RIGHT_SIZED, "model_type": "llama", "num_attention_heads": 3}, "The hidden size (256) is not a"),
        ({"hidden_size": 1}, "ko-tuned.json lacks the field 'model_type'"),
        ([], "ko-tuned.json lacks the field 'model_type'"),
    ],
)
def test_what_a_config_says_against_a_model_is_told(run, tmp_path, architecture, says):
    put_config(tmp_path / "configs", "ko-tuned.json", architecture)
    _, output, _ = run([TUNED, KNOWN])
    assert [each.name for each in read_candidates(tmp_path / "candidates.toml")] == ["polyglot-ko-1.3b"]
    if "B parameters" in says:
        assert "1 not of 0.25 to 3.0 B parameters" in output
    else:
        assert says in next(line for line in output.splitlines() if line.startswith("  someone/ko-tuned"))


def test_a_config_that_is_no_json_is_told(run, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "ko-tuned.json").write_text("{")
    assert "ko-tuned.json cannot be read as JSON" in run([TUNED])[1]


def test_without_torch_a_sentence_says_what_to_install(run, tmp_path, monkeypatch):
    put_config(tmp_path / "configs", "ko-tuned.json", RIGHT_SIZED)
    monkeypatch.setitem(sys.modules, "torch.nn", None)
    status, _, errors = run([TUNED])
    assert (status, errors) == (2, "error: architectures need torch.nn: install the suite with pip install -e .\n")
    assert run([KNOWN])[0] == 0


def test_models_that_share_a_name_need_a_config_each_and_get_names_of_their_own(run, tmp_path):
    put_config(tmp_path / "configs", "ko-tuned.json", RIGHT_SIZED)
    rows = [TUNED, ko_row("other/Ko-Tuned", 20.0)]
    assert run(rows)[1].count("needs its config.json") == 2
    for owner in ("someone--ko-tuned", "other--Ko-Tuned"):
        put_config(tmp_path / "configs", f"{owner}.json", RIGHT_SIZED)
    run(rows)
    names = [each.name for each in read_candidates(tmp_path / "candidates.toml")]
    assert names == ["someone--ko-tuned", "other--Ko-Tuned"]


def test_configs_are_downloaded_for_what_is_kept_alone(run, tmp_path, monkeypatch):
    asked = []

    def download(repo, name):
        asked.append((repo, name))
        path = tmp_path / "cache.json"
        path.write_text(json.dumps(RIGHT_SIZED))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    rows = [TUNED, KNOWN, ko_row("x/ko-large", 40.0, 7.0), ko_row("x/ko-nc", 40.0, card_license="cc-by-nc-4.0")]
    run([*rows, ko_row("x/plain", 40.0)], "--download-configs")
    assert asked == [("someone/ko-tuned", "config.json")]
    assert [each.name for each in read_candidates(tmp_path / "candidates.toml")] == ["ko-tuned", "polyglot-ko-1.3b"]
    run(rows, "--download-configs", "--overwrite")
    assert len(asked) == 1


def test_a_config_that_the_hub_does_not_give_is_told_of_its_model(run, tmp_path, monkeypatch):
    def refuse(repo, name):
        raise HFValidationError("no such thing")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    _, output, _ = run([TUNED, KNOWN], "--download-configs")
    assert "someone/ko-tuned (31.50): the Hub does not give its config.json: HFValidationError: no such" in output
    assert len(read_candidates(tmp_path / "candidates.toml")) == 1


def test_a_hub_that_cannot_be_reached_ends_it_in_a_sentence(run, tmp_path, monkeypatch):
    def fail(repo, name):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    status, _, errors = run([TUNED, KNOWN], "--download-configs")
    assert status == 2
    assert errors.startswith("error: the Hub cannot be reached for someone/ko-tuned (LocalEntryNotFoundError")
    assert errors.count("\n") == 1
    assert not (tmp_path / "candidates.toml").exists()


def test_a_folder_of_configs_that_is_none_is_told(run, tmp_path, monkeypatch):
    assert run([TUNED], "--configs", "typo")[2].startswith("error: there is no folder typo: give --configs the folder")
    (tmp_path / "file").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name: str(tmp_path / "file"))
    _, _, errors = run([TUNED], "--configs", "file", "--download-configs")
    assert errors.startswith("error: file/someone--ko-tuned.json cannot be written (")


def test_what_is_dropped_is_counted_and_near_misses_are_named(run, tmp_path):
    large = [ko_row(f"x/ko-{size}b", size, size) for size in range(4, 104)]
    rows = [KNOWN, *large, ko_row("x/plain", 12.0), ko_row("x/ko-nc", 11.0, card_license="cc-by-nc-4.0")]
    _, output, _ = run([*rows, ko_row("x/ko-gemma", 10.0), ko_row("x/ko-sizeless", 9.0, 0)])
    assert "dropped: 104\n  100 not of 0.25 to 3.0 B parameters\n  2 of a licence that is not free\n" in output
    near = (
        "x/plain (12.00): Korean: not known",
        "x/ko-nc (11.00): licence cc-by-nc-4.0 (forbids commercial use)",
        "x/ko-gemma (10.00): licence Gemma Terms of Use (binds through Gemma; card: apache-2.0)",
        "x/ko-sizeless (9.00): size not known",
    )
    text = (tmp_path / "candidates.toml").read_text("utf-8")
    for each in near:
        assert f"  {each}\n" in output
        assert f"# - {each}\n" in text
    assert "dropped for a wrong size: 100\n  x/ko-103b (103.00): 103 B parameters\n" in output
    assert "  and 97 more; the candidates file ends with all of them\n" in output
    assert "# - x/ko-4b (4.00): 4 B parameters\n" in text
    assert "1 would be kept if known to support Korean" in output


def test_thousands_of_near_misses_do_not_flood_the_terminal_and_are_all_in_the_file(run, tmp_path):
    _, output, _ = run([KNOWN, *(ko_row(f"x/plain-{number}", 1 + number) for number in range(2000))])
    assert len(output.splitlines()) < 60
    assert "and 1970 more; the candidates file ends with all of them" in output
    assert (tmp_path / "candidates.toml").read_text("utf-8").count("# - x/plain-") == 2000


def test_assumed_korean_is_kept_and_marked(run, tmp_path):
    put_config(tmp_path / "configs", "plain.json", RIGHT_SIZED)
    _, output, _ = run([ko_row("x/plain", 12.0)], "--assume-korean")
    assert "supported (assumed, without evidence)" in output
    assert read_candidates(tmp_path / "candidates.toml")[0].korean == "supported"
    assert "# Korean: assumed, without evidence.\n" in (tmp_path / "candidates.toml").read_text("utf-8")


def test_nothing_to_write_is_an_exit_status_and_every_near_miss_is_shown(run, tmp_path):
    status, output, errors = run([ko_row(f"x/plain-{number}", 1 + number) for number in range(50)])
    assert status == 1
    assert "no candidates file: no model is kept with its architecture" in errors
    assert "kept: none" in output
    assert output.count("x/plain-") == 50
    assert not (tmp_path / "candidates.toml").exists()


def test_an_existing_file_stays_unless_it_may_be_overwritten(run, tmp_path):
    (tmp_path / "candidates.toml").write_text("mine")
    status, output, errors = run([KNOWN])
    assert (status, output) == (2, "")
    assert errors == "error: candidates.toml exists: give --into another path, or replace it with --overwrite\n"
    assert (tmp_path / "candidates.toml").read_text() == "mine"
    assert run([KNOWN], "--overwrite")[0] == 0
    assert len(read_candidates(tmp_path / "candidates.toml")) == 1


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, errors = run([KNOWN], "--into", "file/candidates.toml")
    assert (status, errors.count("\n")) == (2, 1)
    assert "candidates file file/candidates.toml cannot be written" in errors


def test_a_wrong_leaderboard_is_told_in_a_sentence(run):
    status, output, errors = run([KNOWN], heads=KO_HEADS[3:])
    assert (status, output) == (2, "")
    assert errors.startswith("error: leaderboard ")
    assert "lacks the column 'fullname or Model'" in errors


def test_both_leaderboards_real_columns_work_through_the_command(run, tmp_path):
    row = open_llm_row("x/ko-tuned", 8.14, 0.494, **{"Base Model": "Qwen/Qwen2.5-0.5B"})
    _, output, _ = run([row, open_llm_row("google/gemma-2-2b-jpn-it", 17.1, 2.6, "gemma")], heads=list(row))
    assert "x/ko-tuned (8.14): needs its config.json" in output
    assert "google/gemma-2-2b-jpn-it (17.10): licence gemma (restricts" in output


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path):
    write_csv(tmp_path, KO_HEADS, [KNOWN])
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ohlora_fixtures", "candidates", "board.csv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (tmp_path / "candidates.toml").exists()


def test_hostile_cells_reach_neither_terminal_nor_file(run, tmp_path):
    evil = "x\x1b[2J\u202e\n[[candidate]]\nname = 'evil'"
    rows = [KNOWN, ko_row("x/ko-evil", 30.0, card_license=evil), ko_row("x/y", 1.0) | {"Model": evil}]
    _, output, _ = run(rows)
    text = (tmp_path / "candidates.toml").read_text("utf-8")
    assert [each for each in output + text if is_obeyed(each) and each != "\n"] == []
    assert [each.name for each in read_candidates(tmp_path / "candidates.toml")] == ["polyglot-ko-1.3b"]


@SPECIFIED
@given(HOSTILE.filter(str.strip), st.floats(1e-300, 1e300))
def test_whatever_is_written_is_read_back(tmp_path_factory, text, average):
    folder = tmp_path_factory.mktemp("written")
    put_config(folder / "configs", "tiny.json", TINY)
    facts = dict.fromkeys(("group", "repo", "card_license", "binding_license", "unverified"), text)
    candidate = Candidate(
        **facts,
        name="tiny",
        config=folder / "configs" / "tiny.json",
        parameters=TINY_PARAMETERS,
        free_license=True,
        korean="supported",
        target_modules=(text, "v_proj"),
        text_template='"{input}"\n\\{output}',
        leaderboard_average=average,
        remote_code=True,
    )
    write_candidates(folder / "candidates.toml", [text], [(candidate, (text, text))], [text])
    read_back = re.sub("[\ud800-\udfff]", "\ufffd", text)
    (found,) = read_candidates(folder / "candidates.toml")
    assert found == replace(candidate, **dict.fromkeys(facts, read_back), target_modules=(read_back, "v_proj"))
