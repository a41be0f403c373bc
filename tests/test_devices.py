"""Which device a session gets, with a stand-in for CUDA where a GPU is needed."""

from types import SimpleNamespace

import pytest
import torch

from ohlora_fixtures import devices
from ohlora_fixtures.budget import MIB
from ohlora_fixtures.errors import InputError
from ohlora_fixtures.meters.clock import CudaClock, WallClock
from ohlora_fixtures.meters.memory import CudaMemory, HostMemory
from ohlora_fixtures.preflight import model_source
from ohlora_fixtures.protocol import Protocol

UUID = "GPU-0000-1111"


def asked(**options):
    settings = {"scale": "auto", "weights": None, "model_dir": None, "allow_remote_code": False, "protocol": Protocol()}
    return SimpleNamespace(**settings | options)


@pytest.fixture
def gpu(monkeypatch):
    """A card on which 600 MiB are in use, 100 MiB of them before the session."""
    used_mib = iter([100.0, 600.0])

    class Nvml:
        def used_mib_by_uuid(self):
            return {UUID: next(used_mib)}

        def used_mib(self, uuid):
            assert uuid == UUID
            return next(used_mib)

        def process_used_mib(self, uuid):
            assert uuid == UUID

    figures = {"memory_allocated": 1, "max_memory_allocated": 300, "memory_reserved": 200, "max_memory_reserved": 400}
    monkeypatch.setattr(devices, "Nvml", Nvml)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(name="NVIDIA T4", uuid=UUID.removeprefix("GPU-"))
    )
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, raising=False)
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    for name, mib in figures.items():
        monkeypatch.setattr(torch.cuda, name, lambda mib=mib: mib * MIB)


def test_with_a_gpu_auto_is_full_size_from_the_hub(gpu):
    device = devices.open_device(asked())
    assert (device.name, device.source.device) == ("NVIDIA T4", "cuda:0")
    assert (device.source.scale, device.source.weights) == ("full", "hub")
    assert (type(device.clock), type(device.memory)) == (CudaClock, CudaMemory)


def test_on_a_gpu_all_four_memory_figures_are_read(gpu):
    memory = devices.open_device(asked(weights="random")).memory
    memory.start()
    reading = memory.stop()
    assert (reading.allocated_after_mib, reading.peak_allocated_mib, reading.peak_reserved_mib) == (1, 300, 400)
    assert reading.peak_device_mib == 400 + (600 - 100 - 200)


def test_replicas_run_on_a_gpu_when_asked_for(gpu):
    source = model_source(asked(scale="mini"))
    assert (source.scale, source.weights, source.device) == ("mini", "random", "cuda:0")


def test_without_a_gpu_auto_is_a_rehearsal_on_one_thread(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    device = devices.open_device(asked())
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)
    assert device.name.startswith("cpu (")
    assert (device.source.scale, device.source.weights, device.source.device) == ("mini", "random", "cpu")
    assert (type(device.clock), type(device.memory)) == (WallClock, HostMemory)


@pytest.mark.parametrize(
    ("weights", "model_dir", "says"),
    [("hub", None, "add --scale full for the CPU"), (None, "weights", "the weights are random at mini scale")],
)
def test_options_that_do_not_go_together_without_a_gpu(monkeypatch, weights, model_dir, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=says):
        model_source(asked(weights=weights, model_dir=model_dir))


@pytest.mark.parametrize(("worker", "chosen"), [(None, "0"), ("gw0", "0"), ("gw1", "1"), ("gw2", "0")])
def test_each_process_sees_one_gpu(monkeypatch, worker, chosen):
    monkeypatch.setattr(devices, "Nvml", lambda: SimpleNamespace(device_count=lambda: 2))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices.choose_device(worker)
    assert devices.os.environ["CUDA_VISIBLE_DEVICES"] == chosen
