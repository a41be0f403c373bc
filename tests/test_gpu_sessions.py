"""Sessions on a GPU, with the work done on the CPU and a stand-in for the card: from its condition to the record."""

import textwrap
from pathlib import Path

import pytest
from made import flat_records

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
SHORT = ["--gpu-profile", "t4", "--weights", "random", "--lora-ranks", "8,16"]
for setting in ("epochs=2", "fine_tuning_rows=0:8", "prompt_rows=81:84", "max_length=48"):
    SHORT += ["--protocol", setting]
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "vocab_size": 2048}

CARD = """
import dataclasses, pytest, sys
sys.path.insert(0, {tests!r})
pytest_plugins = ["ohlora_fixtures.plugin"]
from fake_gpu import UUID, FakeCuda, FakeLibrary, nvml_of
from ohlora_fixtures.meters.card import CardWatch
from ohlora_fixtures.meters.memory import CudaContext, CudaMemory, MemoryCap
from ohlora_fixtures.meters.meter import CudaClock

LIBRARY = FakeLibrary()
CUDA = FakeCuda(LIBRARY)

@pytest.fixture(scope="session")
def device(device, settings, pytestconfig):
    context = CudaContext(nvml_of(LIBRARY))
    context.uuid = UUID
    cap = MemoryCap(CUDA, 15360.0, settings.budget_mib)
    memory = CudaMemory(CUDA, context, CUDA.drop_workspaces, cap)
    watch = CardWatch(nvml_of(LIBRARY), context, 15360.0, settings.budget_mib)
    source = dataclasses.replace(device.source, scale="full")
    peaks = settings.gpu_profile.peaks
    environment = dataclasses.replace(device.environment, device="NVIDIA T4", scale="full")
    pytestconfig.stash[DEVICE] = environment
    instruments = {{"clock": CudaClock(CUDA), "memory": memory, "card": watch, "cap": cap, "peaks": peaks}}
    yield dataclasses.replace(device, source=source, environment=environment, **instruments)
    cap.lift()

from ohlora_fixtures.session.devices import DEVICE
"""


@pytest.fixture
def session(suite, tiny):
    """Runs the tiny candidate's measured cases on the stand-in, with more of a conftest; gives result and records."""

    def run(conftest, *arguments, another=False):
        (suite.path / "conftest.py").write_text(CARD.format(tests=str(TESTS)) + textwrap.dedent(conftest))
        folder = suite.path / "out"
        path = tiny(SMALL, parameters=168256, chars_per_token=1.2)
        if another:
            text = path.read_text(encoding="utf-8")
            path.write_text(text + text.replace('"tiny"', '"another"'), encoding="utf-8")
        selected = ["-k", "not plan", "--candidates", path, "--results-dir", folder]
        result = suite.runpytest_forked("benches", *selected, *SHORT, *arguments)
        return result, flat_records(folder)

    return run


def test_a_measured_record_carries_its_plan_its_limits_and_its_conditions(session, suite):
    result, records = session("")
    result.assert_outcomes(passed=3, deselected=3)
    inference, low, _ = records
    for record in records:
        assert (record["device"], record["scale"], record["taints"], record["leaked_mib"]) == (
            "NVIDIA T4",
            "full",
            [],
            0,
        )
        assert (record["peak_reserved_mib"], record["context_mib"], record["peak_device_mib"]) == (400, 500, 900)
        assert record["cap_mib"] == 12288 - 500
        assert record["highest_temperature_c"] == 60
        assert 0 < record["planned_allocated_after_mib"] <= record["planned_peak_allocated_mib"]
        assert record["planned_peak_allocated_mib"] <= record["planned_peak_reserved_mib"]
        assert record["planned_peak_device_mib"] == record["planned_peak_reserved_mib"] + 135  # the T4's context
    assert low["planned_peak_allocated_mib"] < records[2]["planned_peak_allocated_mib"]
    # 10 ms a step and prompt, on the stand-in's clock
    assert low["tflops_per_second"] == pytest.approx(low["flops"] / 4 / 1e12 / 0.010, rel=0.5)
    assert low["flops_utilization"] == low["tflops_per_second"] / 8.1
    assert (low["moved_bytes"], low["bandwidth_utilization"]) == (None, None)
    assert inference["gb_per_second"] == pytest.approx(inference["moved_bytes"] / 3 / 1e9 / 0.010, rel=0.5)
    assert inference["bandwidth_utilization"] == inference["gb_per_second"] / 320
    assert inference["flops"] is None
    page = (suite.path / "out" / "comparison.md").read_text(encoding="utf-8")
    assert "| tiny | fits |" in page
    assert "limited to 11788 MiB" in page
    assert "## Plan against measurement" in page
    assert "emulated" not in page


