"""Where pytest-benchmark keeps its runs, so that `--benchmark-compare` finds the last one."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

_SCHEME = "file://"


def keep_benchmarks(config: pytest.Config, name: str) -> None:
    """Save every run as `results/pytest-benchmark/<machine>/<number>_<name>.json`, unless the user chose otherwise.

    With `-q` its tables are left out, unless there is something to compare with.

    Where pytest-benchmark measures nothing, as under pytest-xdist, there is nothing to save.
    """
    option = config.option
    if option.collectonly or getattr(option, "dist", "no") != "no" or option.benchmark_disable:
        return
    if option.benchmark_storage == f"{_SCHEME}./.benchmarks":
        option.benchmark_storage = f"{_SCHEME}{config.rootpath / 'results' / 'pytest-benchmark'}"
    if option.benchmark_compare and option.benchmark_storage.startswith(_SCHEME):
        folder = config.invocation_params.dir / option.benchmark_storage.removeprefix(_SCHEME)
        option.benchmark_compare = of_any_python(option.benchmark_compare, folder)
    if config.get_verbosity() < 0 and not option.benchmark_compare:
        option.benchmark_quiet = True  # its tables repeat times of the comparison
    if not option.benchmark_autosave:
        option.benchmark_autosave = name
        warnings.filterwarnings("ignore", "Not saving anything")  # nobody asked: a plan alone has nothing to save


def of_any_python(asked: str | bool, folder: Path) -> str | bool:  # noqa: FBT001 - as pytest-benchmark's option has it
    """What `--benchmark-compare` asks for, looked for among the runs of every Python and not of the present one alone.

    pytest-benchmark keeps the runs of each system and Python in a folder of their own. The last run is the newest of
    all; a number or name is one of any of them; a path stays as it is.
    """
    if asked is True:
        runs = [(path.stat().st_mtime, path) for path in folder.glob("*/[0-9][0-9][0-9][0-9]_*.json")]
        return str(max(runs)[1]) if runs else asked
    is_bare = isinstance(asked, str) and Path(asked).name == asked and not Path(asked).is_file()
    return f"*/{asked}" if is_bare else asked
