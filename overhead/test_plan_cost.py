"""What the plan costs: `pytest overhead -k plan` times whole sessions in processes of their own, on one core.

Costs are told as multiples of the CPU time that importing the libraries takes here, so that machines compare. The aim
is 8 for the 28 cases from cold (no plan kept), and 2 for one candidate's four cases, the import among them; what must
hold is less. Long rows must cost at most twice the protocol's, and a candidate at most as its layers grow.
"""

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_IMPORTS, MOST_IMPORTS_OF_ONE, MOST_IMPORTS_AGAIN, MOST_RSS_MIB = 9, 2.25, 1, 2048
MOST_OF_LONG_ROWS = 2
LONG_ROWS, LONGEST_ROW_TOKENS, CHARACTERS_A_TOKEN = 800, 1024, 1.49
_IMPORT = "from transformers import Trainer, AutoModelForCausalLM; import peft"

_ON_ONE_CORE = (
    "import os, resource, subprocess, sys\n"
    "if hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    "code = subprocess.call([sys.executable, '-m', 'pytest', *sys.argv[1:]], stdout=subprocess.DEVNULL)\n"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print(code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
)


def plan(folder, *arguments, profile="t4"):
    """CPU seconds and peak resident MiB of a session that plans on one core; its plans are kept in `folder`."""
    results = folder / f"results-{time.monotonic_ns()}"
    command = ["benches", "-k", "plan", "--gpu-profile", profile, "-o", f"cache_dir={folder}", "--results-dir", results]
    process = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _ON_ONE_CORE, *map(str, command), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, seconds, rss_mib = process.stdout.split()
    assert int(code) in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return float(seconds), float(rss_mib)


def import_seconds():
    """CPU seconds of importing the libraries, the middle one of three."""
    found = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-c", _IMPORT], check=True)  # noqa: S603 - our own command
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return sorted(found)[1]


def test_the_28_cases_and_one_candidates_four_beside_the_import_of_the_libraries(tmp_path, capsys):
    """The seed candidates cold and once more, and the smallest of them alone."""
    imported = import_seconds()
    cold, rss_mib = plan(tmp_path / "all")
    again, _ = plan(tmp_path / "all")
    one, _ = plan(tmp_path / "one", "--candidate", "FinguAI-Chat-v1")
    with capsys.disabled():
        print(f"\nCPU seconds on one core: {imported:.1f} to import, {cold:.1f} for 28 cases, which is", end=" ")
        print(f"{cold / imported:.1f} times as much; {again:.1f} once more; {rss_mib:.0f} MiB resident;", end=" ")
        print(f"{one:.1f} for one candidate's four cases, {one / imported:.1f} times as much")
    assert cold < MOST_IMPORTS * imported
    assert again < MOST_IMPORTS_AGAIN * imported
    assert one < MOST_IMPORTS_OF_ONE * imported
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


@pytest.mark.parametrize("profile", ["v100-32gb", "l40s"])
def test_long_rows_beside_the_protocols(tmp_path, capsys, profile):
    """2,000 batches of rows of random lengths, for a card that computes attention in parts and one that pads in it."""
    chance = random.Random(1)  # noqa: S311 - the same rows each time
    dataset = tmp_path / "long.csv"
    with dataset.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["data_type", "input_data", "output_data"])
        for _ in range(LONG_ROWS):
            characters = round(chance.randint(20, LONGEST_ROW_TOKENS - 2) * CHARACTERS_A_TOKEN) - 24
            writer.writerow(["train", "가" * (characters // 3), "나" * (characters - characters // 3)])
        writer.writerows([["valid", "안녕?", "안녕!"]] * 25)
    one = ["--candidate", "FinguAI-Chat-v1", "--vram-budget", "200GB"]
    protocol = {"fine_tuning_rows": f"0:{LONG_ROWS}", "max_row_tokens": LONGEST_ROW_TOKENS, "prompt_rows": "valid 0:25"}
    changes = [part for name, value in protocol.items() for part in ("--protocol", f"{name}={value}")]
    short, _ = plan(tmp_path / "short", *one, profile=profile)
    long, rss_mib = plan(tmp_path / "long", *one, *changes, "--dataset", dataset, profile=profile)
    with capsys.disabled():
        print(
            f"\n{profile}: {long:.1f} s for long rows with {rss_mib:.0f} MiB resident, {short:.1f} s for the", end=" "
        )
        print(f"protocol's: {long / short:.2f} times as much")
    assert long < MOST_OF_LONG_ROWS * short
