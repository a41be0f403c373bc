"""Damaged input of every kind: one sentence of at most 400 characters, never a traceback, 30 s or 2 GB.

The same inputs each time; `OHLORA_FUZZ_EXAMPLES=500 pytest tests/test_fuzz.py` tries more of each kind.
"""

import contextlib
import copy
import json
import os
import re
import resource
import sys
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import made
from test_untrusted import HOSTILE, is_obeyed

from conftest import TINY
from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.errors import CandidateError, InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.settings import OPTIONS, SWITCHES
from ohlora_fixtures.inputs.variants import read_variants
from ohlora_fixtures.quality.grades import read_grades
from ohlora_fixtures.results.folder import read_records
from ohlora_fixtures.session.options import read_settings
from ohlora_fixtures.session.resume import read_identity, resumed

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("OHLORA_FUZZ_EXAMPLES", "40"))
MOST_SECONDS, MOST_BYTES, MOST_CHARACTERS = 30, 2 * 2**30, 400
KIB = 1 if sys.platform == "darwin" else 1024
"""Bytes in which a system tells the most memory that a process has had."""


def fuzzed(*strategies, share=1.0):
    """A test over that share of the examples."""
    profile = settings(
        max_examples=max(1, int(EXAMPLES * share)),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        derandomize=True,
        deadline=None,
        database=None,
    )
    return lambda test: profile(given(*strategies)(test))


@contextlib.contextmanager
def told_in_a_sentence():
    """Lets pass what the suite says itself, and holds it and what it took against the bounds."""
    began, most = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
    except (InputError, CandidateError) as error:
        check(str(error))
    assert time.process_time() - began < MOST_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most) * KIB < MOST_BYTES


def check(sentence):
    assert 0 < len(sentence) <= MOST_CHARACTERS
    assert not [each for each in sentence if is_obeyed(each)]


def run(capsys, *arguments):
    """A command; what it says of wrong input is one sentence."""
    capsys.readouterr()
    with told_in_a_sentence():
        status = main([*map(str, arguments)])
        told = capsys.readouterr().err
        assert status in (0, 1, 2)
        assert "Traceback" not in told
        if status == 2:
            check(told.removeprefix("error: ").removesuffix("\n"))


DIGITS = "9" * 5000
TOKENS = [
    *("", " ", "\0", "\n", "\r", '"', "'", '""', '"""', ",", ";", "\t", "=", ":", "/", "\\", "[", "]", "{", "}", "#"),
    *("0", "-1", "1e999", "NaN", "-Infinity", "1_0", "٣", "½", DIGITS, "null", "true", "\ufeff", "\u202e", "\u2028"),
    *("[" * 2000, "{" * 2000, "../" * 40, "/dev/zero", "a" * 300, "한글", "\ud800", "=cmd|'x'!A0", "r16", "12GB"),
]
WORDS = st.one_of(st.sampled_from(TOKENS), HOSTILE)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), WORDS), min_size=1, max_size=4)


def damaged(text, edits):
    """A text in which, at some places, so many characters have given way to others."""
    for place, length, word in edits:
        at = int(place * len(text))
        text = text[:at] + word + text[at + length :]
    return text.encode("utf-8", "surrogatepass")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from([10**30, -(2**63), 1e308, float("nan"), float("inf"), 0.5, [], {}, [[]], {"": None}, [1, "a"]]),
    WORDS.filter(lambda word: word != DIGITS),
)


