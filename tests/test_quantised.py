"""Quantised bases and bitsandbytes' optimizers: plans on meta against the library's own work on real tensors."""

import contextlib
from dataclasses import replace

import bitsandbytes
import pytest
import torch
from test_tracer import changes, profiled_changes
from test_workloads import CANDIDATES, SOURCE, texts_for
from transformers import AutoConfig, AutoModelForCausalLM

from conftest import TINY
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import Variant, lora, read_variants
from ohlora_fixtures.planner import on_meta
from ohlora_fixtures.planner.allocator import Category, Trace
from ohlora_fixtures.planner.batches import padding_tokenizer
from ohlora_fixtures.planner.candidate_planner import CandidatePlanner
from ohlora_fixtures.planner.quantised import bitsandbytes_on_meta, load_quantised
from ohlora_fixtures.planner.traced_candidate import States, TracedCandidate
from ohlora_fixtures.planner.tracer import StorageTracer
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, forget_optimizers
from ohlora_fixtures.workloads.models import count_parameters, load, quantise, untied_weights
from ohlora_fixtures.workloads.trainer import make_trainer

PROFILE = read_profiles(DATA / "gpus.toml")[0]
SHIPPED = {each.name: each for each in read_variants(DATA / "variants.toml")}
QLORA, INT8 = SHIPPED["r16-qlora"], SHIPPED["r16-int8"]
BASES = {
    "nf4 twice": QLORA.base,
    "nf4 once": {**QLORA.base, "bnb_4bit_use_double_quant": False},
    "fp4": {"load_in_4bit": True},
    "int8": INT8.base,
}
ROWS = [{"input_ids": [1] * n, "attention_mask": [1] * n, "labels": [1] * n} for n in (7, 5, 6, 7)]


def built(device, **settings):
    with torch.device(device):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**TINY | settings), dtype=torch.bfloat16)


def on_a_card(base, **settings):
    """A tiny model on meta, quantised, and the tracer that has seen it."""
    model = built("meta", **settings)
    with bitsandbytes_on_meta(), on_meta.storages_traced(model, PROFILE, lambda _: None) as tracer:
        return load_quantised(model, base, tracer), tracer


def storages(model):
    """All that a quantised model holds on its device: weights, buffers, and what they are scaled by."""
    held = [*model.parameters(), *model.buffers()]
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        held += [getattr(weight, "SCB", None)]
        if state is not None:
            held += [
                state.absmax,
                state.code,
                state.offset,
                *((state.state2.absmax, state.state2.code) if state.nested else ()),
            ]
    tensors = [each for each in held if each is not None]
    return {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in tensors}


def live(trace):
    """Sizes of what is live when a trace has ended."""
    sizes = [event for event in trace.events if event > 0]
    for event in trace.events:
        if event < 0:
            sizes[-1 - event] = None
    return sorted(size for size in sizes if size is not None)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_loaded_model_holds_what_the_real_one_holds(base, tied):
    model = built("cpu", tie_word_embeddings=tied)
    real = quantise(type(model), model.config, untied_weights(model), base, "cpu")
    planned, tracer = on_a_card(base, tie_word_embeddings=tied)
    assert live(tracer.trace) == sorted(storages(real).values())
    assert count_parameters(planned) == count_parameters(real) == count_parameters(model)
    kept = {type(each.weight).__name__ for each in (planned.get_input_embeddings(), planned.get_output_embeddings())}
    assert kept == {"Parameter"}
    assert planned.get_output_embeddings().weight.dtype is torch.bfloat16


@pytest.mark.parametrize("base", [QLORA.base, INT8.base], ids=["nf4", "int8"])
def test_each_weight_comes_to_the_card_in_bf16_before_it_is_quantised(base):
    planned, tracer = on_a_card(base)
    events = list(changes(tracer.trace.events))
    warm_up = events[0]
    assert events[1] == -warm_up
    weights = sum(storages(planned).values())
    assert 0.9 * weights < warm_up < weights  # transformers' guess leaves out what they are scaled by
    hidden, inner = TINY["hidden_size"], TINY["intermediate_size"]
    in_bf16 = 2 * hidden * inner
    assert events.count(in_bf16) >= 3 * TINY["num_hidden_layers"]
    assert sum(event for event in events[1:] if abs(event) == in_bf16) == (
        0 if in_bf16 not in live(tracer.trace) else in_bf16
    )


