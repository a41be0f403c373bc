"""A recorded layer leaves the very trace that the layer itself leaves."""

import contextlib
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_layers import GradientCheckpointingLayer

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates, select_group
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.planner import on_meta
from ohlora_fixtures.planner.allocator import Trace
from ohlora_fixtures.planner.batches import padding_tokenizer
from ohlora_fixtures.planner.recordings import calls_recorded
from ohlora_fixtures.planner.traced_candidate import TracedCandidate
from ohlora_fixtures.planner.tracer import StorageTracer

SEED = {each.name: each for each in select_group(read_candidates(DATA / "candidates.toml"), "seed")}
PROFILES = {each.name: each for each in read_profiles(DATA / "gpus.toml")}
LAYERS = 3
ROWS = [{"input_ids": [1] * n, "attention_mask": [1] * n, "labels": [1] * n} for n in (7, 5, 6, 7)]


def small(candidate):
    """The candidate's architecture with few layers, on meta."""
    changed = candidate.architecture() | {"num_hidden_layers": LAYERS, "layer_types": None}
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**changed), dtype=torch.bfloat16)


def traced(candidate, profile, protocol):
    found = TracedCandidate(candidate, small(candidate), padding_tokenizer(), protocol, PROFILES[profile])
    run = found.fine_tuning(lora(4), [ROWS[:2], ROWS[2:], ROWS[:2]])
    return found, run


@pytest.mark.parametrize(("profile", "checkpointing"), [("t4", False), ("h100", True)])
@pytest.mark.parametrize("name", SEED)
def test_recorded_layers_leave_the_trace_of_the_layers(name, profile, checkpointing, monkeypatch):
    protocol = replace(Protocol(), gradient_checkpointing=checkpointing)
    found, recorded = traced(SEED[name], profile, protocol)
    assert any(found._placed["{}"].recordings.values())
    monkeypatch.setattr(on_meta, "calls_recorded", lambda *_: contextlib.nullcontext())
    _, plain = traced(SEED[name], profile, protocol)
    assert recorded == plain


class Layer(GradientCheckpointingLayer):
    """A layer, and what `also` does with its hidden tensor."""

    def __init__(self, index, also):
        super().__init__()
        self.layer_idx = index
        self.inner = nn.Linear(8, 8)
        self.also = also

    def forward(self, x):
        hidden = self.inner(x)
        return self.also(hidden.relu(), hidden)


class KeepsWhatItMade:
    def __init__(self):
        self.kept = []

    def __call__(self, out, hidden):
        self.kept.append(hidden.detach() * 2)
        return out


def gives_two(out, hidden):
    return out, hidden


def gives_what_it_keeps(out, _hidden):
    return out  # relu keeps its result for the backward pass


def gives_one(out, _hidden):
    return (out * 2,)


def stacked(also, *, is_recorded):
    """Three layers trained twice; the second time, gradients are added to those that are there."""
    with torch.device("meta"):
        layers, head = [Layer(index, also()) for index in range(3)], nn.Linear(8, 1)
    tracer, recordings = StorageTracer(Trace(), vocabulary=50), {}
    with tracer, calls_recorded(tracer, recordings) if is_recorded else contextlib.nullcontext():
        for _ in range(2):
            hidden = torch.empty(4, 8, device="meta")
            for layer in layers:
                out = layer(hidden)
                hidden = out[0] if isinstance(out, tuple) else out
                del out
            head(hidden).sum().backward()
    return tracer.trace.until(len(tracer.trace.events)), recordings


@pytest.mark.parametrize(
    ("also", "can_be"),
    [
        (lambda: gives_one, True),
        (lambda: gives_two, False),
        (lambda: gives_what_it_keeps, False),
        (KeepsWhatItMade, False),
    ],
)
def test_what_cannot_be_recorded_runs_as_it_is(also, can_be):
    recorded, recordings = stacked(also, is_recorded=True)
    plain, _ = stacked(also, is_recorded=False)
    assert recordings
    assert all((each is not None) == can_be for each in recordings.values())
    assert recorded == plain


def test_layers_of_other_settings_are_recorded_apart():
    with torch.device("meta"):
        layers = [Layer(index, gives_one) for index in range(4)]
    layers[3].scale = 2.0
    tracer, recordings = StorageTracer(Trace(), vocabulary=50), {}
    with tracer, calls_recorded(tracer, recordings):
        hidden = torch.empty(4, 8, device="meta", requires_grad=True)
        for layer in layers:
            (hidden,) = layer(hidden)
    assert len(recordings) == 2
