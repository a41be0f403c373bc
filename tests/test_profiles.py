"""Which card is planned for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.gpu_profiles import Gpu, choose_profile, read_profiles
from ohlora_fixtures.meters.nvml import Nvml

KNOWN = read_profiles(DATA / "gpus.toml")
HERE = Path()


def test_the_listed_cards():
    names = {profile.name for profile in KNOWN}
    assert {"m6000", "t4", "rtx3060-12gb", "rtx4070-12gb", "l4", "a100", "h100", "h200"} <= names
    for profile in KNOWN:
        is_new = profile.capability >= (8, 0)
        assert (profile.attention == "fused") is profile.native_bf16 is is_new
        assert profile.cublas_workspace_bytes == (32 * 2**20 if profile.capability == (9, 0) else 8519680)


class FakeNvml:
    """As much of NVML's Python module as describes a card, by index or UUID."""

    NVMLError = RuntimeError

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return ("Tesla T4", "NVIDIA H200")[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if uuid != "GPU-1":
            raise RuntimeError
        return "NVIDIA H200"

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return handle

    def nvmlDeviceGetCudaComputeCapability(self, handle):  # noqa: N802
        return [7, 5] if "T4" in handle else [9, 0]

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(total=(15360 if "T4" in handle else 143771) * 2**20)


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        (None, "Tesla T4"),
        ("0", "Tesla T4"),
        ("1,0", "NVIDIA H200"),
        ("GPU-1", "NVIDIA H200"),
        ("", None),
        ("MIG-7", None),
    ],
)
def test_the_gpu_present_is_the_first_visible_one(visible, name):
    nvml = Nvml()
    nvml._nvml = FakeNvml()
    found = nvml.gpu(visible)
    assert (found and found.name) == name
    if found:
        assert choose_profile(None, KNOWN, found, HERE).name in ("t4", "h200")


def test_without_a_gpu_it_is_the_m6000():
    assert choose_profile(None, KNOWN, None, HERE).name == "m6000"


@pytest.mark.parametrize(
    ("present", "name"),
    [
        (Gpu("NVIDIA H200", (9, 0), 143771), "h200"),
        (Gpu("Tesla T4", (7, 5), 15360), "t4"),
        (Gpu("NVIDIA GeForce RTX 3060", (8, 6), 12288), "rtx3060-12gb"),
    ],
)
def test_the_gpu_present_is_taken_by_its_name(present, name):
    assert choose_profile(None, KNOWN, present, HERE).name == name
    assert choose_profile("l4", KNOWN, present, HERE).name == "l4"


def test_a_card_that_is_not_listed_is_taken_at_its_word():
    found = choose_profile(None, KNOWN, Gpu("NVIDIA GeForce RTX 3060", (8, 6), 8192), HERE)
    assert (found.name, found.capability, found.memory_mib) == ("NVIDIA GeForce RTX 3060", (8, 6), 8192)
    assert (found.attention, found.context_basis) == ("fused", "assumed")
    assert found.context_source.startswith("as for rtx3060-12gb")
    assert choose_profile(None, KNOWN, Gpu("Tesla P100", (6, 0), 16384), HERE).attention == "math"


OWN = """
[[gpu]]
name = "mine"
card = ["Mine"]
compute_capability = "8.6"
memory_mib = 12288
cublas_workspace_bytes = 8519680
native_bf16 = true
attention = "fused"
context_mib = 384.5
context_basis = "assumed"
context_source = "a guess"
"""


def test_a_profile_of_ones_own_is_read_and_whole_figures_stay_whole(tmp_path):
    (tmp_path / "mine.toml").write_text(OWN, encoding="utf-8")
    found = choose_profile("mine.toml", KNOWN, None, tmp_path)
    assert (found.card, repr(found.memory_mib), found.context_mib) == (("Mine",), "12288", 384.5)
    assert (found.matrix_tflops, found.peaks_source) == (None, None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('attention = "flash"', r"gpu 'mine' in .*mine\.toml has attention = 'flash', which must be 'math' or 'fused'"),
        ('compute_capability = "8"', "must be a text such as '8.6'"),
        ("compute_capability = 8.6", "must be a text such as '8.6'"),
        ("card = []", "must be a list of names"),
        ('card = [""]', "must be a list of names"),
        ("memory_mib = 0", "must be a number above 0"),
        ("memory_mib = inf", "must be a number above 0"),
        ("memory_mib = nan", "must be a number above 0"),
        ("memory_mib = true", "must be a number above 0"),
        ("cublas_workspace_bytes = 1.5", "must be a whole number above 0"),
        ('native_bf16 = "yes"', "must be true or false"),
        ("memory_gb = 12", "has the unknown key 'memory_gb': the keys are name, card, compute_capability, memory_mib"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_with_what_a_value_must_be(tmp_path, line, says):
    key = line.partition(" ")[0]
    rest = [each for each in OWN.splitlines() if each.partition(" ")[0] != key]
    (tmp_path / "mine.toml").write_text("\n".join([*rest, line]), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_profiles(tmp_path / "mine.toml")
