"""What is told before an hour is lost: the card and the build, the Hub's repositories, the disk."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hub_server import hub_server
from huggingface_hub import constants

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.gpu_profiles import Gpu
from ohlora_fixtures.inputs.variants import Variant, lora
from ohlora_fixtures.session import preflight
from ohlora_fixtures.session.hub import check_downloads, weight_files
from ohlora_fixtures.session.preflight import check_card, has_kernels

CU130 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
CU126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
M6000 = Gpu("Quadro M6000", (5, 2), 12288.0)
T4 = Gpu("Tesla T4", (7, 5), 15360.0)


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((5, 2), CU126, True),
        ((5, 2), CU130, False),
        ((7, 0), CU130, False),
        ((8, 9), CU130, True),
        ((9, 0), CU126, True),
        ((12, 1), CU126, False),
        ((12, 1), CU130, True),
        ((13, 0), CU130, True),  # compiled for it when it is first used
        ((9, 0), ["sm_90a"], True),
        ((9, 1), ["sm_90a"], False),
        ((8, 0), ["sm_86"], False),
        ((8, 0), ["gfx90a"], False),
    ],
)
def test_which_build_runs_on_which_card(capability, architectures, runs):
    assert has_kernels(capability, architectures) is runs


def test_a_build_without_kernels_for_the_card_is_refused_with_the_way_out():
    with pytest.raises(InputError) as refused:
        check_card(M6000, "2.13.0+cu130", CU130, has_cuda=True)
    assert str(refused.value) == (
        "PyTorch 2.13.0+cu130 has no kernels for the Quadro M6000 (compute capability 5.2): install PyTorch's build "
        "for CUDA 12.6, the last with kernels for it, or hide the card with CUDA_VISIBLE_DEVICES= to rehearse on the "
        "CPU"
    )


def test_emulated_bf16_and_a_card_pytorch_cannot_use_are_told_and_the_session_goes_on():
    (emulated,) = check_card(M6000, "2.13.0+cu126", CU126, has_cuda=True)
    assert emulated.startswith("the Quadro M6000 (compute capability 5.2) has no bf16 of its own: PyTorch emulates it")
    assert check_card(T4, "2.13.0+cu130", CU130, has_cuda=True)
    assert check_card(Gpu("NVIDIA H200", (9, 0), 143771.0), "2.13.0+cu130", CU130, has_cuda=True) == []
    (idle,) = check_card(T4, "2.13.0+cpu", [], has_cuda=False)
    assert idle.startswith("there is a GPU, Tesla T4 (compute capability 7.5), but PyTorch 2.13.0+cpu cannot use it")


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["model.safetensors", "pytorch_model.bin", "config.json"], ["model.safetensors"]),
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "consolidated.safetensors"],
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
        (["pytorch_model.bin", "training_args.bin"], ["pytorch_model.bin"]),
        (["config.json", "weights.gguf"], []),
    ],
)
def test_the_files_that_transformers_reads(names, weights):
    assert weight_files(names) == weights


ANSWERS = {
    "small": (200, None, {"siblings": [{"rfilename": "model.safetensors", "size": 10**9}]}),
    "gated": (200, None, {"gated": "manual", "siblings": [{"rfilename": "model.safetensors", "size": 10}]}),
    "gated/auth-check": (403, "GatedRepo", {}),
    "missing": (404, "RepoNotFound", {}),
    "moved/revision/v1": (404, "RevisionNotFound", {}),
    "pickled": (200, None, {"siblings": [{"rfilename": "pytorch_model.bin", "size": 10}]}),
    "quantised": (200, None, {"siblings": [{"rfilename": "weights.gguf", "size": 10}]}),
    "sizeless": (200, None, {"siblings": [{"rfilename": "model.safetensors"}]}),
    "broken": (500, None, {}),
}


def answer(path):
    """Answers like the Hub's API for repositories of somebody's."""
    name = path.removeprefix("api/models/somebody/")
    status, code, content = ANSWERS[name]
    return status, code, json.dumps({"id": f"somebody/{name}", **content}).encode()


@pytest.fixture(scope="module")
def hub():
    """The address of a Hub on this machine."""
    with hub_server(answer) as found:
        yield found


@pytest.fixture
def check(hub, monkeypatch, tmp_path):
    """Checks a candidate's repository of that name on a disk with so many GB free."""
    monkeypatch.setattr(constants, "ENDPOINT", hub)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none" / "hub"))
    some = read_candidates(DATA / "candidates.toml")[0]

    def run(*names, free_gb=100.0, **changes):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_gb * 1e9))
        candidates = [replace(some, name=name, repo=f"somebody/{name}", **changes) for name in names]
        return check_downloads(candidates)

    return run


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("gated", {}, "somebody/gated is gated: accept its terms on its page and log in with 'hf auth login'"),
        ("missing", {}, "somebody/missing is missing on the Hub, or private: correct repo"),
        ("moved", {"revision": "v1"}, "somebody/moved has no revision 'v1': correct revision"),
        ("quantised", {}, "somebody/quantised has no weights that transformers reads"),
    ],
)
def test_what_the_hub_refuses_is_told_before_the_first_case(check, name, changes, says):
    with pytest.raises(InputError, match=f"^candidate '{name}': the repository {says}.*--weights random$"):
        check("small", name, **changes) if not changes else check(name, **changes)


