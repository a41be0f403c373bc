"""What the plan costs: `pytest overhead -k plan` times whole sessions in processes of their own, on one core.

From cold (no plan kept) the 28 cases must end within 60 s and 2 GiB, and once more within 5 s. The cost of a
candidate must grow at most as its layers do.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_SECONDS_COLD, MOST_SECONDS_AGAIN, MOST_RSS_MIB = 60, 5, 2048

_ON_ONE_CORE = (
    "import os, resource, subprocess, sys\n"
    "if hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    "code = subprocess.call([sys.executable, '-m', 'pytest', *sys.argv[1:]], stdout=subprocess.DEVNULL)\n"
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
)


def plan(folder, *arguments):
    """Seconds and peak resident MiB of one session that plans on one core; its plans are kept in `folder`."""
    results = folder / f"results-{time.monotonic_ns()}"
    command = ["benches", "-k", "plan", "--gpu-profile", "t4", "-o", f"cache_dir={folder}", "--results-dir", results]
    began = time.perf_counter()
    process = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _ON_ONE_CORE, *map(str, command), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - began
    code, rss_mib = process.stdout.split()
    assert int(code) in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return seconds, float(rss_mib)


def test_the_28_cases_take_less_than_a_minute_and_nothing_when_nothing_has_changed(tmp_path, capsys):
    """The seed candidates, cold and once more."""
    cold, rss_mib = plan(tmp_path)
    again, _ = plan(tmp_path)
    with capsys.disabled():
        print(f"\n28 cases on one core: {cold:.1f} s cold, {again:.1f} s again, {rss_mib:.0f} MiB resident")
    assert cold < MOST_SECONDS_COLD
    assert again < MOST_SECONDS_AGAIN
    assert rss_mib < MOST_RSS_MIB


def test_the_cost_of_a_candidate_grows_at_most_as_its_layers_do(tmp_path, capsys):
    """Four times the layers, at most four times the seconds; the libraries' import is in both."""
    architecture = json.loads((ROOT / "data" / "configs" / "Qwen2.5-0.5B-Instruct.json").read_text(encoding="utf-8"))
    seconds = {}
    for layers in (12, 48):
        path = tmp_path / f"{layers}.toml"
        (tmp_path / f"{layers}.json").write_text(
            json.dumps(architecture | {"num_hidden_layers": layers, "layer_types": None})
        )
        path.write_text(
            '[[candidate]]\nname = "scaled"\ngroup = "seed"\nrepo = "none/none"\n'
            f'config = "{layers}.json"\nparameters = {136135552 + layers * 14912384}\n'
            'card_license = "apache-2.0"\nbinding_license = "apache-2.0"\nfree_license = true\nkorean = "supported"\n'
            'target_modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]\n'
            'text_template = "{input} ### Answer: {output}"\n'
        )
        seconds[layers] = plan(tmp_path, "--candidates", path)[0]
    with capsys.disabled():
        print(f"\nplan of one candidate: {seconds[12]:.1f} s with 12 layers, {seconds[48]:.1f} s with 48")
    assert seconds[48] < 4 * seconds[12]
