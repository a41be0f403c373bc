"""Clocks, memory and one measurement, with a stand-in for CUDA."""

import mmap
import os

import pytest
from fake_gpu import OTHER, FakeCuda, FakeLibrary, bound, nvml_of
from made import said

from ohlora_fixtures.base.units import MIB
from ohlora_fixtures.meters.card import CardWatch
from ohlora_fixtures.meters.device import choose_gpu
from ohlora_fixtures.meters.memory import CudaMemory, HostMemory, MemoryReading, is_leak, leaked_mib
from ohlora_fixtures.meters.meter import CudaClock, WallClock, measure, steady


def memory_of(cuda, library, cap=None):
    return CudaMemory(cuda, bound(library), cuda.drop_workspaces, cap)


def test_the_wall_clock_times_the_whole_and_each():
    clock = WallClock()
    clock.start()
    clock.tick()
    clock.tick()
    seconds, each = clock.stop()
    assert len(each) == 2
    assert 0 < sum(each) <= seconds


def test_the_cuda_clock_waits_for_the_device_at_both_ends_only():
    cuda = FakeCuda()
    clock = CudaClock(cuda)
    clock.start()
    clock.tick()
    clock.tick()
    assert cuda.calls == ["synchronize"]
    _, each = clock.stop()
    assert cuda.calls == ["synchronize", "synchronize"]
    assert each == pytest.approx((0.01, 0.01))


def test_the_peak_is_reset_after_the_cache_is_emptied():
    cuda = FakeCuda()
    assert memory_of(cuda, FakeLibrary()).start() == 100.0
    assert cuda.calls == ["synchronize", "drop_workspaces", "empty_cache", "reset_peak_memory_stats"]


def test_device_memory_is_peak_reserved_and_the_context():
    memory = memory_of(cuda := FakeCuda(library := FakeLibrary()), library)
    memory.start()
    assert memory.stop() == MemoryReading(
        allocated_before_mib=100.0,
        allocated_after_mib=100.0,
        peak_allocated_mib=300.0,
        peak_reserved_mib=400.0,
        context_mib=500.0,
        peak_device_mib=900.0,
    )
    assert cuda.calls[-1] == "synchronize"


@pytest.mark.parametrize("own", [{os.getpid(): None}, {77: None}, {}], ids=["Windows", "host's ids", "none shown"])
def test_without_a_figure_for_the_process_the_cards_use_since_the_start_counts(own):
    library = FakeLibrary()
    context = bound(library)
    library.set(used_mib=550.0, processes=own)
    assert context.mib(reserved_mib=200.0) == 300.0


@pytest.mark.parametrize("used_mib", [None, 100.0], ids=["no answer", "nonsense"])
def test_a_context_that_cannot_be_read_is_none(used_mib):
    library = FakeLibrary()
    memory = memory_of(FakeCuda(), library)
    library.set(used_mib=used_mib)
    memory.start()
    reading = memory.stop()
    assert (reading.context_mib, reading.peak_device_mib, reading.peak_reserved_mib) == (None, None, 400.0)


def test_a_machine_without_nvidias_library_has_no_context():
    context = bound(None)
    assert (context.mib(reserved_mib=0), context.other_processes()) == (None, None)


@pytest.mark.parametrize(
    ("before", "now", "others"),
    [
        ({}, {os.getpid(): 5}, 0),
        ({OTHER: 9}, {OTHER: 9, os.getpid(): 5}, 1),
        ({}, {77: None}, 0),
        ({OTHER: 9}, {OTHER: 9, 77: None}, 1),
        ({OTHER: 9}, {OTHER: 9}, 1),
        ({}, {}, None),
    ],
    ids=["alone", "beside another", "by the host's id", "so, beside another", "own not shown", "none shown"],
)
def test_processes_of_others_are_counted(before, now, others):
    library = FakeLibrary(processes=before)
    context = bound(library)
    library.set(processes=now)
    assert context.other_processes() == others


