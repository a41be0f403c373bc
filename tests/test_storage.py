"""Which stored run `--benchmark-compare` means."""

import json
import os
from types import SimpleNamespace

import pytest

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.results.memory_growth import check_stored_run
from ohlora_fixtures.session.stored_benchmarks import keep_benchmarks, of_any_python, runs_meant


@pytest.fixture
def runs(tmp_path):
    """Runs of two Pythons, the older one's last."""
    paths = []
    for age, name in enumerate(("3.11/0002_b", "3.12/0001_a", "3.11/0001_a")):
        path = tmp_path / f"Linux-CPython-{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
        paths.append(path)
    os.utime(paths[1], (2000, 2000))
    return paths


def test_the_last_run_is_the_newest_of_any_python(runs, tmp_path):
    bare = True
    assert of_any_python(bare, tmp_path) == str(runs[1])
    assert of_any_python(bare, tmp_path / "none") is True


def test_the_last_run_is_the_last_by_number_where_the_clock_was_set_back(runs, tmp_path):
    for path in runs[1:]:
        path.unlink()
    before = runs[0].with_name("0001_a.json")
    before.touch()
    assert before.stat().st_mtime > runs[0].stat().st_mtime
    bare = True
    assert of_any_python(bare, tmp_path) == str(runs[0])


def test_a_number_is_a_run_of_any_python_and_a_path_stays(runs, tmp_path, monkeypatch):
    assert of_any_python("0001", tmp_path) == "*/0001"
    assert of_any_python("Linux-CPython-3.11/0001", tmp_path) == "Linux-CPython-3.11/0001"
    assert of_any_python(str(runs[0]), tmp_path) == str(runs[0])
    monkeypatch.chdir(runs[0].parent)
    assert of_any_python("0002_b.json", tmp_path) == "0002_b.json"


def test_what_names_no_run_is_looked_for_where_it_says(runs, tmp_path, monkeypatch):
    assert sorted(runs_meant("*/0001", tmp_path)) == sorted(runs[1:])
    assert runs_meant("*/0009", tmp_path) == []  # pytest-benchmark says so
    for missing in ("kept/here/a.json", "/a.json", "/nowhere", "a.json"):
        assert runs_meant(missing, tmp_path) == [type(tmp_path)(missing)]


STATS = {"min": 1, "max": 1.5, "mean": 1, "stddev": 0, "median": 1, "iqr": 0, "outliers": "0;0", "ops": 1}
CASE = {"name": "a", "fullname": "b.py::a", "extra_info": {}, "stats": {**STATS, "rounds": 1, "iterations": 1}}


@pytest.mark.parametrize(
    "damage",
    [
        {},
        {"benchmarks": None},
        {"benchmarks": [{**CASE, "name": 5}]},
        {"benchmarks": [{**CASE, "stats": STATS}]},
        {"benchmarks": [{**CASE, "extra_info": []}]},
        {"machine_info": 3},
        "[" * 100_000,
        '{"benchmarks": [',
        "9" * 5000,
    ],
)
def test_a_stored_run_that_is_damaged_is_refused_before_anything_is_measured(tmp_path, damage):
    path = tmp_path / "run.json"
    whole = {"machine_info": {}, "benchmarks": [CASE]}
    path.write_text(json.dumps(whole))
    check_stored_run(path)
    path.write_text(damage if isinstance(damage, str) else json.dumps({**whole, **damage} if damage else {}))
    with pytest.raises(
        InputError, match=r"run\.json cannot be compared with \(it is no run of pytest-benchmark\): give"
    ):
        check_stored_run(path)


def test_without_pytest_benchmark_there_is_nothing_to_keep():
    keep_benchmarks(SimpleNamespace(option=SimpleNamespace(collectonly=False)), "name")
