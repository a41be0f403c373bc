"""Which card is planned for."""

import re
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
    assert {"m6000", "t4", "rtx3060-12gb", "rtx4070-12gb", "l4", "a100", "h100", "h200", "l40s", "rtx5090"} <= names
    assert "list" not in names
    for profile in KNOWN:
        is_new = profile.capability >= (8, 0)
        assert (profile.attention == "fused") is profile.native_bf16 is is_new
        assert profile.cublas_workspace_bytes == (32 * 2**20 if profile.capability[0] in (9, 12) else 8519680)
        for name in ("usable", "context"):
            basis, source = getattr(profile, f"{name}_basis"), getattr(profile, f"{name}_source")
            assert (basis == "estimated") is (source is None)
        assert 0.9 * profile.memory_mib < profile.usable_mib < profile.memory_mib
        assert 50 < profile.context_mib < 800


def test_a_cards_peaks_are_what_its_source_comes_to():
    pattern = r"(\d+) SM x (\d+) FLOP x ([\d.]+) GHz.*; (\d+) bit x ([\d.]+) Gbit/s"
    found = [(each, re.match(pattern, each.peaks_source)) for each in KNOWN]
    assert sum(source is not None for _, source in found) > 25
    for card, source in found:
        if source:
            multiprocessors, flop, ghz, bits, gbit = map(float, source.groups())
            assert card.multiprocessors == multiprocessors
            assert card.matrix_tflops == pytest.approx(multiprocessors * flop * ghz / 1000, rel=0.005)
            assert card.bandwidth_gb_per_second == pytest.approx(bits * gbit / 8, rel=0.005)


@pytest.mark.parametrize(
    ("like", "usable_off_by", "context_off_by"),
    [
        ("t4", 5, 15),
        ("rtx3060-12gb", 5, 15),
        ("rtx4090", 10, 10),
        ("rtx5090", 40, 5),
        ("l40s", 10, 15),
        ("a100", 60, 5),
    ],
)
def test_what_is_estimated_is_near_what_is_known_of_such_cards(like, usable_off_by, context_off_by):
    known = choose_profile(like, KNOWN, None, HERE)
    present = Gpu("A card", known.capability, known.memory_mib, known.multiprocessors)
    found = choose_profile(None, KNOWN, present, HERE)
    assert (found.usable_basis, found.context_basis) == ("estimated", "estimated")
    assert (known.usable_basis, known.context_basis) == ("measured", "measured")
    assert found.usable_mib == pytest.approx(known.usable_mib, abs=usable_off_by)
    assert found.context_mib == pytest.approx(known.context_mib, abs=context_off_by)


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

    def nvmlDeviceGetNumGpuCores(self, handle):  # noqa: N802
        if "T4" in handle:
            raise RuntimeError
        return 132 * 128

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
        assert found.multiprocessors == (None if name == "Tesla T4" else 132)
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
    assert (found.attention, found.multiprocessors) == ("fused", 38)  # as many as the nearest has, an RTX 3060 Ti
    assert (found.usable_mib, found.usable_basis, found.context_basis) == (7771.04, "estimated", "estimated")
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
BRIEF = """
[[gpu]]
name = "mine"
card = ["Mine"]
compute_capability = "8.6"
memory_mib = 12288
"""


def test_a_profile_needs_say_no_more_than_the_makers_data(tmp_path):
    (tmp_path / "mine.toml").write_text(f"{BRIEF}multiprocessors = 28\n", encoding="utf-8")
    found = choose_profile("mine.toml", KNOWN, None, tmp_path)
    assert (found.attention, found.native_bf16, found.cublas_workspace_bytes) == ("fused", True, 8519680)
    assert (round(found.usable_mib), found.usable_basis) == (11847, "estimated")
    assert (round(found.context_mib), found.context_basis) == (127, "estimated")
    assert [found.limit_mib(budget) for budget in (8192.0, 24576.0)] == [8192.0, found.usable_mib]


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
        ("usable_mib = 12289", "has usable_mib = 12289, which is more than memory_mib = 12288"),
        ('usable_basis = "said"', "must be 'measured', 'assumed' or 'estimated'"),
        ("memory_gb = 12", "has the unknown key 'memory_gb': the keys are name, card, compute_capability, memory_mib"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_with_what_a_value_must_be(tmp_path, line, says):
    key = line.partition(" ")[0]
    rest = [each for each in OWN.splitlines() if each.partition(" ")[0] != key]
    (tmp_path / "mine.toml").write_text("\n".join([*rest, line]), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_profiles(tmp_path / "mine.toml")


def test_a_context_that_cannot_be_estimated_is_asked_for(tmp_path):
    (tmp_path / "mine.toml").write_text(BRIEF, encoding="utf-8")
    with pytest.raises(InputError, match=r"gpu 'mine' in .* has neither context_mib nor multiprocessors: give one of"):
        read_profiles(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("RTX 3060", "the nearest are rtx3060-12gb, rtx3060ti; "),
        ("4090", "the nearest are rtx4090; "),
        ("rtx4091", "the nearest are rtx4090, "),
        ("rtx", "the nearest are rtx2080ti, titan-rtx, rtx3060-12gb, rtx3060ti, rtx3070, rtx3080-10gb; "),
        ("?", ""),
    ],
)
def test_a_name_that_is_none_is_refused_with_those_like_it(wanted, near):
    with pytest.raises(InputError) as refused:
        choose_profile(wanted, KNOWN, None, HERE)
    said = str(refused.value)
    assert said.startswith(f"GPU profile {wanted!r} is unknown: {near}")
    assert said.endswith(f"--gpu-profile list shows all {len(KNOWN)}, and a TOML file can have your own")
    assert len(said) < 400
