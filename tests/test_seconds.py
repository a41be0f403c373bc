"""Planned seconds: from work and a pace, and a pace from what was measured."""

from dataclasses import replace

import pytest

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.pace import ROUGH_SPREAD, Pace, rough_pace
from ohlora_fixtures.planner.plan import Plan, with_seconds
from ohlora_fixtures.planner.seconds import Work, calibrated, seconds_of

PROFILES = {profile.name: profile for profile in read_profiles(DATA / "gpus.toml")}
PACE = Pace(1e-5, 2e12, 1e12, 2e11, spread=1.25, basis="measured")
LOOP = Work(flops=10**9, moved_bytes=10**8, operators=100_000, made_bytes=10**9)
LARGE = Work(flops=2 * 10**13, moved_bytes=10**10, fp32_flops=10**11, operators=8_000, made_bytes=10**11)
DECODING = Work(flops=10**10, moved_bytes=2 * 10**11, operators=140_000, made_bytes=10**9)


def test_each_limit_is_met_by_work_that_meets_no_other():
    found = seconds_of(Work(operators=1000), PACE)
    assert (found.seconds, found.low, found.high) == pytest.approx((0.01, 0.008, 0.0125))
    for_training = Work(operators=1000, modules=100, autograd_operators=1000)
    assert seconds_of(for_training, PACE).seconds == pytest.approx(0.01 + 0.003 + 0.003)
    assert seconds_of(Work(flops=10**12, fp32_flops=5 * 10**11), PACE).seconds == pytest.approx(0.25 + 0.5)
    assert seconds_of(Work(moved_bytes=10**11, made_bytes=10**11), PACE).seconds == pytest.approx(1.0)


def test_host_and_card_overlap_in_part():
    host, card = Work(operators=100_000), Work(flops=2 * 10**12)
    assert 1.0 < seconds_of(host + card, PACE).seconds < 2.0


def test_many_steps_take_as_long_as_each_of_them():
    assert seconds_of(LARGE + LARGE, PACE).seconds == pytest.approx(2 * seconds_of(LARGE, PACE).seconds)


def test_measurements_tell_the_pace():
    measured = [(work, seconds_of(work, PACE).seconds) for work in (LOOP, LARGE, DECODING)]
    start = replace(PACE, operator_seconds=4e-6, flops_per_second=3e12, fp32_flops_per_second=1.5e12)
    found = calibrated(start, measured)
    assert found.operator_seconds == pytest.approx(PACE.operator_seconds, rel=0.03)
    assert found.flops_per_second == pytest.approx(PACE.flops_per_second, rel=0.03)
    assert (found.basis, found.spread) == ("calibrated", 1.1)


def test_one_measurement_is_met_and_tells_the_rest_in_proportion():
    twice_as_slow = 2 * seconds_of(DECODING, PACE).seconds
    found = calibrated(PACE, [(DECODING, twice_as_slow)])
    assert seconds_of(DECODING, found).seconds == pytest.approx(twice_as_slow, rel=0.02)
    assert seconds_of(LARGE, PACE).seconds < seconds_of(LARGE, found).seconds < 2 * seconds_of(LARGE, PACE).seconds


def test_measurements_that_contradict_each_other_widen_the_range():
    seconds = seconds_of(LARGE, PACE).seconds
    assert calibrated(PACE, [(LARGE, 0.8 * seconds), (LARGE, 1.25 * seconds)]).spread > 1.5


def test_a_card_without_runs_is_rough_and_one_without_peaks_has_no_seconds():
    t4, rough = PROFILES["t4"].pace, PROFILES["rtx3060-12gb"].pace
    assert (t4.basis, t4.operator_seconds) == ("measured", pytest.approx(9.12e-6))
    assert (rough.basis, rough.spread) == ("rough", ROUGH_SPREAD)
    unknown = replace(PROFILES["t4"], matrix_tflops=None)
    assert unknown.pace is None
    assert with_seconds(Plan(work=LARGE), 50, unknown.pace).seconds is None


def test_below_compute_capability_8_matrices_are_multiplied_in_fp32():
    old, new, data_centre = (rough_pace(16, 500, capability) for capability in ((7, 5), (8, 6), (9, 0)))
    assert old.fp32_flops_per_second == old.flops_per_second < new.flops_per_second
    assert new.flops_per_second / new.fp32_flops_per_second == 4
    assert data_centre.flops_per_second / data_centre.fp32_flops_per_second == 16


def test_a_plan_says_seconds_of_the_run_and_of_a_step():
    plan = with_seconds(Plan(work=LARGE), 50, PACE)
    assert plan.seconds_low < plan.seconds < plan.seconds_high
    assert plan.seconds_a_step == plan.seconds / 50
    assert with_seconds(Plan(work=LARGE), None, PACE).seconds_a_step is None
