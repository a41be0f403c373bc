"""Where pytest-benchmark keeps its runs, and which of them a session is compared with."""

import warnings
from pathlib import Path

import pytest

from ..base.files import is_file
from ..results.memory_growth import check_stored_run

_FILE_SCHEME = "file://"


def keep_benchmarks(config: pytest.Config, name: str) -> None:
    """Save every run as `results/pytest-benchmark/<machine>/<number>_<name>.json`, unless the user chose otherwise.

    With `-q` its tables are left out, unless there is something to compare with.

    Where pytest-benchmark measures nothing, as under pytest-xdist, there is nothing to save.

    Raises InputError for a run to compare with that is none.
    """
    option = config.option
    is_off = getattr(option, "benchmark_disable", True)  # or not there at all, by -p no:benchmark
    if option.collectonly or getattr(option, "dist", "no") != "no" or is_off:
        return
    if option.benchmark_storage == f"{_FILE_SCHEME}./.benchmarks":
        option.benchmark_storage = f"{_FILE_SCHEME}{config.rootpath / 'results' / 'pytest-benchmark'}"
    if option.benchmark_compare and option.benchmark_storage.startswith(_FILE_SCHEME):
        folder = config.invocation_params.dir / option.benchmark_storage.removeprefix(_FILE_SCHEME)
        option.benchmark_compare = of_any_python(option.benchmark_compare, folder)
        for path in runs_meant(option.benchmark_compare, folder):
            check_stored_run(path)
    if config.get_verbosity() < 0 and not option.benchmark_compare:
        option.benchmark_quiet = True  # its tables repeat times of the comparison
    if not option.benchmark_autosave:
        option.benchmark_autosave = name
        warnings.filterwarnings("ignore", "Not saving anything")  # nobody asked: a plan alone has nothing to save


def of_any_python(asked: str | bool, folder: Path) -> str | bool:  # noqa: FBT001 - as pytest-benchmark's option has it
    """What `--benchmark-compare` asks for, looked for among the runs of every Python and not of the present one alone.

    pytest-benchmark keeps the runs of each system and Python in a folder of their own, and numbers them there. The last
    run is the last of the folder that was written to last, whatever the clock said when its others were; a number or
    name is one of any of them; a path stays as it is.
    """
    if asked is True:
        by_name = sorted(folder.glob("*/[0-9][0-9][0-9][0-9]_*.json"))
        last = [*{path.parent: path for path in by_name}.values()]
        return str(max(last, key=lambda path: path.stat().st_mtime)) if last else asked
    is_bare = isinstance(asked, str) and Path(asked).name == asked and not is_file(Path(asked))
    return f"*/{asked}" if is_bare else asked


def runs_meant(asked: str | bool, folder: Path) -> list[Path]:  # noqa: FBT001
    """The files that pytest-benchmark reads for it; a path that leads to no file, too, as it would trip over that."""
    if not isinstance(asked, str):
        return []
    path = Path(asked)
    if is_file(path) or path.is_absolute() or len(path.parts) > 2:  # noqa: PLR2004 - machine and name
        return [path]
    return [*folder.glob(f"{asked.rstrip('*')}*.json")] or ([path] if path.suffix else [])
