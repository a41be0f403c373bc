"""What pytest has to know of the benches in a project whose own settings say nothing of them."""

import pytest


class PluginIsOffError(pytest.UsageError, pytest.Collector.CollectError):
    """Shown as one sentence, both when pytest starts and while it collects."""


def pytest_configure(config):
    """When the benches are collected: take their files and functions for tests, and pass over a known warning."""
    if not config.pluginmanager.hasplugin("ohlora_fixtures.plugin"):
        raise PluginIsOffError(
            'the benches need their plugin: put pytest_plugins = ["ohlora_fixtures.plugin"] into conftest.py in the '
            "folder where pytest is started, or add -p ohlora_fixtures.plugin"
        )
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    config.addinivalue_line("filterwarnings", "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
