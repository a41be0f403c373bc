"""Public measurements of real GPUs, held against what is planned: `python -m ohlora_fixtures.validation`."""
