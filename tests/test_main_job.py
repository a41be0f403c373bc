"""The main job through real pytest sessions, shortened by the protocol's options."""

import csv
import json
import re
import textwrap

import pytest
from at_a_terminal import output_of
from made import flat_records

from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.results.answers import read_answers

pytestmark = pytest.mark.slow

MEASURED = ["benches/bench_inference.py", "benches/bench_fine_tuning.py"]
SHORT = ["--protocol", "epochs=1", "--protocol", "prompt_rows=81:83"]
SMALLEST = ["--protocol", "epochs=1", "--protocol", "fine_tuning_rows=0:4", "--protocol", "prompt_rows=0:2"]


def run(suite, *arguments):
    return suite.runpytest_forked(*MEASURED, "--results-dir", "out", *arguments)


def device_with(memory):
    """A conftest that measures as always but puts another figure in place of the device's memory."""
    return "pytest_plugins = ['ohlora_fixtures.plugin']\n" + textwrap.dedent(f"""
        import dataclasses, pytest
        from ohlora_fixtures.meters.memory import HostMemory, MemoryReading

        class Memory(HostMemory):
            def stop(self):
                return MemoryReading({memory})

        @pytest.fixture(scope="session")
        def device(device):
            return dataclasses.replace(device, memory=Memory())
    """)


def test_one_candidate_from_command_to_table(suite):
    result = run(suite, "-k", "llama1B", *SHORT)
    result.assert_outcomes(passed=4, deselected=24)
    output = result.stdout.str()
    assert "REHEARSAL: what was measured ran on mini replicas" in output
    assert "compare nothing" in output.replace("\n  ", " ")
    assert "the protocol differs from the study's: epochs 1 instead of 10" in output
    assert "\x1b" not in output
    assert "it/s" not in output
    assert "gemma" not in output

    folder = suite.path / "out"
    records = flat_records(folder)
    assert [record["case"] for record in records] == [
        "bench_inference[llama1B]",
        *(f"bench_fine_tuning[llama1B-r{rank}]" for rank in (16, 32, 64)),
    ]
    inference, tuned = records[0], records[2]
    for record in records:
        assert (record["outcome"], record["reason"], record["scale"]) == ("passed", None, "mini")
        assert (record["weights"], record["tokenizer"], record["budget_mib"]) == ("random", "stand-in", 12288.0)
        assert record["device"].startswith("cpu (")
        assert record["peak_device_mib"] is record["allocated_after_mib"] is record["peak_reserved_mib"] is None
        assert record["protocol"]["epochs"] == 1
        assert record["protocol_changes"] == ["epochs 1 instead of 10", "prompt_rows 81:83 instead of 81:106"]
        assert 0 < sum(record["seconds_each"]) <= record["seconds"]
        assert {"torch", "transformers", "peft", "python"} <= set(record["versions"])
    assert (inference["workload"], inference["variant"], inference["trainable_parameters"]) == (
        "inference",
        None,
        None,
    )
    assert (len(inference["seconds_each"]), inference["losses"]) == (2, None)
    assert (tuned["workload"], tuned["variant"]) == ("fine_tuning", "r32")
    assert len(tuned["losses"]) == len(tuned["seconds_each"]) == 5
    assert len({record["parameters"] for record in records}) == 1
    assert records[3]["trainable_parameters"] == 2 * tuned["trainable_parameters"]

    table = (folder / "comparison.md").read_text(encoding="utf-8")
    assert "| llama1B" in table
    assert "Llama 3.2 Community License" in table
    assert "| 26.2 | 26.8 | 28.7 | 1.54 |" in table
    assert "REHEARSAL" in table
    (row,) = csv.DictReader((folder / "comparison.csv").read_text(encoding="utf-8").splitlines())
    assert (row["candidate"], row["parameters"], row["free_license"]) == ("llama1B", "1235814400", "False")
    assert float(row["fine_tuning_r32_seconds"]) == tuned["seconds"]
    assert (row["study_fine_tuning_r32_seconds"], row["study_inference_allocated_after_mib"]) == ("26.8", "2358.13")
    assert row["within_budget"] == ""
    answers = read_answers(folder / "answers" / "llama1B.csv")
    assert {case.id: len(given) for case, given in answers.items()} == {record["case"]: 2 for record in records}
    assert all(
        given.tokens and given.seconds and given.is_cut_off for given in answers[answering_case("llama1B", "r16")]
    )
    assert {record["not_judged"] for record in records} == {
        "weights are random, so the answers say nothing about the candidate"
    }
    assert {(record["quality_score"], record["held_out_loss"]) for record in records} == {(None, None)}
    assert "No recommendation yet" in output
    assert json.loads((folder / "selection.json").read_text(encoding="utf-8"))["choice"] is None
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert environment["versions"] == inference["versions"]


