"""Where pytest-benchmark keeps its runs, so that `--benchmark-compare` finds the last one."""

from __future__ import annotations

import pytest


def keep_benchmarks(config: pytest.Config) -> None:
    """Save every run under `results/pytest-benchmark`, unless the user chose another storage.

    Nothing is saved where pytest-benchmark has nothing: while only collecting, and under pytest-xdist.
    """
    option = config.option
    if option.benchmark_storage == "file://./.benchmarks":
        option.benchmark_storage = f"file://{config.rootpath / 'results' / 'pytest-benchmark'}"
    has_times = not option.collectonly and getattr(option, "dist", "no") == "no" and not option.benchmark_disable
    option.benchmark_autosave = option.benchmark_autosave or has_times
