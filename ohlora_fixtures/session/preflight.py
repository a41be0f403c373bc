"""What must be right before the first case runs, checked once the heavy libraries may be imported."""

import os
import re
import warnings
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

from ..base import safe_text
from ..base.errors import CandidateError, InputError, one_line
from ..base.files import is_folder
from ..inputs.candidates import Candidate
from ..inputs.cases import Case
from ..inputs.gpu_profiles import Gpu
from ..inputs.pace import NATIVE_BF16, Capability
from ..inputs.settings import Settings
from ..inputs.variants import Variant
from ..meters.nvml import Nvml
from ..workloads.fine_tuning import check_adapter
from ..workloads.models import ModelSource, Outline, outline
from .hub import check_downloads, weight_files

_TURING: Capability = (7, 5)
"""Below it CUDA 13 has no support; PyTorch 2.11 to 2.14 have kernels in their builds for CUDA 12.6 (its RELEASE.md)."""

_OF_BITSANDBYTES = re.compile(r"paged_|ademamix|rmsprop_bnb|(adamw|lion)_(bnb_)?8bit")
"""Optimizers by transformers' names."""
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")


def check_card(gpu: Gpu, torch_version: str, architectures: Iterable[str], *, has_cuda: bool) -> list[str]:
    """See that a PyTorch build has kernels for a card; `architectures` are as `torch.cuda.get_arch_list()` has them.

    Returns what the user should know, a sentence each. Raises InputError for a build without kernels for the card.
    """
    major, minor = gpu.capability
    card = f"{gpu.name} (compute capability {major}.{minor})"
    if not has_cuda:
        idle = f"there is a GPU, {card}, but PyTorch {torch_version} cannot use it, so nothing is measured on it"
        return [f"{idle}: install PyTorch's build for {_build_for(gpu.capability)}, or update the driver"]
    known = list(architectures)
    if known and not has_kernels(gpu.capability, known):
        raise InputError(
            f"PyTorch {torch_version} has no kernels for the {card}: install PyTorch's build for "
            f"{_build_for(gpu.capability)}, or hide the card with CUDA_VISIBLE_DEVICES= to rehearse on the CPU"
        )
    if gpu.capability < NATIVE_BF16:
        return [f"the {card} has no bf16 of its own: PyTorch emulates it, so times are long; memory is as it should be"]
    return []


def has_kernels(capability: Capability, architectures: Iterable[str]) -> bool:
    """Whether a build runs on a card.

    Machine code (`sm_86`) runs on cards of its major number and the same or a higher minor one; portable code
    (`compute_90`) on all later ones (CUDA programming guide, "Binary compatibility" and "PTX compatibility"). Code for
    one architecture alone (`sm_90a`) runs there only.
    """
    return any(_runs(capability, *found.groups()) for found in map(_ARCHITECTURE.fullmatch, architectures) if found)


def _runs(card: Capability, kind: str, major_digits: str, minor_digit: str, is_alone: str) -> bool:
    major, minor = int(major_digits), int(minor_digit)
    if is_alone:
        return card == (major, minor)
    return card >= (major, minor) if kind == "compute" else card[0] == major and card[1] >= minor


def _build_for(capability: Capability) -> str:
    return "CUDA 12.6, the last with kernels for it" if capability < _TURING else "CUDA"


def model_source(settings: Settings) -> ModelSource:
    """Settle scale, weights and device for this machine; raises InputError for options that do not go together."""
    import torch

    has_cuda = torch.cuda.is_available()
    scale = settings.scale if settings.scale != "auto" else "full" if has_cuda else "mini"
    weights = settings.weights or ("hub" if scale == "full" else "random")
    if scale == "mini" and weights == "hub":
        raise InputError(
            "--weights hub needs full size, but without a CUDA GPU the scale is mini: add --scale full for the CPU"
        )
    if settings.model_dir is not None and weights == "random":
        raise InputError(
            f"--model-dir holds pretrained weights, but the weights are random at {scale} scale: "
            "add --scale full --weights hub, or leave --model-dir out"
        )
    return ModelSource(
        scale=scale,
        weights=weights,
        model_dir=settings.model_dir,
        allow_remote_code=settings.allow_remote_code,
        device="cuda:0" if has_cuda else "cpu",
        seed=settings.protocol.seed,
    )


