"""The cases: a plan, an inference and a fine-tuning bench. In a wheel they are `ohlora_fixtures.benches`."""
