"""GPU profiles: what a plan must know of a card. They are data, in `data/gpus.toml` or a user's own file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from ..base.errors import InputError
from ..base.files import is_file
from ..base.toml_tables import Count, Flag, Number, Text, read_tables

Capability = tuple[int, int]
"""CUDA compute capability, major and minor."""

NATIVE_BF16: Capability = (8, 0)
"""From here on a card computes in bf16 itself."""

DEFAULT = "m6000"
"""Planned for where no GPU is present and none is named: the card this suite began with."""


@dataclass(frozen=True)
class Gpu:
    """A card, as NVML describes it."""

    name: str
    capability: tuple[int, int]
    memory_mib: float
    """All of its memory, MiB."""


@dataclass(frozen=True)
class Peaks:
    """What a card can do at most, by its maker's word."""

    tflops: float | None = None
    """Dense matrix products in the dtype it computes bf16 in, 10^12 FLOP a second."""
    gb_per_second: float | None = None
    """Its memory's bandwidth, 10^9 bytes a second."""


@dataclass(frozen=True)
class GpuProfile:
    """One card."""

    name: Text
    """What `--gpu-profile` calls it."""
    card: Annotated[tuple[Text, ...], Meta(min_length=1, description="a list of names")]
    """What NVIDIA's libraries call it, in the spellings known."""
    compute_capability: Annotated[str, Meta(pattern=r"\A[0-9]+\.[0-9]+\Z", description="a text such as '8.6'")]
    """CUDA compute capability, such as `8.6`."""
    memory_mib: Number
    cublas_workspace_bytes: Count
    """PyTorch's default size of a cuBLAS workspace on it, taken once a thread from PyTorch's allocator."""
    attention: Annotated[str, Meta(pattern=r"\A(math|fused)\Z", description="'math' or 'fused'")]
    """`math`, the quadratic path bf16 takes below compute capability 8.0, or `fused`: flash and its like."""
    native_bf16: Flag
    """Whether it computes in bf16 itself; otherwise PyTorch emulates it, slowly. It changes no size."""
    context_mib: Number
    """CUDA context and kernels of a PyTorch process, outside PyTorch's allocator, MiB."""
    context_basis: Annotated[str, Meta(pattern=r"\A(measured|assumed)\Z", description="'measured' or 'assumed'")]
    """`measured` on this card, or `assumed`."""
    context_source: Text
    matrix_tflops: Number | None = None
    """Peak of dense matrix products in the dtype it computes bf16 in, 10^12 FLOP a second: bf16 with sums in fp32 where
    it has bf16, else fp32."""
    bandwidth_gb_per_second: Number | None = None
    """Its memory's peak, 10^9 bytes a second."""
    peaks_source: Text | None = None

    @property
    def capability(self) -> tuple[int, int]:
        """Compute capability as major and minor."""
        major, _, minor = self.compute_capability.partition(".")
        return int(major), int(minor)

    @property
    def peaks(self) -> Peaks:
        """What the card can do at most."""
        return Peaks(self.matrix_tflops, self.bandwidth_gb_per_second)

    def is_of(self, card: str, memory_mib: float) -> bool:
        """Whether this is the profile of a card of that name and size: some names stand for several sizes."""
        return card in self.card and abs(memory_mib - self.memory_mib) < 0.1 * self.memory_mib


def read_profiles(path: Path) -> tuple[GpuProfile, ...]:
    """Every profile of a TOML file; raises InputError as `read_tables`."""
    return tuple(read_tables(path, "gpu", GpuProfile, what="GPU profile", option="--gpu-profile"))


def choose_profile(wanted: str | None, known: Sequence[GpuProfile], present: Gpu | None, folder: Path) -> GpuProfile:
    """The profile asked for by name or by file, else the present GPU's, else the default.

    `folder` is what a file's path is relative to. Raises InputError for a name or a file that is not there.
    """
    if wanted is None and present is not None:
        same = (profile for profile in known if profile.is_of(present.name, present.memory_mib))
        return next(same, None) or _like(present, known)
    by_name = {profile.name: profile for profile in known}
    wanted = DEFAULT if wanted is None else wanted
    if wanted in by_name:
        return by_name[wanted]
    path = folder / wanted
    if not is_file(path):
        raise InputError(
            f"GPU profile {wanted!r} is unknown: choose with --gpu-profile among {', '.join(by_name)}, "
            "or give a TOML file"
        )
    own = read_profiles(path)
    if len(own) > 1:
        raise InputError(f"GPU profile {path} has {len(own)} [[gpu]] tables: give --gpu-profile a file with one")
    return own[0]


def _like(present: Gpu, known: Sequence[GpuProfile]) -> GpuProfile:
    """A card of which only its own word is known, filled up from the listed card of the nearest capability."""

    def distance(profile: GpuProfile) -> tuple[int, float]:
        major, minor = profile.capability
        wanted_major, wanted_minor = present.capability
        gap = abs((major * 10 + minor) - (wanted_major * 10 + wanted_minor))
        return gap, abs(profile.memory_mib - present.memory_mib)

    nearest = min(known, key=distance)
    return GpuProfile(
        name=present.name,
        card=(present.name,),
        compute_capability=f"{present.capability[0]}.{present.capability[1]}",
        memory_mib=present.memory_mib,
        cublas_workspace_bytes=nearest.cublas_workspace_bytes,
        attention="fused" if present.capability >= (8, 0) else "math",
        native_bf16=present.capability >= NATIVE_BF16,
        context_mib=nearest.context_mib,
        context_basis="assumed",
        context_source=f"as for {nearest.name}, the listed card of the nearest compute capability",
    )