def check(settings: Settings, found: Collection[Case]) -> list[str]:
    """Check the cases' architectures and the protocol's optimizer; for what is measured, the card and the weights, too.

    Returns what the user should know before the first case runs, a sentence each. Raises InputError for what the user
    can mend. A candidate that cannot be built is not one of these: its cases end as errors and the others go on.
    """
    with warnings.catch_warnings():  # PyTorch's, of its own code, which bitsandbytes has it import
        warnings.simplefilter("ignore", DeprecationWarning)
        import peft  # noqa: F401
    chosen = {case.candidate: False for case in found} | {case.candidate: True for case in found if not case.is_planned}
    source = model_source(settings) if any(chosen.values()) else None
    outlines: dict[Path, Outline | None] = {}
    for candidate in settings.candidates:
        if candidate.name in chosen:
            _check_architecture(candidate, outlines)
    _check_optimizer("protocol setting optimizer", settings.protocol.optimizer)
    if _OF_BITSANDBYTES.match(settings.protocol.optimizer):
        _check_bitsandbytes(f"protocol setting optimizer={settings.protocol.optimizer}")
    for variant in settings.variants:
        _check_variant(variant)
    if source is None:
        return []
    notices = _check_card()
    if source.weights == "hub":
        needed = [candidate for candidate in settings.candidates if chosen.get(candidate.name)]
        folders = {candidate.name: candidate.folder(source.model_dir) for candidate in needed}
        _check_folders(folder for folder in folders.values() if folder is not None)
        notices += check_downloads(candidate for candidate in needed if folders[candidate.name] is None)
    return [safe_text.line(notice) for notice in notices]


def _check_card() -> list[str]:
    """Look at the card through NVML: PyTorch would put a CUDA context on it, also from a process that only waits."""
    import torch

    gpu = Nvml().gpu(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpu is None:
        return []
    return check_card(gpu, torch.__version__, torch.cuda.get_arch_list(), has_cuda=torch.cuda.is_available())


def _check_folders(folders: Iterable[Path]) -> None:
    for folder in folders:
        if not is_folder(folder):
            raise InputError(f"model folder {folder.parent} has no folder {folder.name}: put its weights there")
        if not weight_files([path.name for path in folder.iterdir()]):
            raise InputError(
                f"model folder {folder} has no weights, neither .safetensors nor .bin: put them there, plan it with "
                "-k plan, or measure its memory and time with --weights random"
            )


def _check_architecture(candidate: Candidate, outlines: dict[Path, Outline | None]) -> None:
    """Hold a candidate against its architecture, which is built once for all candidates that share its file."""
    if candidate.remote_code:  # its class is in its repository: the count is checked when it is loaded
        return
    if candidate.config not in outlines:
        try:
            outlines[candidate.config] = outline(candidate)
        except CandidateError:
            outlines[candidate.config] = None
    found = outlines[candidate.config]
    if found is None:
        return
    if found.parameters != candidate.parameters:
        raise InputError(
            f"candidate {candidate.name!r} has parameters = {candidate.parameters}, "
            f"but its architecture {candidate.config} has {found.parameters}: correct one of them"
        )
    missing = [name for name in candidate.target_modules if name.rpartition(".")[2] not in found.module_names]
    if missing:
        raise InputError(
            f"candidate {candidate.name!r} has {missing[0]!r} in target_modules, "
            f"but its architecture {candidate.config} has no module of that name"
        )


def _check_variant(variant: Variant) -> None:
    """See that peft, transformers and bitsandbytes have what a variant names."""
    if variant.adapter:
        try:
            check_adapter(variant)
        except CandidateError as error:
            raise InputError(error.said) from None
    optimizer = variant.training.get("optim")
    if optimizer is not None:
        _check_optimizer(f"variant {variant.name}: training setting optim", optimizer)
    if variant.base:
        _check_base(variant)
    if variant.base or _OF_BITSANDBYTES.match(str(optimizer)):
        _check_bitsandbytes(f"variant {variant.name}")


def _check_bitsandbytes(what: str) -> None:
    if find_spec("bitsandbytes") is None:
        raise InputError(f"{what} needs bitsandbytes, which is not installed: pip install 'bitsandbytes>=0.50'")


def _check_base(variant: Variant) -> None:
    """See that transformers' `BitsAndBytesConfig` takes a variant's settings."""
    from transformers import BitsAndBytesConfig

    known = [name for name in signature(BitsAndBytesConfig.__init__).parameters if name not in ("self", "kwargs")]
    if unknown := [name for name in variant.base if name not in known]:
        raise InputError(
            f"variant {variant.name} has the unknown base key {unknown[0]!r}: there are {', '.join(known)}"
        )
    try:
        BitsAndBytesConfig(**variant.base)
    except (TypeError, ValueError, AttributeError) as error:  # what it raises for a value
        raise InputError(f"variant {variant.name} has a base that transformers refuses: {one_line(error)}") from None


def _check_optimizer(what: str, name: str) -> None:
    from transformers.training_args import OptimizerNames

    known = [each.value for each in OptimizerNames]
    if name not in known:
        raise InputError(f"{what}={name!r} is not one of {', '.join(known)}")
