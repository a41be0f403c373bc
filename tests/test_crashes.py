"""A case that takes its process with it: every other case counts, and the session can be gone on with."""

import re
import textwrap

import pytest
from made import flat_records
from test_main_job import MEASURED, SMALLEST
from test_wrong_input import refused

from ohlora_fixtures.results.answers import read_answers
from ohlora_fixtures.session.workers import Places

TWO = "(FinguAI or llama1B) and not r64"
WORKERS = ["-n", "2", "--dist", "loadgroup"]
OF_THE_RUN = {"seconds", "seconds_each", "steady_median_seconds", "steady_iqr_seconds", "peak_rss_growth_mib"}
"""What two runs of one case do not share: times, and how far a process grew."""

CRASHING = textwrap.dedent("""
    import os, pytest, signal
    pytest_plugins = ["ohlora_fixtures.plugin"]

    @pytest.fixture
    def examples(candidate, variant, examples):
        if candidate.name == "FinguAI-Chat-v1" and variant.name == "r16":
            os.kill(os.getpid(), signal.SIGSEGV)
        return examples
""")


def run(suite, *arguments):
    return suite.runpytest_subprocess(*MEASURED, "-k", TWO, *SMALLEST, *arguments)


def settled(folder):
    """The last record of each case, without what differs from run to run."""
    found = {record["case"]: record for record in flat_records(folder)}
    return {
        case: {name: value for name, value in record.items() if name not in OF_THE_RUN}
        for case, record in found.items()
    }


@pytest.mark.slow
def test_a_crash_takes_nothing_that_had_ended_and_workers_find_the_same_as_one_process(suite):
    harmless = (suite.path / "conftest.py").read_text()
    crashed = "bench_fine_tuning[FinguAI-Chat-v1-r16]"

    (suite.path / "conftest.py").write_text(CRASHING)
    result = run(suite, "--results-dir", "alone")
    assert result.ret == -11
    folder = suite.path / "alone"
    assert [record["outcome"] for record in flat_records(folder)] == ["passed"] * 4
    assert len(list((folder / "answers").iterdir())) == 2
    assert not (folder / "comparison.md").exists()

    result = run(suite, *WORKERS, "--results-dir", "workers", "-v")
    result.assert_outcomes(passed=5, failed=1)
    output = result.stdout.str()
    ended = re.findall(r"\[(gw[0-9])\] .*(?:PASSED|FAILED) .*::bench_(\w+\[\S+\])", output)
    workers_of = {name: [worker for worker, case in ended if name in case] for name in ("llama1B", "FinguAI")}
    assert len(set(workers_of["llama1B"])) == 1
    assert len(workers_of["FinguAI"]) == 3
    assert workers_of["FinguAI"][0] == workers_of["FinguAI"][1] != workers_of["FinguAI"][2]
    assert [case for _, case in ended if "llama1B" in case] == [
        "inference[llama1B]",
        "fine_tuning[llama1B-r16]",
        "fine_tuning[llama1B-r32]",
    ]
    assert output.count("= comparison =") == 1
    assert "Traceback" not in output
    records = {record["case"]: record for record in flat_records(suite.path / "workers")}
    assert len(records) == 6
    broken = records.pop(crashed)
    assert broken["outcome"] == "error"
    assert broken["reason"] in [f"the process of worker gw{number} died while this case ran" for number in range(2)]
    assert (broken["candidate"], broken["workload"], broken["variant"]) == ("FinguAI-Chat-v1", "fine_tuning", "r16")
    assert broken["protocol"]["epochs"] == 1
    assert broken["seconds"] is broken["device"] is None
    assert {record["outcome"] for record in records.values()} == {"passed"}
    assert f"error: {crashed}: {broken['reason']}" in output.replace("\n  ", " ")

    (suite.path / "conftest.py").write_text(harmless)
    records = folder / "records.jsonl"
    whole = records.read_text(encoding="utf-8")
    records.write_text(whole.replace('"scale": "mini"', '"scale": "full"'), encoding="utf-8")
    refused(run(suite, "--resume", "alone"), "cannot be resumed: scale was full and is mini: undo the change")
    assert not (folder / "comparison.md").exists()
    records.write_text(whole, encoding="utf-8")

    answers = folder / "answers" / "FinguAI-Chat-v1.csv"
    answers.write_bytes(answers.read_bytes().splitlines(keepends=True)[0])  # lost, as if it had not been written
    result = run(suite, "--resume", "alone")
    result.assert_outcomes(passed=3, deselected=28 - 6 + 3)
    assert "3 of its 4 cases are kept" in result.stdout.str()
    assert sum(map(len, read_answers(answers).values())) == 2 * 3
    result = run(suite, *WORKERS, "--resume", "workers")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    assert "5 of its 6 cases are kept" in result.stdout.str()
    alone, workers = settled(folder), settled(suite.path / "workers")
    assert len(alone) == 6
    assert workers == alone


def test_a_worker_that_replaces_another_takes_over_its_gpu():
    places = Places()
    assert [places.give("gw0"), places.give("gw1")] == [0, 1]
    places.free("gw0")
    assert [places.give("gw2"), places.give("gw3")] == [0, 2]