def test_a_leak_is_more_than_16_mib():
    assert [is_leak(leaked_mib(100.0, after)) for after in (90.0, 116.0, 116.5)] == [False, False, True]
    assert leaked_mib(None, None) is None
    assert not is_leak(None)


def write_status(folder, peak_kib, now_kib):
    (folder / "status").write_text(f"Name:\tx\nVmHWM:\t{peak_kib} kB\nVmRSS:\t{now_kib} kB\n")


def test_host_memory_is_growth_over_the_start(tmp_path):
    write_status(tmp_path, 9000, 2048)
    memory = HostMemory(tmp_path)
    memory.start()
    assert (tmp_path / "clear_refs").read_text() == "5"
    write_status(tmp_path, 5120, 3072)
    assert memory.now_mib() == 3.0
    assert memory.stop() == MemoryReading(peak_rss_growth_mib=3.0)


def test_host_memory_elsewhere_is_none(tmp_path):
    memory = HostMemory(tmp_path / "none")
    memory.start()
    assert (memory.now_mib(), memory.stop()) == (None, MemoryReading())


def test_real_host_memory_sees_an_allocation():
    memory = HostMemory()
    memory.start()
    with mmap.mmap(-1, 64 * MIB) as pages:  # a bytearray may reuse memory that the process has kept
        pages.write(b"x" * len(pages))
        growth = memory.stop().peak_rss_growth_mib
    assert growth is None or 60 < growth < 200


def test_a_measurement_on_a_card_tells_how_the_card_was():
    library = FakeLibrary()
    cuda = FakeCuda(library)
    times = iter([0.0, 0.1, 0.6, 0.6, 0.7])
    watch = CardWatch(nvml_of(library), bound(library), 15360.0, 12288.0, now=lambda: next(times))

    def work(tick):
        tick()  # too soon for a sample
        library.set(clock_reasons=0x4, sm_clock_mhz=900, temperature_c=80)
        tick()
        library.set(clock_reasons=0x1, sm_clock_mhz=300, temperature_c=70)  # idle

    reading = measure(work, CudaClock(cuda), memory_of(cuda, library), watch).card
    assert said(reading.taints) == ("clocks throttled by the power cap in 1 of 3 samples",)
    assert (reading.highest_temperature_c, reading.lowest_sm_clock_mhz) == (80, 900)


def test_a_measurement_holds_result_times_and_memory(tmp_path):
    watched = []

    def work(tick):
        tick()
        tick()
        return "done"

    measurement = measure(work, WallClock(), HostMemory(tmp_path), watch=lambda: watched.append(1))
    assert measurement.result == "done"
    assert len(measurement.seconds_each) == len(watched) == 2


def test_the_steady_state_leaves_the_warm_up_out():
    settled = steady((9.0, 1.0, 2.0, 3.0, 4.0, 5.0), warm_up=1)
    assert (settled.median_seconds, settled.iqr_seconds) == (3.0, 2.0)
    assert steady((9.0, 1.0), warm_up=1).iqr_seconds == 0
    assert steady((9.0,), warm_up=1) is None


@pytest.mark.parametrize(
    ("visible", "count", "worker", "chosen"),
    [
        (None, 2, 0, "0"),
        (None, 2, 1, "1"),
        (None, 2, 2, "0"),
        ("3,5", 8, 1, "5"),
        ("GPU-a", 8, 0, "GPU-a"),
        ("", 2, 0, ""),
    ],
)
def test_each_worker_gets_one_gpu(visible, count, worker, chosen):
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    choose_gpu(environment, count, worker)
    assert environment["CUDA_VISIBLE_DEVICES"] == chosen
    assert environment.get("CUDA_DEVICE_ORDER") == ("PCI_BUS_ID" if chosen else None)


def test_without_gpus_nothing_is_chosen():
    environment = {}
    choose_gpu(environment, 0, 0)
    assert environment == {}
