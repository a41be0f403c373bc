"""`--model`: a model by its name alone, an id on the Hub or a folder."""

import contextlib
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from chat_templates import CHATML
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import TINY, TINY_PARAMETERS
from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.base.yaml_files import MOST_YAML_BYTES, read_yaml
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.cases import FINE_TUNING, Case
from ohlora_fixtures.inputs.named_models import (
    NOT_STATED,
    Card,
    ModelName,
    candidate_of,
    parse_name,
    read_card,
    with_own_names,
)
from ohlora_fixtures.session.named_models import named_candidates

OURS = read_candidates(DATA / "candidates.toml")
CARD = "---\nlicense: apache-2.0\nbase_model:\n- Qwen/Qwen3-0.6B-Base\nlanguage: [ko, en]\n---\n# It\n"


@pytest.mark.parametrize(
    ("text", "repo", "revision", "short"),
    [
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", None, "Qwen3-0.6B"),
        ("Qwen/Qwen3-0.6B@v1.0", "Qwen/Qwen3-0.6B", "v1.0", "Qwen3-0.6B-v1.0"),
        ("gpt2", "gpt2", None, "gpt2"),
        (f"{'o' * 47}/{'n' * 48}", f"{'o' * 47}/{'n' * 48}", None, "n" * 48),
    ],
)
def test_an_id_on_the_hub(text, repo, revision, short, tmp_path):
    named = parse_name(text, tmp_path)
    assert (named.repo, named.revision, named.folder, named.short) == (repo, revision, None, short)


@pytest.mark.parametrize("text", ["my-model", "./my-model", "other/../my-model"])
def test_a_folder_goes_before_an_id(text, model_folder, tmp_path):
    path = model_folder()
    (tmp_path / "other").mkdir()
    named = parse_name(text, tmp_path)
    assert (named.repo, named.folder, named.short) == (str(path), path, "my-model")


@pytest.mark.parametrize(
    "text",
    ["", " ", "my model", "./nowhere", "../../nowhere", "a/b/c", "m" * 97, "a/b@", "a/b@c@d", "a\nb", "a/..", "ü/x"],
)
def test_what_can_be_neither_is_told_in_one_sentence(text, tmp_path):
    with pytest.raises(InputError, match="is neither a folder here nor an id on the Hub"):
        parse_name(text, tmp_path)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text), st.none() | st.text("abc./-", min_size=1))
def test_a_name_is_safe_whatever_the_folder(name, revision):
    named = ModelName(name, f"/{name}", revision)
    for found in (named.short, named.long):
        case = Case(found, FINE_TUNING, "r16", is_planned=True)
        assert Case.parse(case.id, [found], ["r16"]) == case
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", found)


def test_models_of_one_name_get_names_that_are_theirs_alone(model_folder):
    mine = (
        model_folder("a/llama1B"),
        model_folder("b/llama1B"),
        model_folder("한국어 모델"),
        model_folder("다른 모델"),
        model_folder("x"),
    )
    names = [each.name for each in named_candidates([parse_name(str(each), Path()) for each in mine], OURS)]
    assert len(set(names)) == 5
    assert "llama1B" not in names  # the study's figures are another model's
    assert names[-1] == "x"
    (alone,) = named_candidates([parse_name(str(mine[2]), Path())], OURS)
    assert alone.name == names[2]
    one, other = (ModelName(repo, repo) for repo in ("a/mine", "b/mine"))
    of_hub = {each: candidate_of(each, mine[0], "0" * 40, OURS) for each in (one, other)}
    assert [each.name for each in with_own_names(of_hub, ())] == ["a--mine", "b--mine"]


def test_folders_whose_names_differ_in_case_alone_are_two_models(model_folder):
    folders = [model_folder("one/Mine"), model_folder("one/mine")]
    found = named_candidates([parse_name(str(each), Path()) for each in folders], OURS)
    assert [each.repo for each in found] == list(map(str, folders))
    assert len({each.name.lower() for each in found}) == 2