class OneLayer(torch.nn.Module):
    def __init__(self, base, device):
        super().__init__()
        from bitsandbytes.nn import Linear4bit, Params4bit

        with torch.device(device):
            plain = torch.randn(192, 128, dtype=torch.bfloat16)
        self.layer = Linear4bit(128, 192, bias=False, compute_dtype=torch.bfloat16)
        settings = {"quant_type": base.get("bnb_4bit_quant_type", "fp4"), "module": self.layer}
        settings["compress_statistics"] = base.get("bnb_4bit_use_double_quant", False)
        self.layer.weight = Params4bit(plain, requires_grad=False, **settings)._quantize(device)

    def forward(self, x):
        return self.layer(x)


def both_ways(base, work):
    """What work on a layer and its input makes and lets go: real tensors by PyTorch's profiler, and planned."""

    def of(device, see):
        layer = OneLayer(base, device).train()
        x, factor = (torch.ones(2, 24, size, dtype=torch.bfloat16, device=device) for size in (128, 192))
        return see(work(layer, x.requires_grad_(), factor))

    def planned(run):
        tracer = StorageTracer(Trace(), vocabulary=1)
        with tracer:
            run()
        return list(changes(tracer.trace.events))

    def large(sizes):
        return [size for size in sizes if abs(size) > 64]

    with bitsandbytes_on_meta():
        on_meta = large(of("meta", planned))
    return large(of("cpu", profiled_changes)), on_meta


@pytest.mark.parametrize("name", ["nf4 twice", "nf4 once", "fp4"])
def test_each_temporary_of_a_4bit_layers_forward_pass_is_the_librarys_own(name, monkeypatch):
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", None, raising=False)
    from bitsandbytes.backends.cuda import ops  # its CUDA code, but for the kernels themselves, on real tensors

    for kernel in ("_dequantize_blockwise_impl", "_dequantize_4bit_impl"):
        monkeypatch.setattr(ops, kernel, lambda *_args, **_kwargs: None)

    def forward(layer, x, _factor):
        def planned():
            with torch.no_grad():
                layer(x)

        def real():
            with torch.no_grad():
                weight, state = layer.layer.weight, layer.layer.weight.quant_state
                absmax, nested = (
                    (state.state2.absmax, (state.absmax, state.state2.code, state.offset))
                    if state.nested
                    else (state.absmax, ())
                )
                ops._dequant_linear_fallback(
                    x, weight, state.shape, absmax, state.blocksize, state.quant_type, None, *nested
                )

        return real if x.device.type == "cpu" else planned

    real, planned = both_ways(BASES[name], forward)
    assert planned == real
    assert max(real) == 2 * 128 * 192  # the whole weight


@pytest.mark.parametrize("name", ["nf4 twice", "nf4 once", "fp4"])
def test_each_temporary_of_its_backward_pass_too(name):
    def backward(layer, x, factor):
        loss = (layer(x) * factor).sum()
        return loss.backward

    real, planned = both_ways(BASES[name], backward)
    assert planned == real
    assert 2 * 128 * 192 in real


def test_a_few_rows_are_multiplied_without_the_whole_weight():
    with bitsandbytes_on_meta():
        planned = OneLayer(QLORA.base, "meta").eval()
        tracer = StorageTracer(Trace(), vocabulary=1)
        with tracer, torch.no_grad():
            out = planned(torch.empty(1, 1, 128, dtype=torch.bfloat16, device="meta"))
    assert out.shape == (1, 1, 192)
    assert 192 * 128 * 2 not in tracer.trace.events
    assert tracer.work.flops == 2 * 128 * 192


def traced(variant, protocol=None, rows=ROWS, **settings):
    candidate = replace(read_candidates(DATA / "candidates.toml")[0], target_modules=("q_proj", "down_proj"))
    found = TracedCandidate(candidate, built("meta", **settings), padding_tokenizer(), protocol or Protocol(), PROFILE)
    return found, found.fine_tuning(variant, [rows[:2], rows[2:], rows[:2]])


@pytest.mark.parametrize("variant", [QLORA, INT8], ids=lambda variant: variant.name)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_recorded_layers_leave_the_trace_of_the_layers(variant, checkpointing, monkeypatch):
    protocol = replace(Protocol(), gradient_checkpointing=checkpointing)
    found, recorded = traced(variant, protocol, num_hidden_layers=3)
    assert len(found._placed) == 2
    monkeypatch.setattr(on_meta, "calls_recorded", lambda *_: contextlib.nullcontext())
    _, plain = traced(variant, protocol, num_hidden_layers=3)
    assert recorded == plain


