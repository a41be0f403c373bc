"""Where pytest-benchmark keeps its runs, so that `--benchmark-compare` finds the last one."""

from __future__ import annotations

import pytest


def keep_benchmarks(config: pytest.Config, name: str) -> None:
    """Save every run as `results/pytest-benchmark/<machine>/<number>_<name>.json`, unless the user chose otherwise.

    Nothing is saved where pytest-benchmark has nothing: while only collecting, and under pytest-xdist.
    """
    option = config.option
    if option.benchmark_storage == "file://./.benchmarks":
        option.benchmark_storage = f"file://{config.rootpath / 'results' / 'pytest-benchmark'}"
    has_times = not option.collectonly and getattr(option, "dist", "no") == "no" and not option.benchmark_disable
    if has_times and not option.benchmark_autosave:
        option.benchmark_autosave = name