def test_a_model_with_an_entry_is_that_candidate_and_asks_nobody():
    (entry,) = named_candidates([ModelName("", "qwen/qwen3-0.6b"), ModelName("", "Qwen/Qwen3-0.6B")], OURS)
    assert entry == next(each for each in OURS if each.name == "Qwen3-0.6B")


def test_what_the_card_says_is_taken_over(model_folder):
    (found,) = named_candidates([parse_name(str(model_folder(README_md=CARD)), Path())], OURS)
    assert (found.card_license, found.binding_license, found.free_license) == ("apache-2.0", "apache-2.0", True)
    assert (found.base_model, found.korean, found.group) == ("Qwen/Qwen3-0.6B-Base", "supported", "seed")
    assert (found.parameters, found.target_modules, found.revision) == (0, (), None)


def test_a_base_that_is_not_free_binds_and_no_card_says_nothing(model_folder):
    bound = model_folder("bound", README_md="---\nlicense: mit\nbase_model: google/gemma-2-2b\n---\n")
    plain = model_folder("plain")
    first, second = named_candidates([parse_name(str(each), Path()) for each in (bound, plain)], OURS)
    assert (first.card_license, first.binding_license, first.free_license) == ("mit", "Gemma Terms of Use", False)
    assert (second.card_license, second.binding_license, second.free_license) == (NOT_STATED, NOT_STATED, False)
    assert second.korean == "unknown"


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("# no front matter", Card()),
        ("---\nlicense: [\n---\n", Card()),
        ("---\n- a\n---\n", Card()),
        ("---\nlicense: mit\n", Card()),
        ("---\r\nlicense: mit\r\n---", Card("mit")),
        ("---\nlicense: other\nlicense_name: exaone\n---\n", Card("exaone")),
        ("---\nlicense: other\n---\n", Card("other")),
        ("---\nlanguage: no\nbase_model: {a: 1}\nlicense: 3\n---\n", Card()),
        ("---\nx: &x [1]\ny: *x\n---\n", Card()),
        ("---\nlicense: !!python/object/apply:os.getcwd []\n---\n", Card()),
    ],
)
def test_a_card_is_somebodys_text(text, card, model_folder):
    assert read_card(model_folder(README_md=text)) == card


