"""Which device a session gets, with a stand-in for CUDA where a GPU is needed."""

import os
from types import SimpleNamespace

import pytest
import torch
from fake_gpu import UUID, FakeCuda, FakeLibrary, nvml_of

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.base.units import MIB
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.meters.device import WORKSPACE_VARIABLE
from ohlora_fixtures.meters.memory import CudaContext, CudaMemory, HostMemory
from ohlora_fixtures.meters.meter import CudaClock, WallClock
from ohlora_fixtures.session import devices
from ohlora_fixtures.session.preflight import model_source

PROFILES = {profile.name: profile for profile in read_profiles(DATA / "gpus.toml")}


def asked(planned_for="t4", **options):
    settings = {"scale": "auto", "weights": None, "model_dir": None, "allow_remote_code": False, "protocol": Protocol()}
    profile = PROFILES[planned_for]
    cards = {"gpu_profile": profile, "known_profiles": tuple(PROFILES.values()), "budget_mib": 12288.0}
    return SimpleNamespace(**settings | cards | options)


@pytest.fixture
def gpu(monkeypatch):
    """A T4 on which nothing runs; it takes PyTorch's calls."""
    library = FakeLibrary()
    cuda = FakeCuda(library)
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    monkeypatch.setattr(devices, "Nvml", lambda: nvml_of(library))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    properties = SimpleNamespace(
        name="NVIDIA T4", uuid=UUID.removeprefix("GPU-"), major=7, minor=5, total_memory=15000 * MIB
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", cuda.drop_workspaces, raising=False)
    for name in [name for name in vars(FakeCuda) if not name.startswith("_") and hasattr(torch.cuda, name)]:
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    return SimpleNamespace(cuda=cuda, pynvml=library, context=CudaContext(nvml_of(library)))


def test_with_a_gpu_auto_is_full_size_from_the_hub(gpu):
    with devices.opened_device(asked(), gpu.context) as device:
        assert (device.environment.device, device.source.device) == ("NVIDIA T4", "cuda:0")
        assert (device.source.scale, device.source.weights) == ("full", "hub")
        assert (type(device.clock), type(device.memory)) == (CudaClock, CudaMemory)
        assert device.environment.native_bf16 is False
        assert device.environment.cublas_workspace_config is None
        assert (device.peaks.tflops, device.peaks.gb_per_second) == (8.1, 320)


def test_on_a_gpu_all_four_memory_figures_are_read(gpu):
    with devices.opened_device(asked(weights="random"), gpu.context) as device:
        device.memory.start()
        reading = device.memory.stop()
    assert (reading.allocated_after_mib, reading.peak_allocated_mib, reading.peak_reserved_mib) == (100, 300, 400)
    assert reading.peak_device_mib == 400 + 500


def test_a_larger_card_is_capped_to_the_budget_and_freed_again(gpu):
    with devices.opened_device(asked(), gpu.context) as device:
        assert device.cap_mib == pytest.approx(12288 - 500)
        assert gpu.cuda.fraction == pytest.approx((12288 - 500) / 15000)
    assert gpu.cuda.fraction == 1.0
    with devices.opened_device(asked(budget_mib=16384.0), gpu.context) as device:
        assert (device.cap_mib, gpu.cuda.fraction) == (None, 1.0)


def test_a_card_that_is_imitated_gives_no_more_than_one_process_can_have_of_it(gpu):
    usable_mib = PROFILES["rtx3060-12gb"].usable_mib
    assert usable_mib < 12288
    with devices.opened_device(asked("rtx3060-12gb"), gpu.context) as device:
        assert device.cap_mib == pytest.approx(usable_mib - 500)
        assert device.environment.usable_mib == usable_mib
    with devices.opened_device(asked("rtx3060-12gb", budget_mib=8192.0), gpu.context) as device:
        assert device.cap_mib == pytest.approx(8192 - 500)
    with devices.opened_device(asked(), gpu.context) as device:
        assert device.environment.usable_mib is None


def test_where_the_context_cannot_be_read_the_profiles_is_subtracted(gpu):
    gpu.pynvml.set(used_mib=None, processes=None)
    gpu.cuda.pynvml = None
    with devices.opened_device(asked(), gpu.context) as device:
        assert device.cap_mib == pytest.approx(12288 - PROFILES["t4"].context_mib)


def test_settings_of_a_card_planned_for_are_taken_recorded_and_put_back(gpu):
    with devices.opened_device(asked("m6000"), gpu.context) as device:
        assert device.environment.attention_backends == ("math",)
        assert device.environment.cublas_workspace_config == os.environ[WORKSPACE_VARIABLE] == ":8320:1"
    assert torch.backends.cuda.flash_sdp_enabled()
    assert WORKSPACE_VARIABLE not in os.environ


def test_replicas_run_on_a_gpu_when_asked_for(gpu):
    source = model_source(asked(scale="mini"))
    assert (source.scale, source.weights, source.device) == ("mini", "random", "cuda:0")


def test_without_a_gpu_auto_is_a_rehearsal_on_one_thread(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    with devices.opened_device(asked(), CudaContext(nvml_of(None))) as device:
        assert torch.get_num_threads() == 1
        torch.set_num_threads(threads)
        assert device.environment.device.startswith("cpu (")
        assert (device.source.scale, device.source.weights, device.source.device) == ("mini", "random", "cpu")
        assert (type(device.clock), type(device.memory)) == (WallClock, HostMemory)
        assert device.card is device.cap_mib is None


@pytest.mark.parametrize(
    ("weights", "model_dir", "says"),
    [("hub", None, "add --scale full for the CPU"), (None, "weights", "the weights are random at mini scale")],
)
def test_options_that_do_not_go_together_without_a_gpu(monkeypatch, weights, model_dir, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=says):
        model_source(asked(weights=weights, model_dir=model_dir))


@pytest.mark.parametrize(("place", "chosen"), [(0, "0"), (1, "1"), (2, "0")])
def test_each_process_sees_one_gpu(monkeypatch, place, chosen):
    monkeypatch.setattr(devices, "Nvml", lambda: SimpleNamespace(device_count=lambda: 2, use_by_uuid=dict))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")  # put back afterwards
    devices.choose_device(place)
    assert devices.os.environ["CUDA_VISIBLE_DEVICES"] == chosen


def ahead():
    found = devices.environment_ahead(asked())
    return found.scale, found.weights, found.device


def test_a_device_is_named_before_it_is_opened(gpu, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert ahead() == ("full", "hub", "NVIDIA T4")
    monkeypatch.setattr(devices, "Nvml", lambda: SimpleNamespace(gpu=lambda _: None))
    assert ahead() == ("full", "hub", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ahead()[2].startswith("cpu (")
