"""Turns the plugin on, as a project that uses it does."""

pytest_plugins = ["ohlora_fixtures.plugin"]
