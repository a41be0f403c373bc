"""Whether this PyTorch can work on the GPU that is here, told before a kernel fails."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from .meters.nvml import Gpu

Capability = tuple[int, int]
"""CUDA compute capability, major and minor."""

NATIVE_BF16: Capability = (8, 0)
"""From here on a card computes in bf16 itself."""

_TURING: Capability = (7, 5)
"""Below it CUDA 13 has no support; PyTorch 2.11 to 2.14 have kernels in their builds for CUDA 12.6 (its RELEASE.md)."""

_UNUSABLE = (
    "there is a GPU, {card}, but PyTorch {version} cannot use it, so nothing is measured on it: install PyTorch's "
    "build for {build}, or update the driver"
)
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")


def check_card(gpu: Gpu, torch_version: str, architectures: Iterable[str], *, has_cuda: bool) -> list[str]:
    """See that a PyTorch build has kernels for a card; `architectures` are as `torch.cuda.get_arch_list()` has them.

    Returns what the user should know, a sentence each. Raises InputError for a build without kernels for the card.
    """
    major, minor = gpu.capability
    card = f"{gpu.name} (compute capability {major}.{minor})"
    if not has_cuda:
        return [_UNUSABLE.format(card=card, version=torch_version, build=_build_for(gpu.capability))]
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
