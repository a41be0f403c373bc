"""The one verdict on a case against the budget, at its boundaries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made

from ohlora_fixtures.results.fit import NOT_JUDGED, Fit, above_budget, fit_of, fit_of_all, reason_of

BUDGET_MIB = 2048.0


def measured(peak_device_mib=None, **figures):
    return made("x", "r16", peak_device_mib=peak_device_mib, budget_mib=BUDGET_MIB, **figures)


def planned(peak_device_mib=None, **figures):
    return made("x", "r16", is_planned=True, peak_device_mib=peak_device_mib, budget_mib=BUDGET_MIB, **figures)


def judged(*records):
    fit = fit_of(*records)
    return fit.verdict, fit.is_planned, fit.reason and str(fit.reason)


@pytest.mark.parametrize(
    ("peak_mib", "verdict"), [(0.0, "fits"), (2047.0, "fits"), (2048.0, "fits"), (2048.01, "over"), (1e9, "over")]
)
def test_the_budget_itself_is_within_it(peak_mib, verdict):
    assert fit_of(measured(peak_mib), None).verdict == fit_of(None, planned(peak_mib)).verdict == verdict


def test_the_sentence_names_both_figures_and_the_difference():
    assert above_budget(12288.0, 12288.0) is None
    assert str(above_budget(12900.0, 12288.0)) == (
        "device memory of 12900.00 MiB is 612.00 MiB (5.0%) above the VRAM budget of 12288.00 MiB"
    )
    assert str(fit_of(None, planned(2049.0)).reason).startswith("planned: device memory of 2049.00 MiB is 1.00 MiB")


def test_a_plan_is_judged_by_what_it_needs_not_by_what_it_takes_where_there_is_room():
    assert judged(None, planned(3000.0, needs_device_mib=2048.0)) == ("fits", True, None)
    over = fit_of(None, planned(3000.0, needs_device_mib=2049.0))
    assert str(over.reason).startswith("planned: device memory of 2049.00 MiB")


@pytest.mark.parametrize(
    ("needs_mib", "usable_mib", "verdict"),
    [
        (1500.0, 1500.0, "fits"),
        (1500.01, 1500.0, "over"),
        (2048.01, 4096.0, "over"),
        (2048.0, None, "fits"),
        (2048.0, 0.0, "fits"),
    ],
)
def test_a_plan_is_held_to_the_card_as_well_as_to_the_budget(needs_mib, usable_mib, verdict):
    plan = planned(needs_mib, usable_mib=usable_mib)
    assert fit_of(None, plan).verdict == verdict
    assert plan.limit_mib == min(BUDGET_MIB, usable_mib or BUDGET_MIB)
    assert fit_of(measured(needs_mib), plan).verdict == ("over" if needs_mib > BUDGET_MIB else "fits")


def test_a_plan_beyond_the_card_is_told_so_whatever_the_budget():
    over = planned(1600.0, usable_mib=1500.0)
    assert str(fit_of(None, over).reason) == (
        "planned: device memory of 1600.00 MiB is 100.00 MiB (6.7%) above the 1500.00 MiB that one process can have of "
        "the card"
    )


@pytest.mark.parametrize(
    ("kind", "peak_mib", "verdict", "reason"),
    [
        ("failed", 1.0, "failed", "failed: why"),
        ("failed", None, "failed", "failed: why"),
        ("error", 1.0, "failed", "error: why"),
        ("over_budget", 1.0, "over", "over budget: why"),
        ("out_of_memory", 1.0, "over", "out of memory: why"),
        ("out_of_memory", None, "over", "out of memory: why"),
    ],
)
def test_what_failed_has_failed_whatever_its_peak_until_then_and_its_plan(kind, peak_mib, verdict, reason):
    assert judged(measured(peak_mib, outcome=kind, reason="why"), planned(1.0)) == (verdict, False, reason)
    assert judged(None, planned(peak_mib, outcome=kind, reason="why")) == (verdict, True, f"planned: {reason}")


@pytest.mark.parametrize(
    "tells_nothing",
    [
        None,
        measured(),
        measured(scale="mini", peak_rss_growth_mib=9999.0),
        measured(outcome="skipped", reason="why"),
        measured(9999.0, outcome="skipped"),
    ],
    ids=["no measurement", "no peak", "a rehearsal", "skipped", "skipped, with a peak"],
)
def test_where_the_measurement_does_not_tell_the_plan_does(tells_nothing):
    assert judged(tells_nothing, planned(2048.0)) == ("fits", True, None)
    assert judged(tells_nothing, planned(2048.01))[:2] == ("over", True)
    assert fit_of(tells_nothing, None) is fit_of(tells_nothing, planned()) is NOT_JUDGED


def test_that_no_plan_can_be_made_is_no_verdict_on_what_has_run():
    no_plan = planned(outcome="error", reason="why")
    assert fit_of(measured(scale="full"), no_plan) is NOT_JUDGED
    assert judged(measured(scale="mini"), no_plan) == ("failed", True, "planned: error: why")


def test_what_was_measured_goes_before_its_plan():
    assert judged(measured(2048.0), planned(4096.0)) == ("fits", False, None)
    assert judged(measured(2049.0), planned(1024.0))[:2] == ("over", False)


def test_a_reason_that_nobody_knows_is_said_to_be_unknown():
    assert str(reason_of(made("x", outcome="failed"))) == "failed: no reason is known"


FITS, OVER, FAILED = Fit("fits"), Fit("over"), Fit("failed")


@pytest.mark.parametrize(
    ("fits", "together"),
    [
        ([], NOT_JUDGED),
        ([NOT_JUDGED], NOT_JUDGED),
        ([NOT_JUDGED, FITS], FITS),
        ([FITS, OVER, FAILED], OVER),
        ([FAILED, FITS, OVER], FAILED),
    ],
)
def test_several_cases_fit_together_if_none_that_is_judged_stands_in_the_way(fits, together):
    assert fit_of_all(fits) is together


@given(st.floats(0, 1e9), st.floats(0.1, 1e9))
def test_a_verdict_is_over_exactly_where_a_sentence_says_so(peak_mib, budget_mib):
    fit = fit_of(made("x", peak_device_mib=peak_mib, budget_mib=budget_mib), None)
    assert (fit.verdict == "over") is (peak_mib > budget_mib) is (fit.reason is not None)