_LINES = [f"{new}: &{new} [*{old}, *{old}]" for old, new in pairwise("abcdef")]
BOMB = "\n".join(["a: &a [x, x]", *_LINES])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "an alias"),
        ("[" * 10_000, "nested too deeply|end|expected"),
        ("a: [", "expected the node content, but found .* in line 1"),
        ("!!python/name:os.system x", "could not determine a constructor"),
        ("x: 2026-99-99", "month must be in"),
        ("a" * (MOST_YAML_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_yaml_is_read_within_bounds(text, says):
    with pytest.raises(ValueError, match=says):
        read_yaml(text)
    assert read_yaml("a" * 1000) == "a" * 1000


@given(st.text("[]{}:,-&*!|>\n #ab19.'\"%@`?~<=_+eT\t\\", max_size=40) | st.from_regex(r"!!\w+ ?.*", fullmatch=True))
@example("!!timestamp")
def test_whatever_stands_in_a_yaml_file_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        read_yaml(text)


def put(folder, **files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no config.json: give a model as save_pretrained leaves it"),
        ({"model__safetensors": ""}, "has no config.json"),
        ({"model__Q4_K_M__gguf": ""}, "has GGUF files, which cannot be fine-tuned"),
        (
            {"adapter_config__json": '{"base_model_name_or_path": "Qwen/Qwen3-0.6B"}'},
            "is an adapter without its base model: give --model Qwen/Qwen3-0.6B, and its adapter_config.json to",
        ),
        ({"adapter_config__json": "["}, "give --model the base model that its card names"),
        ({"config__json": "{"}, "cannot be read as JSON"),
        ({"config__json": " " * 4 * 2**20 + "{}"}, "larger than 4 MiB"),
        ({"config__json": "[]"}, "lacks the field 'model_type'"),
        ({"config__json": json.dumps(TINY | {"num_hidden_layers": 10**6})}, "num_hidden_layers is more than 1,000"),
        (
            {"config__json": '{"model_type": "new", "auto_map": {}}'},
            "for that, write its entry by hand, with remote_code",
        ),
        ({"config__json": '{"model_type": "new"}'}, "does not have: update transformers, or correct model_type"),
        ({"config__json": '{"model_type": "roberta"}'}, "is roberta, which writes no text"),
        ({"config__json": json.dumps(TINY | {"quantization_config": {"quant_method": "awq"}})}, "(awq)"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_in_one_sentence(files, says, tmp_path, capsys):
    put(tmp_path / "it", **files)
    assert main(["candidates", "--model", str(tmp_path / "it"), "--into", str(tmp_path / "c.toml")]) == 2
    _, errors = capsys.readouterr()
    assert says in errors
    assert (len(errors.splitlines()), len(errors) < 420) == (1, True)
    assert not (tmp_path / "c.toml").exists()


def test_a_file_in_a_folders_place_and_a_command_without_anything(tmp_path, capsys):
    (tmp_path / "m.gguf").touch()
    assert main(["candidates", "--model", str(tmp_path / "m.gguf")]) == 2
    assert "is a file: give the folder that holds" in capsys.readouterr().err
    assert main(["candidates"]) == 2
    assert "or --model with a model, and not both" in capsys.readouterr().err


def test_the_entry_is_written_and_reads_back(model_folder, tokenizer_files, tmp_path, capsys, monkeypatch):
    path = model_folder(README_md=CARD, **tokenizer_files)
    monkeypatch.chdir(tmp_path)
    assert main(["candidates", "--model", "my-model", "--model", "Qwen/Qwen3-0.6B", "--into", "new/mine.toml"]) == 0
    output = capsys.readouterr().out
    assert f"my-model, {path}: {TINY_PARAMETERS:,} parameters; adapters on q_proj, k_proj" in output
    assert "in new/mine.toml: 2 candidates; run with pytest benches --candidates new/mine.toml" in output
    mine, known = read_candidates(tmp_path / "new" / "mine.toml")
    assert (mine.name, mine.parameters, mine.repo) == ("my-model", TINY_PARAMETERS, str(path))
    assert mine.folder(Path("elsewhere")) == path
    assert mine.chars_per_token is not None
    assert 0.3 < mine.chars_per_token < 1  # of a character's three bytes
    assert (known.name, known.folder(None)) == ("Qwen3-0.6B", None)
    assert 'repo = "../my-model"' in (tmp_path / "new" / "mine.toml").read_text(encoding="utf-8")


def test_a_tokenizer_that_cannot_be_read_is_left_to_the_cases_that_need_it(model_folder, tmp_path, capsys):
    path = model_folder()
    (path / "tokenizer.json").write_text("{", encoding="utf-8")
    assert main(["candidates", "--model", str(path), "--into", str(tmp_path / "mine.toml")]) == 0
    assert "an unknown number of characters a token" in capsys.readouterr().out


def test_the_tokens_of_its_chat_template_are_counted(model_folder, tokenizer_files, tmp_path, capsys, monkeypatch):
    from transformers import AutoTokenizer

    path = model_folder(**tokenizer_files)
    (path / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["candidates", "--model", "my-model", "--into", "mine.toml"]) == 0
    (mine,) = read_candidates(tmp_path / "mine.toml")
    tokenizer = AutoTokenizer.from_pretrained(path)
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "question"}], add_generation_prompt=True)
    assert mine.template_tokens == len(asked["input_ids"]) - len(tokenizer("question")["input_ids"]) > 20
    assert f"template of its own, for chats, of {mine.template_tokens} tokens" in " ".join(
        capsys.readouterr().out.split()
    )
    (path / "chat_template.jinja").write_text("{{ messages[9].content }}", encoding="utf-8")
    assert main(["candidates", "--model", "my-model", "--into", "other.toml"]) == 0
    (other,) = read_candidates(tmp_path / "other.toml")
    assert (other.chars_per_token, other.template_tokens) == (mine.chars_per_token, None)