def test_a_run_is_traced_again_from_the_same_loaded_model():
    found, first = traced(QLORA)
    assert found.fine_tuning(QLORA, [ROWS[:2], ROWS[2:], ROWS[:2]]) == first


@pytest.mark.parametrize(
    ("optim", "adapter"),
    [
        ("adamw_8bit", {}),
        ("adamw_8bit", lora(64).adapter),
        ("lion_8bit", lora(64).adapter),
        ("adamw_torch", lora(4).adapter),
    ],
)
def test_an_optimizers_states_are_as_large_as_the_real_ones(optim, adapter):
    variant = Variant("mine", adapter, training={"optim": optim})
    found, _ = traced(variant)
    states = found.states[variant]
    model = built("cpu")
    adapted = attach_adapter(model, variant, ("q_proj", "down_proj"), Protocol())
    protocol = replace(variant.protocol(Protocol()), epochs=1)
    trainer = make_trainer(adapted, padding_tokenizer(), ROWS, protocol, lambda: None)
    trainer.train()
    kept = [
        each for state in trainer.optimizer.state.values() for each in state.values() if isinstance(each, torch.Tensor)
    ]
    if not optim.endswith("8bit"):
        kept = [each for each in kept if each.dim()]  # AdamW counts its steps on the host
    expected = {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in kept}
    forget_optimizers()
    assert states == States(sum(expected.values()))


def test_paged_states_are_outside_the_allocator():
    paged, plain = (Variant("mine", training={"optim": f"{kind}adamw_8bit"}) for kind in ("paged_", ""))
    (with_pages, paged_run), (without, plain_run) = traced(paged), traced(plain)
    states, all_states = with_pages.states[paged], without.states[plain]
    assert states.size_bytes == all_states.size_bytes
    assert 0 < states.paged_bytes < states.size_bytes
    assert all_states.paged_bytes is None
    assert sum(live(plain_run.trace)) - sum(live(paged_run.trace)) == states.paged_bytes


def test_what_bitsandbytes_registers_for_good_is_let_go_of():
    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    traced(Variant("mine", training={"optim": "adamw_8bit"}))
    assert manager.module_weight_config_triple == []
    assert bitsandbytes.functional.name2qmap.get("dynamic", torch.empty(0)).device.type == "cpu"


def test_accumulated_batches_are_one_step():
    candidate = replace(read_candidates(DATA / "candidates.toml")[0], target_modules=("q_proj",))
    rows = [{"input_ids": [1] * n, "attention_mask": [1] * n, "labels": [1] * n} for n in range(4, 14)]
    protocol = Protocol(epochs=2)
    found = TracedCandidate(candidate, built("meta"), padding_tokenizer(), protocol, PROFILE)
    one_by_one, whole = SHIPPED["r16-accumulation"], lora(16)
    planner = CandidatePlanner(found, rows, 4, protocol, [whole, one_by_one])
    assert [len(batch) for batch in planner.batches_of(one_by_one)] == [1] * 20
    assert len(planner.fine_tuning_work(one_by_one)) == len(planner.fine_tuning_work(whole)) == 6
    (small, batch), (large, _) = planner.fine_tuning(one_by_one), planner.fine_tuning(whole)
    assert small.peak_allocated_bytes < large.peak_allocated_bytes
    assert batch == [rows[-1]]


def test_every_weight_is_trained_where_there_is_no_adapter():
    found, run = traced(SHIPPED["full"])
    trained = found.trainable_parameters[SHIPPED["full"]]
    assert trained == count_parameters(built("meta"))
    assert found.states[SHIPPED["full"]] == States(2 * 2 * trained)
    assert bytes(run.trace.categories).count(Category.GRADIENTS) == 3 * len(list(built("meta").parameters()))


def test_a_4bit_model_that_has_answered_can_still_be_trained_on(monkeypatch):
    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)  # a CPU for which weights are packed
    model = load(CANDIDATES["FinguAI-Chat-v1"], SOURCE, texts_for("FinguAI-Chat-v1"), QLORA.base).model
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        answered = model.eval()(ids).logits
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    trained = model.train()(inputs_embeds=embedded).logits
    trained.sum().backward()
    assert torch.allclose(trained.float(), answered.float(), rtol=0.05, atol=0.05)
    assert embedded.grad.abs().sum() > 0
