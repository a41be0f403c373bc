"""Clocks, memory and device, with fakes in place of CUDA and NVML."""

import os
from types import SimpleNamespace

import pytest

from ohlora_fixtures.budget import MIB
from ohlora_fixtures.meters.clock import CudaClock, WallClock
from ohlora_fixtures.meters.device import CudaContext, Nvml, choose_gpu
from ohlora_fixtures.meters.memory import CudaMemory, HostMemory, MemoryReading
from ohlora_fixtures.meters.meter import measure, steady

UUID = "GPU-1234"


class FakeCuda:
    """A GPU whose queue takes 10 ms for each event, and an allocator with set figures."""

    def __init__(self):
        self.calls = []
        self.recorded = 0

    def Event(self, *, enable_timing):  # noqa: N802 - torch's name
        assert enable_timing
        cuda = self

        class Event:
            def record(self):
                cuda.recorded += 1
                self.at_ms = cuda.recorded * 10.0

            def elapsed_time(self, end):
                return end.at_ms - self.at_ms

        return Event()

    def synchronize(self):
        self.calls.append("synchronize")

    def empty_cache(self):
        self.calls.append("empty_cache")

    def reset_peak_memory_stats(self):
        self.calls.append("reset_peak_memory_stats")

    def memory_allocated(self):
        return 100 * MIB

    def max_memory_allocated(self):
        return 300 * MIB

    def memory_reserved(self):
        return 200 * MIB

    def max_memory_reserved(self):
        return 400 * MIB


class FakeNvml:
    """A card with 50 MiB in use by others, and this process's own use as far as NVML tells it."""

    def __init__(self, own_mib=None, used_mib=50.0):
        self.own_mib = own_mib
        self.used = used_mib

    def used_mib_by_uuid(self):
        return {UUID: 50.0}

    def used_mib(self, uuid):
        assert uuid == UUID
        return self.used

    def process_used_mib(self, uuid):
        assert uuid == UUID
        return self.own_mib


def bound(nvml):
    context = CudaContext(nvml)
    context.bind(UUID)
    return context


def memory_of(cuda, nvml):
    return CudaMemory(cuda, bound(nvml), lambda: cuda.calls.append("drop_workspaces"))


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
    memory_of(cuda, FakeNvml()).start()
    assert cuda.calls == ["synchronize", "drop_workspaces", "empty_cache", "reset_peak_memory_stats"]


def test_device_memory_is_peak_reserved_and_the_context():
    memory = memory_of(FakeCuda(), FakeNvml(own_mib=500.0))
    memory.start()
    assert memory.stop() == MemoryReading(
        allocated_before_mib=100.0,
        allocated_after_mib=100.0,
        peak_allocated_mib=300.0,
        peak_reserved_mib=400.0,
        peak_device_mib=700.0,
    )


def test_without_a_figure_for_the_process_the_cards_use_since_the_start_counts():
    assert bound(FakeNvml(used_mib=550.0)).mib(reserved_mib=200.0) == 300.0


@pytest.mark.parametrize("nvml", [FakeNvml(used_mib=None), FakeNvml(used_mib=100.0)], ids=["no answer", "nonsense"])
def test_a_context_that_cannot_be_read_is_none(nvml):
    assert bound(nvml).mib(reserved_mib=200.0) is None
    memory = memory_of(FakeCuda(), nvml)
    memory.start()
    assert memory.stop().peak_device_mib is None


def test_a_context_of_no_card_is_none():
    assert CudaContext(FakeNvml(own_mib=500.0)).mib(reserved_mib=0) is None


def test_nvml_finds_this_process_among_others():
    nvml = Nvml()
    other = SimpleNamespace(pid=os.getpid() + 1, usedGpuMemory=7 * MIB)
    own = SimpleNamespace(pid=os.getpid(), usedGpuMemory=5 * MIB)
    nvml._nvml = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [other, own],
    )
    assert nvml.process_used_mib(UUID) == 5.0
    own.usedGpuMemory = None
    assert nvml.process_used_mib(UUID) is None


def test_nvml_errors_are_no_answer():
    def fail(*_):
        raise RuntimeError

    nvml = Nvml()
    nvml._nvml = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlDeviceGetCount=fail,
        nvmlDeviceGetHandleByIndex=fail,
        nvmlSystemGetDriverVersion=fail,
    )
    assert (nvml.device_count(), nvml.driver_version(), nvml.used_mib_by_uuid()) == (0, None, {})


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
    block = bytearray(b"x") * (64 * MIB)
    growth = memory.stop().peak_rss_growth_mib
    assert len(block) == 64 * MIB
    assert growth is None or 60 < growth < 200


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


def test_without_gpus_nothing_is_chosen():
    environment = {}
    choose_gpu(environment, 0, 0)
    assert environment == {}
