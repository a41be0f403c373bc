"""What of a card's condition taints a measurement, and reading it from NVIDIA's library."""

import pytest
from fake_gpu import OTHER, UUID, FakeLibrary, bound, nvml_of
from made import said

from ohlora_fixtures.meters.card import CardWatch, taints_of_condition, taints_of_use
from ohlora_fixtures.meters.nvml import Condition


@pytest.mark.parametrize(
    ("reasons", "taint"),
    [
        (0x0, []),
        (0x1, []),  # idle
        (0x2, []),  # clocks that somebody set
        (0x4, ["clocks throttled by the power cap in 1 of 2 samples"]),
        (0x20 | 0x1, ["clocks throttled by heat in 1 of 2 samples"]),
        (0x8, ["clocks throttled by a hardware slowdown (heat, power or a failing supply) in 1 of 2 samples"]),
    ],
)
def test_throttled_clocks_taint_and_idle_ones_do_not(reasons, taint):
    assert [*said(taints_of_condition([Condition(clock_reasons=0), Condition(clock_reasons=reasons)]))] == taint


@pytest.mark.parametrize(
    ("samples", "taint"),
    [
        ([Condition(temperature_c=89, slowdown_temperature_c=90)], []),
        (
            [Condition(temperature_c=70, slowdown_temperature_c=90), Condition(temperature_c=90)],
            ["the card reached 90 degrees C, and slows down from 90"],
        ),
        ([Condition(power_limit_w=70.0, default_power_limit_w=70.0)], []),
        (
            [Condition(power_limit_w=50.0, default_power_limit_w=70.0)],
            ["the power cap is 50 W, lower than the card's own 70 W"],
        ),
        ([Condition(corrected_ecc_errors=3), Condition(corrected_ecc_errors=3)], []),
        (
            [Condition(corrected_ecc_errors=3), Condition(corrected_ecc_errors=4)],
            ["1 corrected ECC error in the card's memory"],
        ),
        (
            [Condition(uncorrected_ecc_errors=0), Condition(uncorrected_ecc_errors=2)],
            ["2 uncorrected ECC errors in the card's memory"],
        ),
        ([Condition(), Condition()], []),
    ],
)
def test_heat_a_lowered_power_cap_and_memory_errors_taint(samples, taint):
    assert [*said(taints_of_condition(samples))] == taint


@pytest.mark.parametrize(
    ("use", "taint"),
    [
        ((0, 0, 20000.0), []),
        ((None, None, None), []),
        ((1, 10, 12288.0), ["1 other process on the card"]),
        ((2, 11, 12287.0), [
            "2 other processes on the card",
            "the card was busy 11% of the time before the session used it",
            "the card had 12287 MiB free before the session used it, less than the budget",
        ]),
    ],
)  # fmt: skip
def test_other_peoples_work_taints(use, taint):
    assert [*said(taints_of_use(*use, budget_mib=12288.0))] == taint


def test_a_watch_sees_what_was_there_before_and_what_has_come():
    library = FakeLibrary(used_mib=9000.0, busy_percent=60, processes={OTHER: 9000})
    context = bound(library)
    library.set(used_mib=9600.0, processes={OTHER: 9000, 77: None})
    watch = CardWatch(nvml_of(library), context, memory_mib=15360.0, budget_mib=12288.0)
    watch.start()
    assert said(watch.stop().taints) == (
        "1 other process on the card",
        "the card was busy 60% of the time before the session used it",
        "the card had 6360 MiB free before the session used it, less than the budget",
    )


def test_a_budget_of_the_whole_card_leaves_the_driver_its_own():
    library = FakeLibrary(used_mib=600.0)
    context = bound(library)
    watch = CardWatch(nvml_of(library), context, memory_mib=12288.0, budget_mib=12288.0)
    watch.start()
    assert watch.stop().taints == ()


def test_the_librarys_answers_in_the_suites_units():
    nvml = nvml_of(FakeLibrary(power_limit_mw=61_500, ecc={0: 7, 1: 1}))
    assert nvml.condition(UUID) == Condition(
        clock_reasons=0,
        temperature_c=60,
        slowdown_temperature_c=90,
        power_limit_w=61.5,
        default_power_limit_w=70.0,
        sm_clock_mhz=1590,
        corrected_ecc_errors=7,
        uncorrected_ecc_errors=1,
    )
    assert (nvml.device_count(), nvml.driver_version(), nvml.gpu_names()) == (1, "580.1", ["NVIDIA T4"])
    assert nvml.use_by_uuid()[UUID].used_mib == 50.0


def test_an_answer_that_is_refused_is_none_and_the_others_are_read():
    refused = ("used_mib", "processes", "clock_reasons", "slowdown_temperature_c", "power_limit_mw", "ecc")
    nvml = nvml_of(FakeLibrary(**dict.fromkeys(refused), drawing={OTHER: 5}))
    use, condition = nvml.use(UUID), nvml.condition(UUID)
    assert (use.used_mib, use.processes, use.busy_percent) == (None, {OTHER}, 0)
    assert (condition.clock_reasons, condition.temperature_c, condition.power_limit_w) == (None, 60, None)
    assert nvml.process_used_mib(UUID) is None


@pytest.mark.parametrize("nvml", [nvml_of(None), nvml_of(FakeLibrary())], ids=["no library", "no such card"])
def test_without_a_library_or_a_card_nothing_is_known(nvml):
    assert nvml.condition("GPU-none") == Condition()
    assert nvml.use("GPU-none").used_mib is None
