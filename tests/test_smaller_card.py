"""A smaller card on a larger one, with stand-ins for PyTorch's switches."""

import os

import pytest
from fake_gpu import FakeCuda, FakeSwitches

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.meters.device import WORKSPACE_VARIABLE, enabled_backends, settings_of
from ohlora_fixtures.meters.memory import MemoryCap

PROFILES = {profile.name: profile for profile in read_profiles(DATA / "gpus.toml")}


def test_a_cap_is_the_budget_without_the_context():
    cuda = FakeCuda()
    cap = MemoryCap(cuda, memory_mib=81920.0, budget_mib=12288.0)
    assert (cap.limit_mib, cuda.fraction) == (None, 1.0)
    cap.fit(context_mib=512.0)
    assert cap.limit_mib == 11776.0
    assert cuda.fraction == 11776 / 81920
    cap.fit(context_mib=600.0)  # it grows as kernels are loaded
    assert cap.limit_mib == pytest.approx(11688.0)
    cap.lift()
    assert cuda.fraction == 1.0


@pytest.mark.parametrize("memory_mib", [12288.0, 12036.0])
def test_a_card_no_larger_than_the_budget_needs_no_cap(memory_mib):
    cuda = FakeCuda()
    cap = MemoryCap(cuda, memory_mib, budget_mib=12288.0)
    cap.fit(context_mib=512.0)
    assert (cap.limit_mib, cuda.fraction) == (None, 1.0)


def test_a_lower_cap_of_the_users_own_stays_and_comes_back():
    cuda = FakeCuda()
    cuda.fraction = 0.0625
    cap = MemoryCap(cuda, memory_mib=81920.0, budget_mib=12288.0)
    cap.fit(context_mib=512.0)
    assert (cap.limit_mib, cuda.fraction) == (5120.0, 0.0625)
    cap.lift()
    assert cuda.fraction == 0.0625


def test_a_budget_smaller_than_the_context_leaves_nothing():
    cap = MemoryCap(FakeCuda(), memory_mib=81920.0, budget_mib=400.0)
    cap.fit(context_mib=512.0)
    assert cap.limit_mib == 0.0


@pytest.mark.parametrize(
    ("planned_for", "present", "backends"),
    [
        ("m6000", (9, 0), ["math"]),
        ("rtx3060-12gb", (9, 0), ["flash", "mem_efficient", "math"]),
        ("h200", (9, 0), ["cudnn", "flash", "mem_efficient", "math"]),
        ("l4", (8, 6), ["cudnn", "flash", "mem_efficient", "math"]),
    ],
)
@pytest.mark.parametrize("before", [None, ":16:8"])
def test_workspace_and_attention_are_the_other_cards_and_come_back(monkeypatch, planned_for, present, backends, before):
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(WORKSPACE_VARIABLE, before)
    switches = FakeSwitches()
    profile = PROFILES[planned_for]
    with settings_of(profile, present, switches):
        assert enabled_backends(switches) == backends
        kib, count = os.environ[WORKSPACE_VARIABLE].removeprefix(":").split(":")
        assert int(kib) * 1024 * int(count) == profile.cublas_workspace_bytes
    assert all(switches.on.values())
    assert os.environ.get(WORKSPACE_VARIABLE) == before


def test_a_backend_that_was_off_stays_off():
    switches = FakeSwitches()
    switches.on["flash"] = False
    with settings_of(PROFILES["rtx3060-12gb"], (9, 0), switches):
        assert enabled_backends(switches) == ["mem_efficient", "math"]
    assert switches.on == {"cudnn": True, "flash": False, "mem_efficient": True, "math": True}
