"""`--model` with an id on the Hub: a server on this machine stands in for it."""

import json

import pytest
from hub_server import COMMIT, hub_server
from huggingface_hub import constants

from conftest import TINY
from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.named_models import FILES, NOT_STATED, parse_name
from ohlora_fixtures.session import hub
from ohlora_fixtures.session.named_models import named_candidates

OURS = read_candidates(DATA / "candidates.toml")
CARD = "---\nlicense: apache-2.0\nbase_model: Qwen/Qwen3-0.6B-Base\n---\n"

ASKED = []
"""The paths that this Hub was asked for."""
MODEL = {
    "config.json": json.dumps(TINY),
    "README.md": CARD,
    "tokenizer.json": "{}",
    "model.safetensors": "weights",
    "modeling_own.py": "raise SystemExit",
    ".gitattributes": "",
}
REPOSITORIES = {
    "somebody/tiny": (MODEL, {}),
    "somebody/gguf": ({"tiny.Q8_0.gguf": ""}, {}),
    "somebody/adapter": ({"adapter_config.json": "{}"}, {}),
    "somebody/large": (MODEL, {"tokenizer.json": FILES["tokenizer.json"] + 1}),
    "somebody/long-card": (MODEL, {"README.md": FILES["README.md"] + 1}),
}


def answer(path):
    """Answers like the Hub for these repositories, of one commit each."""
    ASKED.append(path)
    if path.startswith("api/models/"):
        name, _, revision = path.removeprefix("api/models/").partition("/revision/")
        return about(name, revision)
    name, _, rest = path.partition("/resolve/")
    if name == "somebody/gated":
        return 403, "GatedRepo", b"{}"
    return 200, None, REPOSITORIES[name][0][rest.partition("/")[2]].encode()


def about(name, revision):
    if revision not in ("", "main", COMMIT):
        return 404, "RevisionNotFound", b"{}"
    if name not in REPOSITORIES and name != "somebody/gated":
        return 404, "RepoNotFound", b"{}"
    files, sizes = REPOSITORIES.get(name, ({"config.json": "{}"}, {}))
    siblings = [{"rfilename": each, "size": sizes.get(each, len(text))} for each, text in files.items()]
    return 200, None, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()


@pytest.fixture(scope="module")
def address():
    with hub_server(answer) as found:
        yield found


@pytest.fixture
def at_the_hub(address, monkeypatch, tmp_path):
    """The candidate of a name at this Hub, with an empty cache of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    ASKED.clear()

    def found(name):
        return named_candidates([parse_name(name, tmp_path)], OURS)[0]

    return found


def test_of_a_repository_only_what_a_plan_needs_is_downloaded(at_the_hub):
    found = at_the_hub("somebody/tiny")
    assert (found.name, found.repo, found.revision) == ("tiny", "somebody/tiny", COMMIT)
    assert (found.card_license, found.base_model) == ("apache-2.0", "Qwen/Qwen3-0.6B-Base")
    there = {path.name for path in found.config.parent.iterdir()}
    assert there == {"config.json", "README.md", "tokenizer.json"}
    assert not any("safetensors" in path or path.endswith(".py") for path in ASKED)


def test_what_was_downloaded_once_needs_no_network(at_the_hub, monkeypatch):
    found = at_the_hub("somebody/tiny")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    monkeypatch.setattr(hub, "_TIMEOUT_SECONDS", 0.5)
    assert at_the_hub("somebody/tiny") == found
    with pytest.raises(InputError, match="the Hub cannot be reached for --model somebody/gguf"):
        at_the_hub("somebody/gguf")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("somebody/none", "--model somebody/none is missing on the Hub, or private: correct the name"),
        ("somebody/tiny@v9", "--model somebody/tiny@v9 has no revision 'v9'"),
        ("somebody/gated", "--model somebody/gated is gated: accept its terms on its page and log in"),
        ("somebody/gguf", "has GGUF files, which cannot be fine-tuned"),
        ("somebody/adapter", "is an adapter without its base model: give --model the base model that its card names"),
        ("somebody/large", "has a tokenizer.json of more than 64 MiB"),
    ],
)
def test_a_repository_that_cannot_be_used_is_told_in_one_sentence(at_the_hub, name, says):
    with pytest.raises(InputError) as raised:
        at_the_hub(name)
    assert says in str(raised.value)


def test_a_card_that_is_too_long_is_left_out(at_the_hub):
    assert at_the_hub("somebody/long-card").card_license == NOT_STATED


def test_a_named_revision_and_the_file_that_is_written_pin_the_commit(at_the_hub, tmp_path, capsys):
    (tmp_path / "mine.toml").touch()
    options = ["--into", str(tmp_path / "mine.toml")]
    assert main(["candidates", "--model", "somebody/tiny@main", *options]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["candidates", "--model", "somebody/tiny@main", "--overwrite", *options]) == 0
    (found,) = read_candidates(tmp_path / "mine.toml")
    assert (found.name, found.revision) == ("tiny-main", COMMIT)
    assert found.config == tmp_path / "configs" / "tiny-main.json"