def test_what_taints_a_measurement_is_flagged_with_it(session):
    conftest = """
        LIBRARY.set(processes={1: 900})

        @pytest.fixture
        def examples(examples, variant):
            CUDA.allocated += {8: 16, 16: 300}[variant.rank]
            LIBRARY.set(clock_reasons={8: 0x1, 16: 0x4}[variant.rank])
            return examples
    """
    only = "not plan and (tiny or inference)"
    result, (*records, next_candidates) = session(conftest, "-k", only, another=True)
    result.assert_outcomes(passed=4, deselected=8)
    others, (throttled,) = "1 other process on the card", records[2]["taints"][:1]
    assert throttled.startswith("clocks throttled by the power cap in ")
    left = "the case left 300 MiB on the card"
    assert [record["leaked_mib"] for record in records] == [0, 16, 300]
    assert [record["taints"] for record in records] == [[others], [others], [throttled, others, left]]
    assert next_candidates["case"] == "bench_inference[another]"
    assert next_candidates["taints"][-1] == "316 MiB of tiny were still on the card"
    output = result.stdout.str().replace("\n  ", " ")
    assert f"tainted (*): {others}: bench_inference[tiny], " in output
    assert f"tainted (*): {left}: bench_fine_tuning[tiny-r16]" in output
    assert " 900* " in output


def test_under_strict_gpu_a_taint_fails_the_case_and_loses_nothing(session, suite):
    conftest = """
        LIBRARY.set(clock_reasons=0x20)

        @pytest.fixture
        def examples(examples, variant):
            CUDA.allocated += {8: 17, 16: 0}[variant.rank]
            LIBRARY.set(clock_reasons=0)
            return examples
    """
    result, records = session(conftest, "--strict-gpu")
    result.assert_outcomes(passed=2, failed=1, errors=1, deselected=3)
    hot, leaking, clean = records
    assert (hot["outcome"], leaking["outcome"], clean["outcome"]) == ("failed", "failed", "passed")
    assert hot["reason"].startswith("the measurement is tainted: clocks throttled by heat in ")
    assert leaking["reason"] == "the case left 17 MiB on the card"
    assert all(record["seconds"] > 0 and record["peak_device_mib"] == 900 for record in records)
    assert (suite.path / "out" / "answers" / "tiny.csv").exists()
    assert "Traceback" not in result.stdout.str()


def test_running_out_of_memory_and_other_failures_let_go_of_what_was_on_the_card(session):
    result, records = session(
        """
        import gc, weakref

        TRAINERS = {}

        @pytest.fixture
        def examples(examples, variant, monkeypatch):
            import torch
            from ohlora_fixtures.workloads.trainer import StepTrainer

            plain = StepTrainer.training_step

            def training_step(self, model, *args, **kwargs):
                if model.device.type == "meta":
                    return plain(self, model, *args, **kwargs)
                TRAINERS[variant.rank] = weakref.ref(self)
                CUDA.peak_reserved, CUDA.peak_allocated = 11700, 11000
                try:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 96.00 MiB. GPU 0 has")
                except RuntimeError as error:
                    if variant.rank == 8:
                        raise
                    raise ValueError("lost") from error

            monkeypatch.setattr(StepTrainer, "training_step", training_step)
            return examples

        def pytest_runtest_logreport(report):
            if report.failed:
                gc.collect()
                print("ALIVE", {rank: trainer() is not None for rank, trainer in TRAINERS.items()})
        """,
        "-s",
    )
    result.assert_outcomes(passed=1, failed=2, deselected=3)
    _, full, broken = records
    assert (full["requested_mib"], full["peak_reserved_mib"], full["peak_allocated_mib"]) == (96, 11700, 11000)
    assert (full["seconds"], full["allocated_after_mib"], full["cap_mib"]) == (None, None, 11788)
    assert full["outcome"] == "out_of_memory"
    assert full["reason"] == (
        "memory ran out at a request for 96.00 MiB with up to 11700.00 MiB reserved and 11000.00 MiB allocated until "
        f"then under a cap of 11788.00 MiB; the plan says {full['planned_peak_reserved_mib']:.2f} MiB reserved"
    )
    assert (broken["outcome"], broken["reason"]) == ("error", "ValueError: lost")
    output = result.stdout.str()
    assert "ALIVE {8: False}" in output
    assert "ALIVE {8: False, 16: False}" in output


def test_a_teardown_that_fails_or_is_interrupted_loses_nothing(session):
    _, records = session("""
        @pytest.fixture
        def prompts(prompts):
            yield prompts
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        @pytest.fixture
        def examples(examples):
            yield examples
            raise KeyboardInterrupt
    """)
    broken, interrupted = records
    assert (broken["outcome"], broken["seconds"] > 0) == ("error", True)
    assert broken["reason"] == "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert (interrupted["case"], interrupted["outcome"]) == ("bench_fine_tuning[tiny-r8]", "passed")
