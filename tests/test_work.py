"""What a run computes and moves, against PyTorch's own FLOP counter on a real run."""

import json
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.gpu_profiles import Peaks, read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.meters.meter import decoding_utilization, training_utilization
from ohlora_fixtures.planner.allocator import Trace
from ohlora_fixtures.planner.attention import fused_attention
from ohlora_fixtures.planner.batches import padding_tokenizer
from ohlora_fixtures.planner.candidate_planner import CandidatePlanner
from ohlora_fixtures.planner.steps import NotComposableError
from ohlora_fixtures.planner.traced_candidate import TracedCandidate
from ohlora_fixtures.planner.tracer import StorageTracer
from ohlora_fixtures.planner.work import Work, work_at
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, fine_tune
from ohlora_fixtures.workloads.inference import AnswerLength, answer, prepare_to_answer_in_full
from ohlora_fixtures.workloads.models import build_on_meta, count_parameters

PROFILES = {profile.name: profile for profile in read_profiles(DATA / "gpus.toml")}
PROTOCOL = Protocol(epochs=2, max_length=40)
SHORT = AnswerLength(20, 20, is_cut_off=True)
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 256}
LENGTHS = (12, 17, 30, 31, 45, 60)


@pytest.fixture
def candidate(tiny):
    (found,) = read_candidates(tiny(SMALL, target_modules=["q_proj", "up_proj"]))
    return found


@pytest.fixture
def examples():
    return [{"input_ids": [1] * n, "attention_mask": [1] * n, "labels": [1] * n} for n in LENGTHS for _ in range(4)]


def planner_on(card, candidate, examples, variants):
    model, tokenizer = build_on_meta(candidate), padding_tokenizer()
    prepare_to_answer_in_full(model, tokenizer)
    traced = TracedCandidate(candidate, model, tokenizer, PROTOCOL, PROFILES[card])
    return CandidatePlanner(traced, examples, 20, PROTOCOL, variants)


