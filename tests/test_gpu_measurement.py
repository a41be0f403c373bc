"""What is read of a real card, and done to it: these wait for a CUDA GPU."""

import gc

import pytest
import torch
from made import flat_records

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.base.units import MIB
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.meters.device import settings_of
from ohlora_fixtures.meters.memory import CudaContext, CudaMemory, MemoryCap
from ohlora_fixtures.meters.nvml import Nvml
from ohlora_fixtures.session.records import requested_mib

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

PROFILES = {profile.name: profile for profile in read_profiles(DATA / "gpus.toml")}


def drop_workspaces():
    torch._C._cuda_clearCublasWorkspaces()


@pytest.fixture
def clean():
    """A GPU on which PyTorch holds nothing."""
    gc.collect()
    torch.cuda.synchronize()
    drop_workspaces()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == 0, "another test has left something on the GPU"


@pytest.fixture
def uuid():
    return f"GPU-{torch.cuda.get_device_properties(0).uuid}"


@pytest.fixture
def memory_mib():
    return torch.cuda.get_device_properties(0).total_memory / MIB


def block(mib):
    return torch.empty(int(mib * MIB), dtype=torch.uint8, device="cuda")


@pytest.mark.usefixtures("clean")
def test_the_four_figures_of_a_run_that_is_known(uuid):
    context = CudaContext(Nvml())
    context.uuid = uuid
    memory = CudaMemory(torch.cuda, context, drop_workspaces)
    kept = block(64)
    assert memory.start() == 64
    most = block(256)
    del most
    reading = memory.stop()
    assert (reading.allocated_before_mib, reading.allocated_after_mib) == (64, 64)
    assert (reading.peak_allocated_mib, reading.peak_reserved_mib) == (320, 320)
    if Nvml().process_used_mib(uuid) is not None:  # elsewhere it needs a look before CUDA was initialised
        assert 50 < reading.context_mib < 2500
        assert reading.peak_device_mib == 320 + reading.context_mib
    del kept
    assert memory.settle() == 0


def test_the_card_answers_what_it_is_asked(uuid):
    nvml = Nvml()
    condition, use = nvml.condition(uuid), nvml.use(uuid)
    assert 0 < condition.temperature_c < 110
    assert condition.clock_reasons is not None
    assert use.used_mib > 0
    assert nvml.gpu(uuid).name == torch.cuda.get_device_properties(0).name


@pytest.mark.usefixtures("clean")
def test_a_cap_makes_memory_run_out_for_real_and_is_lifted(memory_mib):
    cap = MemoryCap(torch.cuda, memory_mib, budget_mib=1536.0)
    cap.fit(context_mib=512.0)
    assert cap.limit_mib == pytest.approx(1024.0)
    within = block(1000)
    with pytest.raises(torch.OutOfMemoryError) as full:
        block(100)
    assert requested_mib(full.value) == 100
    del within
    torch.cuda.empty_cache()
    cap.lift()
    assert torch.cuda.get_per_process_memory_fraction() == 1.0
    block(1500)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("card", ["m6000", "rtx3060-12gb", "h100"])
def test_a_cublas_workspace_is_the_other_cards(card):
    profile = PROFILES[card]
    with settings_of(profile, torch.cuda.get_device_capability(), torch.backends.cuda):
        one = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16)
        before = torch.cuda.memory_allocated()
        result = one @ one
        taken = torch.cuda.memory_allocated() - before - result.untyped_storage().nbytes()
        assert taken == profile.cublas_workspace_bytes
    del one, result
    drop_workspaces()
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("clean")
def test_attention_takes_the_other_cards_path():
    def peak_bytes(profile):
        query = torch.zeros(1, 8, 2048, 64, device="cuda", dtype=torch.bfloat16)
        torch.cuda.reset_peak_memory_stats()
        with settings_of(profile, torch.cuda.get_device_capability(), torch.backends.cuda):
            torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True)
        return torch.cuda.max_memory_allocated()

    scores_bytes = 8 * 2048 * 2048 * 2
    assert peak_bytes(PROFILES["m6000"]) > scores_bytes
    if torch.cuda.get_device_capability() >= (8, 0):
        assert peak_bytes(PROFILES["rtx3060-12gb"]) < scores_bytes


@pytest.fixture
def session(suite, tiny, monkeypatch):
    """Runs a small candidate's cases at full size on the GPU; gives pytest's result and the records."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    sizes = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 4, "vocab_size": 32000}

    def run(*arguments, folder="out"):
        path = tiny(sizes, parameters=28189184, target_modules=["q_proj", "v_proj", "up_proj"])
        folder = suite.path / folder
        options = ["--candidates", path, "--results-dir", folder, "--weights", "random", "--protocol", "epochs=3"]
        result = suite.runpytest_subprocess("benches", *options, *arguments)
        return result, [record for record in flat_records(folder) if not record["is_planned"]]

    return run


def test_a_session_on_the_card_meets_its_plans_and_leaves_nothing_behind(session):
    result, records = session()
    result.assert_outcomes(passed=8)
    for record in records:
        assert record["scale"] == "full"
        assert abs(record["leaked_mib"]) <= 1
        assert record["peak_allocated_mib"] == pytest.approx(record["planned_peak_allocated_mib"], rel=0.005)
        assert record["peak_reserved_mib"] == pytest.approx(record["planned_peak_reserved_mib"], rel=0.02)
        if record["peak_device_mib"] is not None:
            assert record["peak_device_mib"] == record["peak_reserved_mib"] + record["context_mib"]
        assert (record["flops"] or record["moved_bytes"]) > 0
        for share in (record["flops_utilization"], record["bandwidth_utilization"]):
            assert share is None or 0 < share < 1


def test_what_does_not_fit_under_a_cap_runs_out_of_memory_and_the_next_case_is_clean(session):
    _, records = session("-k", "not plan", "--lora-ranks", "16")
    reserved = [record["peak_reserved_mib"] for record in records]
    context = max(record["context_mib"] or 0 for record in records)
    if not context:
        pytest.skip("this machine does not tell the CUDA context, so that the budget cannot be set to the MiB")
    budget_mib = context + (reserved[0] + reserved[1]) / 2  # inference fits, fine-tuning does not
    budget = ["--vram-budget", f"{budget_mib:.0f}MiB"]
    result, records = session("-k", "not plan", "--lora-ranks", "16,32", *budget, folder="capped")
    result.assert_outcomes(passed=1, failed=2, deselected=3)
    assert [record["outcome"] for record in records] == ["passed", "out_of_memory", "out_of_memory"]
    for record in records[1:]:
        assert record["peak_reserved_mib"] <= record["cap_mib"] < record["planned_peak_reserved_mib"]
        assert record["requested_mib"] > 0
        assert abs(record["leaked_mib"]) <= 1