def test_stored_runs_carry_memory_and_can_be_compared(suite):
    run(suite, "-k", "FinguAI and (r16 or inference)", *SMALLEST).assert_outcomes(passed=2, deselected=26)
    (stored,) = (suite.path / "results" / "pytest-benchmark").rglob("*.json")
    assert stored.name == "0001_out.json"
    benchmarks = {each["name"]: each for each in json.loads(stored.read_text())["benchmarks"]}
    tuned = benchmarks["bench_fine_tuning[FinguAI-Chat-v1-r16]"]
    assert (tuned["group"], tuned["stats"]["rounds"]) == ("fine_tuning", 1)
    assert tuned["extra_info"]["peak_device_mib"] is None
    assert tuned["extra_info"].keys() >= {"scale", "weights", "device", "peak_allocated_mib", "peak_rss_growth_mib"}

    stored.write_text(re.sub(r'("peak_rss_growth_mib": )[0-9.]+', r"\g<1>0.125", stored.read_text()))
    stored.parent.rename(stored.parent.with_name("Linux-CPython-9.9-64bit"))  # as another Python would name it
    result = suite.runpytest_subprocess(
        *MEASURED,
        *("-k", "FinguAI and (r16 or r32)", *SMALLEST, "--results-dir", "again"),
        *("--benchmark-compare", "--memory-compare-fail", "peak:5%"),
    )
    result.assert_outcomes(passed=2, deselected=26)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(
        [
            "*r16] (*0001_out)*",
            "*r16] (NOW)*",
            "memory beside the run of *:",
            "bench_fine_tuning?FinguAI-Chat-v1-r16?: peak_rss_growth_mib *, stored 0.12 (+*%)",
            "memory limits peak:5% over the run of *: 1 case",
            "bench_fine_tuning?FinguAI-Chat-v1-r16?  * 0.12  * peak:5%",
            "peak_rss_growth_mib *%",
            "not compared, the stored run has no such case:",
            "  bench_fine_tuning?FinguAI-Chat-v1-r32?",
            "not selected in this run: 1 case of the stored run",
            "Memory has grown beyond its limit, so the run fails.",
        ]
    )
    assert "so the run fails" in (suite.path / "again" / "comparison.md").read_text(encoding="utf-8")


