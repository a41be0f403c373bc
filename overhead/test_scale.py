"""What 1,000 candidates and 10,000 cases cost the harness itself: `pytest overhead -k scale`.

All candidates share one architecture, and their cases do nothing, so that what is left is the suite's own. Seconds
are of the processor's time, which a busy machine does not stretch, and of whole processes where a user waits for one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, Choosing
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.planner.plan import Plan
from ohlora_fixtures.report import files
from ohlora_fixtures.report.layout import Terminal
from ohlora_fixtures.results import comparison
from ohlora_fixtures.results.environment import Environment
from ohlora_fixtures.results.record import Assessment, Experiment, Measured, MemoryReading, Outcome, Record

ROOT = Path(__file__).parents[1]
FEW, MANY = 250, 1000
"""Candidates; each has ten records."""
VARIANTS = ("r8", "r16", "r32", "r64")
MOST_SECONDS = 5
MOST_KIB_A_CASE = 24
"""What a session may keep of a case: pytest's own item and reports (3 KiB), the record, two series of 50 figures."""

_BENCH = """
from dataclasses import replace

count = 0


def bench_fine_tuning(candidate, variant, draft):
    global count
    series = tuple(count + step / 50 for step in range(50))
    losses = tuple(-each for each in series)
    draft.measured = replace(draft.measured, seconds=1.0, seconds_each=series, losses=losses)
    count += 1
    if count % 500 == 0:
        with open("/proc/self/statm") as pages, open("pages.txt", "a") as file:
            file.write(pages.read().split()[1] + "\\n")
"""


def write_candidates(folder, count):
    """A file of so many candidates that share one architecture."""
    shutil.copy(ROOT / "data" / "configs" / "FinguAI-Chat-v1.json", folder / "shared.json")
    path = folder / f"{count}.toml"
    path.write_text(
        "\n".join(
            f'[[candidate]]\nname = "candidate-{number}"\ngroup = "seed"\nrepo = "none/none"\nconfig = "shared.json"\n'
            'parameters = 463987712\ncard_license = "apache-2.0"\nbinding_license = "apache-2.0"\nfree_license = true\n'
            'korean = "supported"\ntarget_modules = ["q_proj", "v_proj"]\ntext_template = "{input} -> {output}"\n'
            for number in range(count)
        )
    )
    return path


def records_of(name, *, is_judged=False):
    """One candidate's ten records: inference and fine-tuning in four variants, each planned and measured."""
    score = int(name.rpartition("-")[2]) % 97.0 if is_judged else None
    experiment = Experiment({}, "0123456789ab", (), "", 12288.0)
    environment = Environment({"torch": "2.13.0"}, "full", "hub" if is_judged else "random", "NVIDIA T4")
    measured = Measured(
        tokenizer="stand-in",
        seconds=60.0,
        seconds_each=(1.2,) * 50,
        losses=(2.5,) * 50,
        memory=MemoryReading(peak_device_mib=9000.0),
    )
    plan = Plan(
        peak_allocated_mib=8000.0,
        peak_reserved_mib=8700.0,
        peak_device_mib=9000.0,
        context_mib=300.0,
        breakdown_mib={"weights": 8000.0},
    )
    for variant in (None, *VARIANTS):
        case = answering_case(name, variant)
        quality = Assessment(score)
        yield Record(case, Outcome("passed"), experiment, environment, measured, quality=quality)
        yield Record(case.planned, Outcome("passed"), experiment, environment, plan=plan)


def seconds_of(work):
    """Processor time that `work` takes, in this process and in those that it starts."""
    began = os.times()
    work()
    ended = os.times()
    return sum(ended[:4]) - sum(began[:4])