def places(facts, path=()):
    """Every place within nested facts."""
    inner = facts.items() if isinstance(facts, dict) else enumerate(facts) if isinstance(facts, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def changed(facts, changes):
    """Facts with other values at some places, or with what is not known there."""
    facts = json.loads(json.dumps(facts))
    for chance, value in changes:
        there = list(places(facts))
        if not there:
            break
        *path, last = there[int(chance * (len(there) - 1))]
        inner = facts
        for name in path:
            inner = inner[name]
        inner[last] = copy.deepcopy(value)
    return facts


CHANGES = st.lists(st.tuples(st.floats(0, 1), VALUES), min_size=1, max_size=3)

SOUND = {
    "vram_budget": "12GB",
    "candidate": "gemma-2-2b-it",
    "variants": "r16,r32",
    "lora_ranks": "16,32",
    "memory_compare_fail": "peak:5%",
    "choice_weights": "quality=5,leaderboard=1",
    "judge": "http://localhost:11434/v1",
    "judge_tokens": "1_000",
    "protocol": "prompt_rows=0:2",
    "gpu_profile": "rtx3060-12gb",
}


class Config:
    """As much of pytest's as options are read from."""

    def __init__(self, folder, given):
        self._given, self.rootpath, self.inipath = given, folder, None
        self.invocation_params = SimpleNamespace(dir=folder)

    def getoption(self, name, default=None):
        return self._given.get(name, default)

    def getini(self, name):
        return None


@fuzzed(st.lists(st.tuples(st.sampled_from(OPTIONS), EDITS), min_size=1, max_size=2), share=0.5)
def test_options(tmp_path, monkeypatch, options):
    monkeypatch.delenv("OHLORA_JUDGE_API_KEY", raising=False)
    values = {each.name: damaged(SOUND.get(each.name, "a"), edits).decode(errors="replace") for each, edits in options}
    repeatable = {each.name for each in OPTIONS if each.repeatable}
    with told_in_a_sentence():
        read_settings(
            Config(
                tmp_path,
                {name: [value] if name in repeatable else value.replace("\0", "") for name, value in values.items()}
                | {switch.name: True for switch in SWITCHES if switch.name != "resume_anyway"},
            )
        )


CANDIDATES = (DATA / "candidates.toml").read_text(encoding="utf-8")
FIRST = f"[[candidate]]{CANDIDATES.split('[[candidate]]')[1]}".replace("configs/", f"{DATA.as_posix()}/configs/")
FILES = {
    "candidates": (FIRST, read_candidates),
    "variants": ((DATA / "variants.toml").read_text(encoding="utf-8"), read_variants),
    "gpus": (f"[[gpu]]{(DATA / 'gpus.toml').read_text(encoding='utf-8').split('[[gpu]]')[1]}", read_profiles),
    "dataset": ("\n".join((DATA / "dialogues.csv").read_text(encoding="utf-8").splitlines()[:9]), read_dialogues),
    "grades": (
        'candidate,variant,prompt,answer,tokens,seconds,grade\na,r16,"왜?","응,\n아니",3,0.5,상\na,,,,,,4\n',
        lambda path: read_grades([path]),
    ),
}


@pytest.mark.parametrize("kind", FILES)
@fuzzed(EDITS)
def test_files_of_text(tmp_path, kind, edits):
    text, read = FILES[kind]
    path = tmp_path / "file"
    path.write_bytes(damaged(text, edits))
    with told_in_a_sentence():
        read(path)


@fuzzed(CHANGES, share=0.75)
def test_architectures(tmp_path, changes):
    from ohlora_fixtures.workloads.models import outline

    config = tmp_path / "config.json"
    config.write_text(json.dumps(changed({**TINY, "rope_scaling": {"factor": 2.0}}, changes)), errors="surrogatepass")
    path = tmp_path / "candidates.toml"
    path.write_text(re.sub(r'config = ".*"', 'config = "config.json"', FIRST), encoding="utf-8")
    with told_in_a_sentence():
        outline(*read_candidates(path))


BOARD = [
    {"fullname": "google/gemma-2-2b-it", "Average": 40.4, "#Params (B)": 2.6, "Hub License": "gemma", "Base Model": ""},
    {"fullname": "a/ko-llama-1b", "Average": 30, "#Params (B)": "1,2", "Hub License": "mit", "Architecture": "Llama"},
]
HEADS = list(BOARD[0])
AS_CSV = "\n".join(",".join(f'"{cell}"' for cell in row) for row in [HEADS, *(each.values() for each in BOARD)])


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl"])
@fuzzed(EDITS, st.one_of(st.just([]), CHANGES), share=0.5)
def test_leaderboards(tmp_path, capsys, ending, edits, changes):
    path = tmp_path / f"board.{ending}"
    rows = changed(BOARD, changes)
    as_json = json.dumps(rows) if ending == "json" else "\n".join(map(json.dumps, rows))
    path.write_bytes(damaged(AS_CSV if ending == "csv" else as_json, [] if changes else edits))
    run(capsys, "candidates", path, "--into", tmp_path / "into.toml", "--overwrite", "--assume-korean")


RECORDS = [
    made("gemma-2-2b-it", "r16", scale="full", weights="hub", seconds=60.0, peak_device_mib=9000.0, losses=[2.0, 1.0]),
    made("gemma-2-2b-it", scale="full", weights="hub", seconds=50.0, seconds_each=[1.0, 2.0], taints=["heat"]),
    made("gemma-2-2b-it", "r16", is_planned=True, peak_device_mib=9000.0, breakdown_mib={"weights": 1.0}),
]


@fuzzed(CHANGES, EDITS, st.booleans())
def test_records(tmp_path, capsys, changes, edits, is_text):
    folder = tmp_path / "session"
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(changed(each.as_dict(), changes)) for each in RECORDS[1:]]
    text = "\n".join([RECORDS[0].as_line().decode().strip(), *lines, ""])
    (folder / "records.jsonl").write_bytes(damaged(text, edits) if is_text else text.encode("utf-8", "surrogatepass"))
    run(capsys, "report", folder, "--into", tmp_path / "into", "-v")


IDENTITY = {
    "schema": 2,
    "candidates": {"gemma-2-2b-it": {"parameters": 1}},
    "variants": {"r16": {"training": {}}},
    "protocol": {},
    "gpu_profile": {"name": "t4"},
    "versions": {},
}


@fuzzed(CHANGES, share=0.5)
def test_what_a_session_leaves_to_be_resumed(tmp_path, changes):
    folder = tmp_path / "session"
    folder.mkdir(exist_ok=True)
    (folder / "session.json").write_text(json.dumps(changed(IDENTITY, changes)), errors="surrogatepass")
    (folder / "records.jsonl").write_bytes(b"".join(each.as_line() for each in RECORDS))
    with told_in_a_sentence():
        asked, _ = read_settings(Config(tmp_path, {"resume": "session"}))
        found = read_records(folder)
        resumed(asked, read_identity(folder), found.records, {}, is_torn=False)
