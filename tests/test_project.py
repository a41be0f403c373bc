"""What the project says of itself."""

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from pytest_benchmark.utils import parse_compare_fail

from ohlora_fixtures.base.units import parse_size_mib
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, parse_weights
from ohlora_fixtures.inputs.settings import OPTIONS, SWITCHES
from ohlora_fixtures.results.memory_growth import parse_limits

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_nothing_that_the_readme_does_not_tell():
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert len(commands) == 2
    assert [line for line in commands if line not in README] == []


def test_the_gpu_workflow_installs_as_the_readme_does_and_its_limits_can_be_read():
    workflow = (ROOT / ".github" / "workflows" / "gpu.yml").read_text(encoding="utf-8")
    (install,) = re.findall(r"run: (.*pip install.*)", workflow)
    assert install in README
    values = dict(re.findall(r'^  (TIME_LIMIT|MEMORY_LIMIT): "(.+)"$', workflow, flags=re.MULTILINE))
    assert parse_compare_fail(values["TIME_LIMIT"]).field == "median"
    assert [limit.quantity for limit in parse_limits(values["MEMORY_LIMIT"])] == ["peak"]
    budget = re.search(r"^  VRAM_BUDGET: .*'(.+)'", workflow, flags=re.MULTILINE)
    assert parse_size_mib(budget[1]) == parse_size_mib("12GB")
    guide = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert [f"| `{name}` | `{value}` |" in guide for name, value in values.items()] == [True, True]


def test_the_docs_have_every_option_in_a_table():
    rows = re.findall(r"^\| (`--.+?) \|", (ROOT / "docs" / "options.md").read_text(encoding="utf-8"), re.MULTILINE)
    shown = {flag for row in rows for flag in re.findall(r"`(--[\w-]+)", row)}
    assert shown == {option.flag for option in (*OPTIONS, *SWITCHES)}


def test_the_ini_file_shows_every_weight_of_the_choice_at_its_default():
    settings = ConfigParser(interpolation=None)
    settings.read(ROOT / "pytest.ini", encoding="utf-8")
    text = settings["pytest"]["choice_weights"]
    assert {part.partition("=")[0] for part in text.split()} == set(DEFAULT_WEIGHTS)
    assert parse_weights(text) == DEFAULT_WEIGHTS


def test_what_overhead_measures_can_be_imported_and_the_table_of_architectures_made():
    def printed(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8").stdout

    assert "test_scale.py" in printed("-m", "pytest", "overhead", "--collect-only", "-q")
    assert "| llama | yes | yes |" in printed("overhead/architectures.py", "llama")
