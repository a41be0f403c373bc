"""What `environment.json` tells of a machine: what figures depend on, and not where its files are."""

import sys
from pathlib import Path

import pytest

from ohlora_fixtures.base.errors import one_line
from ohlora_fixtures.base.messages import message
from ohlora_fixtures.meters.nvml import Nvml
from ohlora_fixtures.results.environment import describe_environment, published


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Starts a session with these arguments in a project of somebody's home folder; returns what is told of it."""
    project = tmp_path / "home" / "kim" / "project"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setattr(Path, "home", lambda: project.parent)

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", [str(each).replace("HOME", str(project.parent)) for each in arguments])
        return describe_environment(Nvml())

    return start


def test_paths_are_relative_to_the_project_or_home_and_the_note_says_so(started):
    told = started(
        *("HOME/project/.venv/bin/pytest", "benches", "HOME/project/benches/bench_plan.py::bench_plan[a-r16]"),
        *("--dataset=HOME/project/data/own.csv", "--model-dir", "HOME/weights", "--rootdir=HOME/project"),
        *("--grades", "/mnt/kim/lab 7/grades.csv", "--junitxml=/srv/kim/out.xml", "-c/etc/kim/pytest.ini"),
        *("--benchmark-storage=file:///mnt/kim/runs", "--judge", "http://localhost:11434/v1", "C:\\Users\\kim\\a.toml"),
        *("HOME/projects-of-others/x", "-k", "a/b", "--protocol=epochs=1"),
    )
    assert told["command"] == [
        *("pytest", "benches", "./benches/bench_plan.py::bench_plan[a-r16]"),
        *("--dataset=./data/own.csv", "--model-dir", "~/weights", "--rootdir=."),
        *("--grades", "…/grades.csv", "--junitxml=…/out.xml", "-c…/pytest.ini"),
        *("--benchmark-storage=file://…/runs", "--judge", "http://localhost:11434/v1", "…/a.toml"),
        *("~/projects-of-others/x", "-k", "a/b", "--protocol=epochs=1"),
    ]
    assert told["command_note"] == (
        "paths are shortened: . is the folder it was started in, ~ the home folder, … any other"
    )


def test_a_command_without_such_paths_stays_as_it_is(started):
    told = started("/usr/lib/python3/site-packages/pytest/__main__.py", "benches", "-k", "plan")
    assert told["command"] == ["python -m pytest", "benches", "-k", "plan"]
    assert "command_note" not in told


def test_where_the_root_is_somebodys_home_nothing_is_taken_for_it(monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert published("/data/x.csv") == "…/x.csv"


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("HOME/project/results/a", "results/a"),
        ("HOME/project", "."),
        ("HOME/runs/a", "~/runs/a"),
        ("HOME/project-2/a", "~/project-2/a"),
        ("results/a", "results/a"),
        ("/srv/a", "/srv/a"),
    ],
)
def test_what_is_said_of_a_folder_names_it_from_the_project_or_home(started, folder, told):
    started("pytest")
    path = Path(folder.replace("HOME", str(Path.home())))
    assert str(message("step.any_license", folder=path)).endswith(f" report {told} --any-license")


def test_what_a_library_says_of_a_path_names_no_home(started):
    started("pytest")
    home = Path.home()
    error = OSError(f"no file {home}/.cache/hub/a.json, nor '{home}/project/b', nor {home}-2/c")
    assert one_line(error) == f"OSError: no file ~/.cache/hub/a.json, nor './b', nor {home}-2/c"
