"""Fixtures of the suite's own tests."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forked import Forking
from hypothesis import HealthCheck, settings

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # bitsandbytes compiles nothing, and a process starts 1 s earlier
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers do not wait for each other's threads

pytest_plugins = ["pytester", "_hypothesis_pytestplugin"]

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is
)
settings.register_profile("dev", settings.get_profile("ci"), max_examples=25)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def at_most(examples: int) -> settings:
    """The loaded profile with no more examples than these, for tests that take long with each."""
    return settings(max_examples=min(examples, settings.default.max_examples))


ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset of `count` train rows, some of them without an answer."""

    def write(count: int = 140, answers: dict[int, str] | None = None, encoding: str = "utf-8") -> Path:
        path = tmp_path / "dataset.csv"
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", "data_type", "input_data", "output_data", "output_message", "memory"])
            for row in range(count):
                answer = (answers or {}).get(row, f"대답 {row}!")
                writer.writerow([row, "train", f"질문 {row}?", answer, answer, ""])
        return path

    return write


@pytest.fixture
def write_candidates(tmp_path: Path) -> Callable[..., Path]:
    """Writes a candidates file with one entry; a keyword changes a key, None leaves it out."""

    def write(**changes: object) -> Path:
        (tmp_path / "configs").mkdir(exist_ok=True)
        shutil.copy(DATA / "configs" / "FinguAI-Chat-v1.json", tmp_path / "configs" / "small.json")
        entry = {
            "name": "small",
            "group": "seed",
            "repo": "somebody/small",
            "config": "configs/small.json",
            "parameters": 463987712,
            "card_license": "apache-2.0",
            "binding_license": "apache-2.0",
            "free_license": True,
            "korean": "supported",
            "target_modules": ["q_proj", "v_proj"],
            "text_template": "{input} -> {output}",
            **changes,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items() if value is not None]
        path = tmp_path / "candidates.toml"
        path.write_text("\n".join(["[[candidate]]", *lines]) + "\n", encoding="utf-8")
        return path

    return write


TINY = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 8000,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
"""An architecture whose plan takes a second."""
TINY_PARAMETERS = 3229952


@pytest.fixture
def tiny(tmp_path: Path, write_candidates: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a candidates file with one candidate of the tiny architecture, called `tiny`; keywords change keys."""

    def write(architecture: dict[str, object] | None = None, **changes: object) -> Path:
        entry = {"name": "tiny", "config": "configs/tiny.json", "parameters": TINY_PARAMETERS, **changes}
        path = write_candidates(**entry)
        (tmp_path / "configs" / "tiny.json").write_text(json.dumps(TINY | (architecture or {})), encoding="utf-8")
        return path

    return write


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with a config.json of the tiny architecture, and others by their names, `_py` for `.py`."""

    def write(name: str = "my-model", **files: str) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True)
        files = {
            "config.json": json.dumps(TINY),
            **{re.sub("_(md|py)$", r".\1", each): text for each, text in files.items()},
        }
        for each, text in files.items():
            (path / each).write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of a tokenizer, by their names."""
    from ohlora_fixtures.workloads.stand_ins import stand_in_tokenizer

    path = tmp_path_factory.mktemp("tokenizer")
    stand_in_tokenizer(["안녕하세요, 반갑습니다"], 1.0).save_pretrained(path)
    return {each.name: each.read_text(encoding="utf-8") for each in path.iterdir()}


@pytest.fixture
def heavy_imports() -> Callable[..., str]:
    """Runs `python -m ohlora_fixtures` in a process of its own; returns its errors, and heavy imports."""

    def run(*arguments: object) -> str:
        script = (
            "import sys; from ohlora_fixtures.__main__ import main; "
            f"status = main({[*map(str, arguments)]!r}); "
            "sys.exit(status or ', '.join({'torch', 'transformers', 'peft', 'pandas', 'pytest'} & {*sys.modules}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return done.stderr.strip()

    return run


@pytest.fixture(scope="session")
def forking() -> Iterator[Callable[[], Forking]]:
    """Gives the process that forks sessions."""
    started: list[Forking] = []

    def get() -> Forking:
        if not started:
            started.append(Forking())
        return started[0]

    yield get
    for each in started:
        each.end()


@pytest.fixture
def suite(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, forking: Callable[[], Forking]
) -> pytest.Pytester:
    """A pytest session's folder with the suite's own benches and settings, and no network.

    `suite.runpytest_forked` is as `suite.runpytest_subprocess`, with the heavy libraries imported already.
    """
    shutil.copytree(ROOT / "benches", pytester.path / "benches")
    shutil.copy(ROOT / "pytest.ini", pytester.path)
    shutil.copy(ROOT / "conftest.py", pytester.path)
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:  # of the run that tests the suite
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")  # imports all of hypothesis at a session's end

    def run_forked(*arguments: object) -> pytest.RunResult:
        began, number = time.perf_counter(), len([*pytester.path.glob("forked-*")])
        folder = pytester.mkdir(f"forked-{number}")
        out, errors = folder / "stdout", folder / "stderr"
        status = forking().run([f"--basetemp={folder / 'temporary'}", *arguments], out, errors)
        lines = [path.read_text(encoding="utf-8").splitlines() for path in (out, errors)]
        print(*lines[0], *lines[1], sep="\n")  # noqa: T201 - shown if the test fails
        return pytest.RunResult(status, *lines, time.perf_counter() - began)

    is_safe = sys.platform == "linux"  # elsewhere libraries do not survive a fork
    pytester.runpytest_forked = run_forked if is_safe else pytester.runpytest_subprocess  # type: ignore[attr-defined]
    return pytester


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., object]:
    """Judges answers; the waits before further tries are kept in `judge.waits`."""
    from judge_server import KEY, ONE

    from ohlora_fixtures.inputs.judge_settings import judge_settings
    from ohlora_fixtures.quality.judge import judge_answers

    def run(url, answers=ONE, timeout_seconds=10.0, **how):
        environment = {"OHLORA_JUDGE_API_KEY": how.get("key", KEY)}
        settings = judge_settings(url, how.get("model", "grader"), how.get("tokens"), environment)
        return judge_answers(settings, tmp_path, answers, sleep=run.waits.append, timeout_seconds=timeout_seconds)

    run.waits = []
    run.kept = tmp_path / "judged.jsonl"
    return run


_LONGEST = ("test_validation", "test_study", "test_crashes")


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist take the files in the order given, not those with most tests first."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: item.path.stem not in _LONGEST)
