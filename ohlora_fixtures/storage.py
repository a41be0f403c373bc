"""Where pytest-benchmark keeps its runs, so that `--benchmark-compare` finds the last one."""

from __future__ import annotations

import warnings

import pytest


def keep_benchmarks(config: pytest.Config, name: str) -> None:
    """Save every run as `results/pytest-benchmark/<machine>/<number>_<name>.json`, unless the user chose otherwise.

    Where pytest-benchmark measures nothing, as under pytest-xdist, there is nothing to save.
    """
    option = config.option
    if option.collectonly or getattr(option, "dist", "no") != "no" or option.benchmark_disable:
        return
    if option.benchmark_storage == "file://./.benchmarks":
        option.benchmark_storage = f"file://{config.rootpath / 'results' / 'pytest-benchmark'}"
    if not option.benchmark_autosave:
        option.benchmark_autosave = name
        warnings.filterwarnings("ignore", "Not saving anything")  # nobody asked: a plan alone has nothing to save
