"""One's own loop, traced through the public interface (docs/planning.md)."""

import re
from importlib.util import find_spec

import pytest
import torch
from caching_allocator import CachingAllocator
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.planner.tracing import tracing

L4 = next(profile for profile in read_profiles(DATA / "gpus.toml") if profile.name == "l4")
MIB = 2**20
VOCABULARY, WIDTH = 1000, 256


@pytest.fixture
def model():
    sizes = {"hidden_size": WIDTH, "intermediate_size": 512, "num_hidden_layers": 3, "vocab_size": VOCABULARY}
    config = AutoConfig.for_model("llama", num_attention_heads=4, num_key_value_heads=2, **sizes)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def batch(tokens, rows=4):
    return torch.ones(rows, tokens, dtype=torch.long).to("meta")


def test_a_loop_of_ones_own_is_traced_between_its_marks(model):
    optimizer = torch.optim.AdamW(model.parameters())
    with tracing(model, L4) as trace:
        trace.mark("placed")
        for number, tokens in enumerate((300, 40)):
            optimizer.zero_grad()
            model(input_ids=batch(tokens), labels=batch(tokens)).loss.backward()
            optimizer.step()
            trace.mark(f"step {number}")
        torch.cuda.empty_cache()
        trace.mark("emptied")
    weights_mib = sum(each.nbytes for each in model.parameters()) / MIB
    assert trace.at("placed").allocated_mib == pytest.approx(weights_mib, rel=0.01)
    assert trace.at("step 0").allocated_mib > 4 * weights_mib  # gradients, and two states of AdamW each
    assert trace.at("step 1").reserved_mib == trace.peak(since="step 0").reserved_mib == trace.peak().reserved_mib
    assert trace.at("emptied").reserved_mib < trace.at("step 1").reserved_mib
    long, short = trace.peak(until="step 0"), trace.peak(since="step 0", until="step 1")
    assert trace.peak().allocated_mib == long.allocated_mib > short.allocated_mib > trace.at("step 1").allocated_mib
    assert long.allocated_mib <= trace.needs_mib() <= trace.peak().reserved_mib
    assert sum(trace.at_peak_mib().values()) == pytest.approx(trace.peak().allocated_mib)
    assert trace.at_peak_mib()["base_weights"] == pytest.approx(weights_mib, rel=0.01)


def test_its_levels_are_those_of_the_whole_allocator(model):
    with tracing(model, L4) as trace:
        model(input_ids=batch(200), labels=batch(200)).loss.backward()
        trace.mark("end")
    allocator, handles = CachingAllocator(), []
    for event in trace._tracer.trace.events:
        if event > 0:
            handles.append(allocator.malloc(event))
        elif event:
            allocator.free(handles[-1 - event])
    assert trace.peak().allocated_mib == allocator.peak_allocated_bytes / MIB
    assert trace.peak().reserved_mib == allocator.peak_reserved_bytes / MIB


def test_a_pass_in_inference_mode_is_traced_as_one_without_gradients(model):
    peaks = []
    for context in (torch.inference_mode, torch.no_grad):
        with tracing(model, L4) as trace, context():
            mask = batch(96)
            logits = model(input_ids=batch(96), attention_mask=mask).logits
            assert mask.sum().item() == 4 * 96  # what follows from the data is known, on meta too
            loss = torch.nn.functional.cross_entropy(logits[0, -mask[0].sum() :], batch(96)[0])
            assert loss.item() == 1.0  # what does not is an unremarkable number
        peaks.append(trace.peak())
    assert peaks[0] == peaks[1]


def test_a_gradient_that_is_a_view_is_freed_once(model):
    with tracing(model, L4) as trace:
        trace.mark("placed")
        for _ in range(2):  # the second time the layers are played back
            model.model(input_ids=batch(64)).last_hidden_state.sum().backward()
            model.zero_grad()
        trace.mark("end")
    kept_mib = 2 * L4.cublas_workspace_bytes / MIB
    assert trace.at("end").allocated_mib - trace.at("placed").allocated_mib == pytest.approx(kept_mib, abs=0.01)


def test_what_cannot_be_answered_is_said(model):
    with tracing(model, L4) as trace:
        trace.mark("one")
        with pytest.raises(InputError, match="'one' is set already"):
            trace.mark("one")
    with pytest.raises(InputError, match="no mark 'two': set are one"):
        trace.peak(since="two")
    with pytest.raises(InputError, match="build the model on meta"), tracing(torch.nn.Linear(2, 2), L4):
        pass


def test_what_is_attached_inside_is_told_from_activations(model):
    with tracing(model, L4) as trace:
        adapted = get_peft_model(model, LoraConfig(r=64, target_modules=["q_proj", "down_proj"]))
        trained = [each for each in adapted.parameters() if each.requires_grad]
        optimizer = torch.optim.SGD(trained)
        adapted(input_ids=batch(8), labels=batch(8)).loss.backward()
        held = torch.empty(64 * MIB, dtype=torch.uint8, device="meta")  # the peak stands where all gradients are there
        optimizer.step()
        del held
    trained_mib = sum(each.nbytes for each in trained) / MIB
    at_peak_mib = trace.at_peak_mib()
    assert at_peak_mib["adapters"] == at_peak_mib["gradients"] == pytest.approx(trained_mib)


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="an extra")
def test_a_layer_in_4_bits_is_quantised_and_multiplied_on_meta(model):
    from bitsandbytes.nn import Linear4bit

    rows, width = 512, 1024
    with tracing(model, L4) as trace:
        trace.mark("placed")
        with torch.device("meta"):
            layer = Linear4bit(width, width, bias=False, compress_statistics=False, quant_type="nf4").bfloat16()
        layer.weight = layer.weight.to("meta")
        trace.mark("quantised")
        layer(torch.zeros(rows, width, dtype=torch.bfloat16, device="meta", requires_grad=True)).sum().backward()
        trace.mark("end")
    quantised_mib = trace.at("quantised").allocated_mib - trace.at("placed").allocated_mib
    assert quantised_mib == pytest.approx(width * width * (1 / 2 + 4 / 64) / MIB, rel=0.01)
    whole_mib = width * width * 2 / MIB  # the weight is there in bf16 while one product takes
    assert trace.peak(since="quantised").allocated_mib > trace.at("quantised").allocated_mib + whole_mib


def test_with_a_device_map_the_weights_share_one_segment():
    sizes = {"hidden_size": 2048, "intermediate_size": 4096, "num_hidden_layers": 2, "vocab_size": 3000}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **sizes), dtype=torch.bfloat16)
    reserved_mib = []
    for has_device_map in (True, False):
        with tracing(model, L4, has_device_map=has_device_map) as trace:
            trace.mark("placed")
        reserved_mib.append(trace.at("placed").reserved_mib)
    weights_mib = sum(each.nbytes for each in model.parameters()) / MIB
    small_pool_mib, rounded_mib = 2, 2
    assert weights_mib <= reserved_mib[0] <= weights_mib + small_pool_mib + rounded_mib < reserved_mib[1]


def test_the_loop_in_the_docs_prints_what_is_shown(capsys):
    page = (DATA.parent / "docs" / "planning.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "planning.md", "exec"), {})
    shown = [float(number.replace(",", "")) for number in re.findall(r"^print.*# ([0-9,]+)$", block, re.MULTILINE)]
    assert [float(line) for line in capsys.readouterr().out.splitlines()] == pytest.approx(shown, rel=0.01)
