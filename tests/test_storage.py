"""Which stored run `--benchmark-compare` means."""

import os

import pytest

from ohlora_fixtures.session.options import of_any_python


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


def test_a_number_is_a_run_of_any_python_and_a_path_stays(runs, tmp_path, monkeypatch):
    assert of_any_python("0001", tmp_path) == "*/0001"
    assert of_any_python("Linux-CPython-3.11/0001", tmp_path) == "Linux-CPython-3.11/0001"
    assert of_any_python(str(runs[0]), tmp_path) == str(runs[0])
    monkeypatch.chdir(runs[0].parent)
    assert of_any_python("0002_b.json", tmp_path) == "0002_b.json"
