"""In somebody else's project: what installing the package changes there, and what docs/another-project.md adds."""

import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from made import flat_records

from ohlora_fixtures.inputs.settings import OPTIONS, SWITCHES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "another-project.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FLAGS = {option.flag for option in (*OPTIONS, *SWITCHES)}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with what the wheel holds."""
    folder = tmp_path_factory.mktemp("site")
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, to in {**{name: name for name in wheel["packages"]}, **wheel["force-include"]}.items():
        shutil.copytree(ROOT / source, folder / to, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def project(pytester, site, monkeypatch):
    """A project that has the package installed and a test of its own."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:  # of the run that tests the suite
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # what else is installed here is not the project's
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p pytest_benchmark.plugin")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pytester.makepyfile("def test_it(): pass")
    return pytester


@pytest.fixture
def started(project):
    """Starts pytest in the project, in a process of its own."""

    def start(*arguments):
        return project.run(sys.executable, "-m", "pytest", *arguments)

    return start


@pytest.fixture
def turned_on(project):
    """The project with the line of the docs."""
    project.makeconftest(blocks("python")[0])
    return project


def fixtures(result):
    """The fixtures of the package that pytest lists."""
    lines = [line for line in result.outlines if "ohlora_fixtures" in line]
    return {found[1] for line in lines if (found := re.match(r"(\w+)(?: \[.+\])? -- ", line))}


def flags(result):
    return FLAGS.intersection(re.findall(r"--[\w-]+", result.stdout.str()))


def test_the_package_is_no_plugin_by_itself_and_says_that_it_is_typed():
    assert "entry-points" not in PROJECT["project"]
    assert (ROOT / "ohlora_fixtures" / "py.typed").exists()


def test_installing_it_adds_no_fixture_and_no_option(started):
    assert fixtures(started("--fixtures", "-q")) == flags(started("--help")) == set()


def test_one_line_adds_the_documented_fixtures_and_every_option(turned_on, started):
    table = PAGE.partition("| fixture |")[2].partition("\n\n")[0]
    documented = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert fixtures(started("--fixtures", "-q")) == documented
    assert flags(started("--help")) == FLAGS
    started().assert_outcomes(passed=1)
    assert not (turned_on.path / "results").exists()


@pytest.mark.parametrize(
    "command", [line for script in blocks("sh") for line in script.splitlines() if "pyargs" in line]
)
def test_the_documented_commands_collect_the_installed_benches(project, started, command):
    program, *arguments = shlex.split(command)
    if "-p" not in arguments:
        project.makeconftest(blocks("python")[0])
    result = started(*arguments, "--collect-only", "-q")
    assert (program, result.ret) == ("pytest", pytest.ExitCode.OK)
    expected = {"plan and FinguAI and r16": 1, "FinguAI and r16 and not plan": 1}.get(arguments[-1], 56)
    assert len([line for line in result.outlines if "::bench_" in line]) == expected


def test_without_the_line_the_benches_say_what_they_need(started):
    result = started("--pyargs", "ohlora_fixtures.benches")
    result.stdout.fnmatch_lines(["the benches need their plugin: put pytest_plugins = * into conftest.py *"])
    assert "Traceback" not in result.stdout.str()


def test_our_benches_and_the_documented_one_run_where_warnings_are_errors(turned_on, started, tiny):
    (settings,) = blocks("ini")
    turned_on.makeini(settings + "filterwarnings = error\naddopts = --strict-markers --strict-config\n")
    turned_on.mkdir("benches").joinpath("bench_answers.py").write_text(blocks("python")[1])
    ours = [f"ohlora_fixtures.benches.bench_{name}" for name in ("plan", "fine_tuning")]
    started(
        "--pyargs", *ours, "benches", "-k", "not r8 and not plan-inference", "--results-dir", "out",
        "--candidates", tiny(), "--protocol", "epochs=1",
    )  # fmt: skip
    records = flat_records(turned_on.path / "out")
    assert {record["case"] for record in records if record["outcome"] == "passed"} == {
        "bench_plan[tiny-inference]",
        "bench_plan[tiny-r16]",
        "bench_inference[tiny]",
        "bench_fine_tuning[tiny-r16]",
    }
