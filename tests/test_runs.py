"""Runs of many lengths: what lies on curves against what is traced."""

import pytest

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.planner.batches import padding_tokenizer
from ohlora_fixtures.planner.candidate_planner import CandidatePlanner
from ohlora_fixtures.planner.curves import PARABOLA, TILED, Curve
from ohlora_fixtures.planner.runs import interpolated_run, shapes_of
from ohlora_fixtures.planner.steps import NotComposableError
from ohlora_fixtures.planner.traced_candidate import TracedCandidate
from ohlora_fixtures.workloads.models import build_on_meta

PROFILES = {profile.name: profile for profile in read_profiles(DATA / "gpus.toml")}
VARIANT = lora(8)


def a_row(tokens):
    return {"input_ids": [1] * tokens, "attention_mask": [1] * tokens, "labels": [1] * tokens}


def a_batch(*tokens):
    return [a_row(each) for each in tokens]


def padded(tokens):
    return a_batch(tokens // 2, tokens, tokens - 1, 2)


LENGTHS = [*range(5, 400, 11), *range(16, 400, 24)]
"""Of padded batches; some 20 are multiples of 8."""
STEPS = [[padded(tokens)] for tokens in LENGTHS] + [[a_batch(*[tokens] * 4)] for tokens in (33, 102, 310)]


@pytest.fixture
def planner(tiny):
    def make(card, examples=STEPS[0][0], protocol=Protocol(epochs=1)):  # noqa: B008 - it is frozen
        (candidate,) = read_candidates(tiny())
        traced = TracedCandidate(candidate, build_on_meta(candidate), padding_tokenizer(), protocol, PROFILES[card])
        return CandidatePlanner(traced, examples, 10, protocol, [VARIANT])

    return make


def put_together(planner, steps, growth):
    """A run of those steps by interpolation, and how many of them were traced."""
    asked = []

    def trace(chosen):
        asked.extend(chosen)
        return planner.cut_run(VARIANT, chosen)

    batches_of = {shapes_of(step): step for step in steps}
    return interpolated_run(batches_of, set(batches_of), trace, growth), len(asked)


@pytest.mark.parametrize(
    ("card", "growth", "most_traced"), [("t4", PARABOLA, 7), ("l40s", TILED, 26), ("h100", PARABOLA, 7)]
)
def test_each_step_between_a_few_lengths_is_the_step_that_is_traced(planner, card, growth, most_traced):
    """Event by event, on cards whose attention rounds lengths up and on others; unpadded batches have no mask."""
    found, traced = put_together(planner(card), STEPS, growth)
    assert traced <= most_traced
    every = planner(card).cut_run(VARIANT, [*STEPS, STEPS[0]])
    for step, known, work in zip(STEPS, every.steps, every.work_each, strict=False):
        own = found.step_of[shapes_of(step)]
        assert (own.events, own.categories) == (known.events, known.categories)
        assert (own.inherits, own.left_behind) == (known.inherits, known.left_behind)
        assert found.work_of[shapes_of(step)] == work
    assert found.beginning.events == every.beginning.events


def test_lengths_that_are_rounded_up_are_on_no_parabola(planner):
    with pytest.raises(NotComposableError):
        put_together(planner("l40s"), STEPS, PARABOLA)


def test_a_block_that_grows_in_another_way_is_seen_at_the_check(planner, monkeypatch):
    growing = planner("t4")
    plain = growing.cut_run

    def odd(variant, steps):
        found = plain(variant, steps)
        largest = max(range(len(found.last_events)), key=found.last_events.__getitem__)
        found.last_events[largest] += 512
        return found

    monkeypatch.setattr(growing, "cut_run", odd)
    with pytest.raises(NotComposableError, match="check"):
        put_together(growing, STEPS[:30], PARABOLA)


def test_a_curve_tells_any_sum_of_its_terms_and_picks_no_more_lengths_than_it_needs():
    def rounded(tokens):
        return 7 + 3 * tokens**2 + 5 * tokens * (-(-tokens // 8) * 8) + 2 * (-(-tokens // 64) * 64)

    for lengths, most in ((range(1, 1025), 10), (range(8, 1025, 8), 9), (range(1, 33), 6), ([40, 50], 2)):
        curve = Curve(TILED, lengths)
        assert len(curve.picked) <= most
        assert {tokens: curve.at(tokens).sum([*map(rounded, curve.picked)]) for tokens in lengths} == {
            tokens: rounded(tokens) for tokens in lengths
        }
