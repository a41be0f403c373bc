"""Loads the plugin, so that a checkout needs no installation."""

pytest_plugins = ["ohlora_fixtures.plugin"]