def test_pickled_weights_are_told_and_a_hub_in_trouble_is_left_to_the_loading(check):
    (notice,) = check("small", "pickled", "broken")
    assert notice.startswith("somebody/pickled has no safetensors: its pickled weights are read")


def test_a_disk_too_small_for_the_weights_is_told(check):
    check("small", free_gb=1.0)
    with pytest.raises(InputError, match=r"^downloading a candidate's weights takes 1\.0 GB, but .* has 0\.9 GB free"):
        check("small", free_gb=0.9)
    # 2 614 341 888 parameters of 2 bytes where the Hub tells no size
    with pytest.raises(InputError, match=r"the weights of 2 candidates takes 6\.2 GB, .* 6\.0 GB free: make room"):
        check("small", "sizeless", free_gb=6.0)


def test_a_hub_that_cannot_be_reached(check, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="the Hub cannot be reached for somebody/small"):
        check("small")


def variant_with(**base):
    return Variant("mine", lora(8).adapter, {"load_in_4bit": True, **base})


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        (
            variant_with(bnb_4bit_type="nf4"),
            "mine has the unknown base key 'bnb_4bit_type': there are load_in",
        ),
        (
            variant_with(load_in_8bit=True),
            "mine has a base that transformers refuses: ValueError: load",
        ),
        (
            variant_with(bnb_4bit_compute_dtype="bf15"),
            "mine has a base that transformers refuses: AttributeError",
        ),
        (Variant("mine", training={"optim": "adamw_9bit"}), "'adamw_9bit' is not one of adamw_torch, "),
        (Variant("mine", {"peft_type": "LORA", "rank": 8}), "variant mine has the unknown adapter key rank"),
    ],
)
def test_what_a_library_does_not_take_of_a_variant_is_told_with_what_there_is(variant, says):
    with pytest.raises(InputError) as told:
        preflight._check_variant(variant)
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("variant", "needs_it"),
    [
        (variant_with(), True),
        (Variant("mine", training={"optim": "paged_adamw_32bit"}), True),
        (Variant("mine", training={"optim": "adamw_8bit"}), True),
        (Variant("mine", training={"optim": "adamw_torch_8bit"}), False),  # torchao's
        (lora(8), False),
    ],
)
def test_bitsandbytes_is_asked_for_with_the_command_that_installs_it(variant, needs_it, monkeypatch):
    preflight._check_variant(variant)
    monkeypatch.setattr(preflight, "find_spec", lambda _: None)
    if not needs_it:
        preflight._check_variant(variant)
        return
    with pytest.raises(InputError, match="variant mine needs bitsandbytes, which is not installed: pip install"):
        preflight._check_variant(variant)
