"""The allocator model and a plan against the real thing: these wait for a CUDA GPU."""

import gc
import random

import pytest
import torch
from caching_allocator import CachingAllocator

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.gpu_profiles import choose_profile, read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.meters.nvml import Nvml
from ohlora_fixtures.planner.batches import padding_tokenizer
from ohlora_fixtures.planner.candidate_planner import CandidatePlanner
from ohlora_fixtures.planner.traced_candidate import TracedCandidate
from ohlora_fixtures.workloads import models
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, fine_tune
from ohlora_fixtures.workloads.inference import prepare_to_answer_in_full
from ohlora_fixtures.workloads.models import build_on_meta

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

MIB = 2**20
ARCHITECTURE = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 4, "vocab_size": 32000}
VARIANT = lora(16)
PROTOCOL = Protocol(epochs=3)


@pytest.fixture
def clean():
    """A GPU on which PyTorch holds nothing."""
    gc.collect()
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.memory_reserved() == 0, "another test has left something on the GPU"


@pytest.fixture
def profile(tmp_path):
    return choose_profile(None, read_profiles(DATA / "gpus.toml"), Nvml().gpu(None), tmp_path)


@pytest.fixture
def candidate(tiny):
    (found,) = read_candidates(tiny(ARCHITECTURE, target_modules=["q_proj", "v_proj", "up_proj"]))
    return found


@pytest.fixture
def examples():
    lengths = [random.Random(number).randrange(20, 90) for number in range(20)]
    return [{"input_ids": [1] * n, "attention_mask": [1] * n, "labels": [1] * n} for n in lengths]


@pytest.fixture
def traced(candidate, profile):
    model, tokenizer = build_on_meta(candidate), padding_tokenizer()
    prepare_to_answer_in_full(model, tokenizer)
    return TracedCandidate(candidate, model, tokenizer, PROTOCOL, profile)


def replay(events):
    """Play events on the model and on the GPU, comparing to the byte after each; the GPU's bytes are never written."""
    model, handles, blocks = CachingAllocator(), [], []
    for number, event in enumerate(events):
        if event > 0:
            handles.append(model.malloc(event))
            blocks.append(torch.empty(event, dtype=torch.uint8, device="cuda"))
        elif event:
            model.free(handles[-1 - event])
            blocks[-1 - event] = None
        else:
            model.empty_cache()
            torch.cuda.empty_cache()
        stats = torch.cuda.memory_stats()
        real = stats["allocated_bytes.all.current"], stats["reserved_bytes.all.current"]
        assert (model.allocated_bytes, model.reserved_bytes) == real, f"event {number}: {event}"
    stats = torch.cuda.memory_stats()
    assert model.peak_allocated_bytes == stats["allocated_bytes.all.peak"]
    assert model.peak_reserved_bytes == stats["reserved_bytes.all.peak"]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("seed", range(3))
def test_random_events_on_the_real_allocator(seed):
    chance, events, live, made = random.Random(seed), [], [], 0
    for _ in range(3000):
        if live and chance.random() < 0.48:
            events.append(-1 - live.pop(chance.randrange(len(live))))
        elif chance.random() < 0.01:
            events.append(0)
        else:
            largest = chance.choice([4096, 1 * MIB, 2 * MIB, 12 * MIB, 40 * MIB])
            events.append(chance.randrange(1, largest + 1))
            live.append(made)
            made += 1
    replay(events)


@pytest.mark.usefixtures("clean")
def test_a_recorded_trace_on_the_real_allocator(traced, examples):
    batches = [examples[start : start + 4] for start in range(0, 20, 4)]
    replay(traced.fine_tuning(VARIANT, batches).trace.events)


@pytest.mark.usefixtures("clean")
def test_a_real_run_needs_what_its_plan_says(traced, candidate, examples):
    plan = CandidatePlanner(traced, examples, 10, PROTOCOL, [VARIANT]).fine_tuning(VARIANT)

    on_host = models._from_architecture(candidate.architecture())
    adapted = attach_adapter(on_host.to("cuda"), VARIANT, candidate.target_modules, PROTOCOL)
    run = fine_tune(adapted, padding_tokenizer(), examples, PROTOCOL, lambda: None)
    stats = torch.cuda.memory_stats()
    assert plan.peak_allocated_bytes == pytest.approx(stats["allocated_bytes.all.peak"], rel=0.005)
    assert plan.peak_reserved_bytes == pytest.approx(stats["reserved_bytes.all.peak"], rel=0.02)
    del run
