"""Sessions of real language models, where the packages that hold their weights are installed: minutes each on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import real_models
from made import flat_records

from ohlora_fixtures.base.installation import DATA

pytestmark = pytest.mark.slow

ENGLISH = Path(__file__).with_name("english_dialogues.csv")
SESSIONS = {
    "gemma-3-270m": ["--dataset", str(DATA / "dialogues.csv")],
    "smollm2-135m-instruct": ["--dataset", str(ENGLISH), "--rows", "all"],
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_model_that_answers_after_fine_tuning_is_judged_better_than_before(suite, tmp_path, name):
    if missing := real_models.missing_packages(name):
        pytest.skip(f"not installed: {', '.join(missing)}")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, real_models.__file__, str(tmp_path), name], env=environment, check=True)
    options = ["--candidates", str(tmp_path / "candidates.toml"), "--model-dir", str(tmp_path), "--scale", "full"]
    result = suite.runpytest_subprocess(
        *("benches/bench_inference.py", "benches/bench_fine_tuning.py", *options, *SESSIONS[name]),
        *("--lora-ranks", "16", "--results-dir", "out"),
    )
    result.assert_outcomes(passed=2)
    untuned, tuned = (record["quality_score"] for record in flat_records(suite.path / "out"))
    assert tuned > untuned + 10