def on_the_cpu(candidate):
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = json.loads(candidate.config.read_text(encoding="utf-8"))
    config = AutoConfig.for_model(**settings, attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    prepare_to_answer_in_full(model, padding_tokenizer())
    return model


def test_training_is_counted_as_pytorchs_counter_counts_a_real_run(candidate, examples):
    each = planner_on("t4", candidate, examples, [lora(4), lora(8), lora(16)]).fine_tuning_work(lora(8))
    assert len(each) == 12

    adapted = attach_adapter(on_the_cpu(candidate), lora(8), candidate.target_modules, PROTOCOL)
    marks = []
    with FlopCounterMode(display=False) as counter:
        fine_tune(adapted, padding_tokenizer(), examples, PROTOCOL, lambda: marks.append(counter.get_total_flops()))
    assert sum(work.flops for work in each) == marks[-1]
    assert each[0].flops == marks[0]
    assert each[-1].flops == marks[-1] - marks[-2]


def test_answering_is_counted_as_pytorchs_counter_counts_a_real_run(candidate, examples):
    prompts = (7, 12, 20, 9)
    lengths = [AnswerLength(prompt, PROTOCOL.max_length - prompt, is_cut_off=True) for prompt in prompts]
    each = planner_on("t4", candidate, examples, [lora(8)]).inference_work(lengths)
    marks = [0]
    with FlopCounterMode(display=False) as counter:
        asked = [[1] * prompt for prompt in prompts]
        tick = lambda: marks.append(counter.get_total_flops())  # noqa: E731
        answered = answer(on_the_cpu(candidate), padding_tokenizer(), asked, PROTOCOL, tick)
    assert list(answered.lengths) == lengths
    assert [work.flops for work in each] == [after - before for before, after in pairwise(marks)]


def test_decoding_moves_the_weights_once_a_token(candidate, examples):
    (long,) = planner_on("t4", candidate, examples, [lora(8)]).inference_work([SHORT])
    bytes_of_weights = 2 * count_parameters(build_on_meta(candidate))
    assert 1 < long.moved_bytes / (20 * bytes_of_weights) < 1.5


@pytest.mark.parametrize("card", ["rtx3060-12gb", "h100"])
def test_fused_attention_with_grouped_heads_is_counted(candidate, examples, card):
    quadratic, fused = (
        planner_on(name, candidate, examples, [lora(8)]).inference_work([SHORT])[0] for name in ("t4", card)
    )
    assert fused.flops == quadratic.flops
    assert fused.moved_bytes < quadratic.moved_bytes


def test_a_backward_pass_through_fused_attention_is_counted():
    query = torch.empty(2, 8, 33, 64, device="meta", dtype=torch.bfloat16, requires_grad=True)
    key, value = (torch.empty(2, 2, 33, 64, device="meta", dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    tracer = StorageTracer(Trace(), 1)
    with tracer:
        out = fused_attention((8, 6))(query, key, value, is_causal=True, enable_gqa=True)
        forward = tracer.work
        out.sum().backward()
    product = 2 * 2 * 8 * 33 * 33 * 64
    assert forward.flops == 2 * product
    assert tracer.work.flops - forward.flops == 5 * product  # the scores once more, and two for each of two products


def test_what_is_expanded_moves_once():
    tracer = StorageTracer(Trace(), 1)
    with tracer:
        torch.bmm(torch.empty(1, 4, 8, device="meta").expand(3, 4, 8), torch.empty(3, 8, 5, device="meta"))
    flops = 2 * 3 * 4 * 8 * 5
    assert tracer.work == Work(flops, 4 * (4 * 8 + 3 * 8 * 5 + 3 * 4 * 5), fp32_flops=flops)
    assert tracer.done().operators == 4


def test_what_the_host_calls_is_counted_and_what_of_it_autograd_records():
    with torch.device("meta"):
        layer, rows = torch.nn.Sequential(torch.nn.ReLU()), torch.empty(4, 8)
    tracer = StorageTracer(Trace(), 1)
    with tracer, tracer.modules_counted():
        with torch.no_grad():
            layer(rows)
        assert tracer.done() == Work(operators=1, modules=2)
        total = layer(rows.requires_grad_()).sum()
        forward = tracer.done()
        total.backward()
    layer(rows)
    done = tracer.done()
    assert forward.modules == done.modules == 4
    assert 1 < forward.operators < done.operators == 1 + done.autograd_operators


def test_work_that_does_not_come_out_whole_is_refused():
    assert work_at(3, {1: Work(10, 4), 2: Work(20, 4)}) == Work(30, 4)
    with pytest.raises(NotComposableError):
        work_at(2, {1: Work(10, 4), 3: Work(21, 4)})


def test_utilization_is_that_of_the_steps_after_the_warm_up():
    flops = [9 * 10**12, 4 * 10**12, 2 * 10**12]
    reached = training_utilization(flops, [9.0, 0.5, 0.5], 1, Peaks(tflops=60.0, gb_per_second=1.0))
    assert (reached.flops, reached.tflops_per_second, reached.flops_utilization) == (15 * 10**12, 6.0, 0.1)
    assert (reached.moved_bytes, reached.bandwidth_utilization) == (None, None)
    decoded = decoding_utilization([10**9, 3 * 10**9], [1.0, 0.5], 1, Peaks(gb_per_second=12.0))
    assert (decoded.moved_bytes, decoded.gb_per_second, decoded.bandwidth_utilization) == (4 * 10**9, 6.0, 0.5)
    assert decoded.flops is None


def test_a_card_without_known_peaks_has_no_share():
    reached = training_utilization([10**12], [1.0], 5, Peaks())
    assert (reached.tflops_per_second, reached.flops_utilization) == (1.0, None)
    assert training_utilization([10**12], [0.0], 0, Peaks(tflops=1.0)).flops_utilization is None