def test_times_that_regressed_do_not_hide_the_comparison(suite):
    name = "bench_inference[FinguAI-Chat-v1]"
    stats = dict.fromkeys(("min", "max", "mean", "stddev", "median", "iqr"), 1e-9)
    stats |= {"outliers": "0;0", "ops": 1e9, "rounds": 1, "iterations": 1}
    benchmark = {"name": name, "fullname": f"benches/bench_inference.py::{name}", "stats": stats}
    run_before = {"machine_info": {}, "datetime": "2026-01-01", "benchmarks": [benchmark]}
    (suite.path / "before.json").write_text(json.dumps(run_before))
    result = run(
        suite,
        *("-k", "FinguAI and inference", *SMALLEST, "--benchmark-compare=before.json"),
        *("--benchmark-compare-fail=median:10%", "--memory-compare-fail=peak:5%"),
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Performance has regressed" in result.stderr.str()
    result.stdout.fnmatch_lines(
        [
            "FinguAI-Chat-v1  not judged *",
            "not compared, the stored run does not say its device:",
            "Memory was not compared, so the run fails: no case could be compared with the",
        ]
    )


def test_two_workers_share_the_candidates(suite):
    result = run(suite, "-k", "polyglot and (r16 or inference)", "-n", "2", "--dist", "loadgroup", *SMALLEST)
    result.assert_outcomes(passed=4)
    records = flat_records(suite.path / "out")
    assert {record["case"] for record in records} == {
        f"bench_{case}"
        for name in ("koquality-polyglot-1.3b", "polyglot-ko-1.3b")
        for case in (f"inference[{name}]", f"fine_tuning[{name}-r16]")
    }
    assert all(record["seconds"] > 0 and record["tokens"] > 0 for record in records)
    assert (suite.path / "out" / "answers" / "polyglot-ko-1.3b.csv").exists()
    assert "REHEARSAL" in result.stdout.str()


def test_budget_and_memory_running_out_are_verdicts_and_the_session_goes_on(suite):
    (suite.path / "conftest.py").write_text(
        device_with("peak_device_mib=PEAKS.pop(0), allocated_before_mib=1.0, allocated_after_mib=2.0")
        + textwrap.dedent("""
        PEAKS = [12288.0, 12288.5, 9000.0, 100.0]

        @pytest.fixture
        def examples(variant, examples, monkeypatch):
            import torch
            from ohlora_fixtures.workloads.trainer import StepTrainer

            def training_step(self, *args, **kwargs):
                raise torch.OutOfMemoryError("CUDA out of memory.\\nTried to allocate 2.00 GiB")

            if variant.name == "r32":
                monkeypatch.setattr(StepTrainer, "training_step", training_step)
            return examples
        """)
    )
    result = run(suite, "-k", "FinguAI", *SMALLEST)
    result.assert_outcomes(passed=2, failed=2, deselected=24)
    records = flat_records(suite.path / "out")
    assert [record["outcome"] for record in records] == ["passed", "over_budget", "out_of_memory", "passed"]
    over = "device memory of 12288.50 MiB is 0.50 MiB (0.0%) above the VRAM budget of 12288.00 MiB"
    full = "memory ran out at a request for 2048.00 MiB"
    assert [record["reason"] for record in records] == [None, over, full, None]
    assert (records[1]["peak_device_mib"], records[1]["seconds"] > 0) == (12288.5, True)
    assert (records[2]["peak_device_mib"], records[2]["requested_mib"], records[2]["seconds"]) == (9000.0, 2048.0, None)
    assert [record["allocated_after_mib"] for record in records] == [1.0, 2.0, None, 2.0]
    output = result.stdout.str()
    assert over in output
    assert f"out of memory: bench_fine_tuning[FinguAI-Chat-v1-r32]: {full}" in output.replace("\n  ", " ")
    assert "Traceback" not in output
    assert not re.search(r"fixtures\.py", output)


def test_a_candidate_that_cannot_be_built_is_an_error_and_the_session_goes_on(suite):
    result = run(suite, "--candidate-group", "modern", "-k", "(kanana or Qwen3-0) and (r16 or inference)", *SMALLEST)
    result.assert_outcomes(passed=2, errors=2)
    records = {record["case"]: record for record in flat_records(suite.path / "out")}
    broken = records["bench_fine_tuning[kanana-1.5-2.1b-instruct-2505-r16]"]
    assert broken["outcome"] == "error"
    assert broken["reason"].startswith("kanana-1.5-2.1b-instruct-2505 cannot be built: ")
    assert "not a multiple" in broken["reason"]
    assert "\n" not in broken["reason"]
    assert broken["device"].startswith("cpu (")
    assert broken["seconds"] is broken["parameters"] is None
    assert "Traceback" not in result.stdout.str()


def test_another_failure_is_kept_and_lets_go_of_the_model(suite):
    (suite.path / "conftest.py").write_text(
        device_with("")
        + textwrap.dedent("""
        import gc, weakref
        MODELS = []

        @pytest.fixture
        def prompts(candidate, loaded_model):
            MODELS.append(weakref.ref(loaded_model.model))
            text = "안녕 " * 100 if candidate.name == "llama1B" else "안녕"
            return [loaded_model.tokenizer(text)["input_ids"]]

        def pytest_runtest_logreport(report):
            if "FinguAI" in report.nodeid and report.when == "call":
                gc.collect()
                print("ALIVE", [model() is not None for model in MODELS])
        """)
    )
    result = run(suite, "-k", "(llama1B or FinguAI) and inference", "-s", *SMALLEST)
    result.assert_outcomes(passed=1, failed=1, deselected=26)
    record, _ = flat_records(suite.path / "out")
    assert record["outcome"] == "error"
    assert record["reason"].startswith("prompt 1 has ")
    assert "ALIVE [False, True]" in result.stdout.str()


def test_training_that_diverges_fails(suite):
    result = run(
        suite, "-k", "FinguAI and r16", *SMALLEST, "--protocol", "epochs=4", "--protocol", "learning_rate=1e30"
    )
    result.assert_outcomes(failed=1, deselected=27)
    (record,) = flat_records(suite.path / "out")
    assert (record["outcome"], record["losses"][-1]) == ("failed", None)
    assert record["reason"].endswith("training diverged: a step's loss is not a finite number")


def test_an_interrupted_session_keeps_what_it_has(suite):
    (suite.path / "conftest.py").write_text(
        device_with("")
        + textwrap.dedent("""
        @pytest.fixture
        def examples(variant, examples, monkeypatch):
            from ohlora_fixtures.workloads.trainer import StepTrainer

            def training_step(self, *args, **kwargs):
                raise KeyboardInterrupt

            if variant.name == "r32":
                monkeypatch.setattr(StepTrainer, "training_step", training_step)
            return examples
        """)
    )
    result = run(suite, "-k", "FinguAI and fine_tuning", *SMALLEST)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [record["variant"] for record in flat_records(suite.path / "out")] == ["r16"]
    assert "FinguAI" in (suite.path / "out" / "comparison.md").read_text(encoding="utf-8")
    assert "Saved benchmark data" in result.stdout.str() + result.stderr.str()
    assert "FinguAI-Chat-v1  not judged " in result.stdout.str()
    result.stdout.fnmatch_lines("the rest: the same command, without --results-dir, with --resume */out")


def test_a_terminal_shows_progress_and_takes_it_away(suite, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    output = output_of(suite, *MEASURED, "-k", "FinguAI and r16", "--protocol", "epochs=20", "--results-dir", "out")
    shown, _, after = output.rpartition("it/s")
    assert "/100 steps, " in shown
    assert "\x1b[K" in after
    assert "passed" in after


def test_every_weight_trained_a_quantised_base_and_an_adapter_in_one_session(suite):
    variants = ["full", "r16-qlora", "r16"]
    result = run(suite, "-k", "llama1B and not inference", "--variants", ",".join(variants), *SMALLEST)
    result.assert_outcomes(passed=3, deselected=25)
    records = flat_records(suite.path / "out")
    assert [record["variant"] for record in records] == variants
    full, quantised, adapter = records
    assert (
        full["trainable_parameters"] == full["parameters"] == quantised["parameters"] > adapter["trainable_parameters"]
    )
    assert full["losses"][0] == adapter["losses"][0] != quantised["losses"][0]  # what full trained has been loaded anew