def run(folder, *arguments):
    """A Python process in a folder."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=True,
    )


def test_1000_candidates_are_collected_within_seconds(tmp_path, capsys):
    """The whole process, beside one of a quarter as many."""
    seconds = {}
    for count in (FEW, MANY):
        path = write_candidates(tmp_path, count)
        collect = ("pytest", "benches", "--collect-only", "-q", "-p", "no:cacheprovider", "--candidates", path)
        seconds[count] = seconds_of(lambda command=collect: run(ROOT, *command))
    with capsys.disabled():
        print(f"\ncollecting: {seconds[FEW]:.2f} s with {FEW} candidates, {seconds[MANY]:.2f} s with {MANY}")
    assert seconds[MANY] < MOST_SECONDS


@pytest.mark.parametrize("is_judged", [False, True])
def test_the_table_of_10000_records_is_made_within_seconds(tmp_path, capsys, is_judged):
    """Sorted into rows and chosen among; every file, the page too, and what a terminal is told."""
    seconds = {}
    for count in (FEW, MANY):
        candidates = read_candidates(write_candidates(tmp_path, count))
        records = [record for each in candidates for record in records_of(each.name, is_judged=is_judged)]

        def draw(candidates=candidates, records=records):
            found = comparison.compare(candidates, VARIANTS, records, {})
            selection = Choosing(DEFAULT_WEIGHTS, any_license=False).choose(found, {}, tmp_path)
            drawn = dict(files.texts(files.Findings(found, selection, {}, None), "en"))
            assert drawn["comparison.md"].count("\n") > len(records) / 10
            for verbosity in (0, 1):
                files.closing(found, selection, Terminal(100, verbosity))

        seconds[count] = seconds_of(draw)
    with capsys.disabled():
        what = "judged" if is_judged else "not judged"
        print(f"\ntable, {what}: {seconds[FEW]:.2f} s of {10 * FEW} records, {seconds[MANY]:.2f} s of {10 * MANY}")
    assert seconds[MANY] < MOST_SECONDS


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident set as Linux tells it")
def test_a_session_keeps_little_of_a_case(tmp_path, capsys):
    """Resident memory over 5,000 cases that do nothing; the first 500 are left out, when libraries still settle."""
    (tmp_path / "benches").mkdir()
    (tmp_path / "benches" / "bench_nothing.py").write_text(_BENCH)
    for name in ("pytest.ini", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    ranks = ",".join(map(str, range(1, 6)))
    path = write_candidates(tmp_path, MANY)
    began = time.perf_counter()
    said = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "--candidates", path, "--lora-ranks", ranks)
    seconds = time.perf_counter() - began
    assert re.search(r"5000 passed", said.stdout)
    pages = [int(line) for line in (tmp_path / "pages.txt").read_text().split()]
    mib = [count * os.sysconf("SC_PAGE_SIZE") / 2**20 for count in pages]
    kib_a_case = (mib[-1] - mib[0]) * 1024 / 4500
    with capsys.disabled():
        print(f"\n5000 cases: {seconds:.1f} s, {seconds / 5:.1f} ms each; resident {mib[0]:.0f} MiB after 500,")
        print(f"{mib[-1]:.0f} MiB after 5000: {kib_a_case:.1f} KiB a case")
    (folder,) = (tmp_path / "results").glob("*/records.jsonl")
    facts = json.loads(folder.read_text(encoding="utf-8").splitlines()[0])
    assert len(facts["measured"]["losses"]) == 50  # noqa: PLR2004 - the bench's own
    assert kib_a_case < MOST_KIB_A_CASE


def test_10000_records_of_several_folders_are_merged_and_reported_within_seconds(tmp_path, capsys):
    """The whole processes: four folders into one, and that one once more."""
    seconds, again = {}, {}
    for count in (FEW, MANY):
        path = write_candidates(tmp_path, count)
        folders = [tmp_path / f"{count}-{number}" for number in range(4)]
        for number, folder in enumerate(folders):
            folder.mkdir()
            names = [f"candidate-{each}" for each in range(number, count, 4)]
            lines = [record.as_line() for name in names for record in records_of(name)]
            (folder / "records.jsonl").write_bytes(b"".join(lines))
        into = tmp_path / f"{count}-merged"
        merge = ("ohlora_fixtures", "merge", *folders, "--into", into, "--candidates", path)
        seconds[count] = seconds_of(lambda command=merge: run(tmp_path, *command))
        assert (into / "records.jsonl").read_bytes().count(b"\n") == 10 * count
        report = ("ohlora_fixtures", "report", into, "--candidates", path)
        again[count] = seconds_of(lambda command=report: run(tmp_path, *command))
    with capsys.disabled():
        for what, found in (("merging", seconds), ("reporting", again)):
            print(f"\n{what}: {found[FEW]:.2f} s of {10 * FEW} records, {found[MANY]:.2f} s of {10 * MANY}")
    assert max(seconds[MANY], again[MANY]) < MOST_SECONDS
