"""GPU profiles: what a plan must know of a card. They are data, in `data/gpus.toml` or a user's own file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from ..base.errors import InputError
from ..base.files import is_file
from ..base.toml_tables import Count, Flag, Number, Text, read_tables
from .pace import NATIVE_BF16, Capability, Pace, rough_pace

_VOLTA: Capability = (7, 0)
_TURING: Capability = (7, 5)

DEFAULT = "m6000"
"""Planned for where no GPU is present and none is named: the card this suite began with."""

_MOST_NEAR = 6
LIST = "list"
"""Given as a profile's name, it asks for all names."""

Basis = Annotated[
    str, Meta(pattern=r"\A(measured|assumed|estimated)\Z", description="'measured', 'assumed' or 'estimated'")
]
"""Where a figure is from: `measured` on such a card, `assumed` from another one, or `estimated` from what is known."""

_FROM_THE_REST: Any = None
"""Stands for what a profile leaves out, which is then worked out from the rest of it."""


@dataclass(frozen=True)
class Gpu:
    """A card, as NVML describes it."""

    name: str
    capability: Capability
    memory_mib: float
    """All of its memory, MiB."""
    multiprocessors: int | None = None
    """None where the driver does not tell."""


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
    """All of its memory, as NVML reports it or its maker says, MiB."""
    multiprocessors: Count | None = None
    usable_mib: Number = _FROM_THE_REST
    """What one process can have of it, its CUDA context included, on Linux with nothing else on the card, MiB."""
    usable_basis: Basis = _FROM_THE_REST
    usable_source: Text | None = None
    context_mib: Number = _FROM_THE_REST
    """CUDA context and kernels of a PyTorch process, outside PyTorch's allocator, MiB."""
    context_basis: Basis = _FROM_THE_REST
    context_source: Text | None = None
    cublas_workspace_bytes: Count = _FROM_THE_REST
    """PyTorch's default size of a cuBLAS workspace on it, taken once a thread from PyTorch's allocator."""
    attention: Annotated[str, Meta(pattern=r"\A(math|fused)\Z", description="'math' or 'fused'")] = _FROM_THE_REST
    """`math`, the quadratic path bf16 takes below compute capability 8.0, or `fused`: flash and its like."""
    native_bf16: Flag = _FROM_THE_REST
    """Whether it computes in bf16 itself; otherwise PyTorch emulates it, slowly. It changes no size."""
    matrix_tflops: Number | None = None
    """Peak of dense matrix products in the dtype it computes bf16 in, 10^12 FLOP a second: bf16 with sums in fp32 where
    it has bf16, else fp32."""
    bandwidth_gb_per_second: Number | None = None
    """Its memory's peak, 10^9 bytes a second."""
    peaks_source: Text | None = None
    operator_us: Number | None = None
    """What a host of such a card took for an operator, microseconds."""
    reached_tflops: Number | None = None
    """Matrix products' rate in the dtype it computes bf16 in, as fitted to measured runs, 10^12 FLOP a second."""
    reached_gb_per_second: Number | None = None
    """Its memory's rate, likewise."""
    seconds_spread: Number | None = None
    """The factor by which seconds planned from these were off."""
    pace_source: Text | None = None

    def __post_init__(self) -> None:
        """Work out what is left out; raises ValueError for what does not go together."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        if not {"context_mib", "multiprocessors"} & set(given):
            raise ValueError("neither context_mib nor multiprocessors: give one of them")
        has_bf16 = self.capability >= NATIVE_BF16
        worked_out = {
            "usable_mib": usable_mib(self.memory_mib, self.capability),
            "usable_basis": "measured" if "usable_mib" in given else "estimated",
            "context_mib": context_mib(self.multiprocessors or 0, self.capability),
            "context_basis": "measured" if "context_mib" in given else "estimated",
            "cublas_workspace_bytes": cublas_workspace_bytes(self.capability),
            "attention": "fused" if has_bf16 else "math",
            "native_bf16": has_bf16,
        }
        for name, value in worked_out.items():
            object.__setattr__(self, name, given.get(name, value))
        if self.usable_mib > self.memory_mib:
            raise ValueError(f"usable_mib = {self.usable_mib:g}, which is more than memory_mib = {self.memory_mib:g}")

    @property
    def capability(self) -> Capability:
        """Compute capability as major and minor."""
        major, _, minor = self.compute_capability.partition(".")
        return int(major), int(minor)

    @property
    def peaks(self) -> Peaks:
        """What the card can do at most."""
        return Peaks(self.matrix_tflops, self.bandwidth_gb_per_second)

    @property
    def pace(self) -> Pace | None:
        """How fast work goes on it: as fitted to measured runs, else roughly, from its peaks; None without them."""
        if self.matrix_tflops is None or self.bandwidth_gb_per_second is None:
            return None
        rough = rough_pace(self.matrix_tflops, self.bandwidth_gb_per_second, self.capability)
        if self.pace_source is None:
            return rough
        faster = 1e12 * (self.reached_tflops or 0) / rough.flops_per_second or 1.0
        return Pace(
            operator_seconds=1e-6 * self.operator_us if self.operator_us else rough.operator_seconds,
            flops_per_second=rough.flops_per_second * faster,
            fp32_flops_per_second=rough.fp32_flops_per_second * faster,
            bytes_per_second=1e9 * (self.reached_gb_per_second or 0) or rough.bytes_per_second,
            spread=self.seconds_spread or rough.spread,
            basis="measured",
        )

    def limit_mib(self, budget_mib: float) -> float:
        """What a plan is held to: the budget, and never more than one process can have of the card."""
        return min(budget_mib, self.usable_mib)

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
        near = ", ".join(_near(wanted, by_name))
        raise InputError(
            f"GPU profile {wanted!r} is unknown: {near and f'the nearest are {near}; '}--gpu-profile {LIST} shows "
            f"all {len(by_name)}, and a TOML file can have your own"
        )
    own = read_profiles(path)
    if len(own) > 1:
        raise InputError(f"GPU profile {path} has {len(own)} [[gpu]] tables: give --gpu-profile a file with one")
    return own[0]


def _near(wanted: str, names: Collection[str]) -> list[str]:
    """The known names that a wrong one may mean: those that hold it, else those that look alike."""
    asked = "".join(filter(str.isalnum, wanted.lower()))
    holding = [name for name in names if asked and asked in name.replace("-", "")]
    return holding[:_MOST_NEAR] or get_close_matches(asked, names, n=_MOST_NEAR)


def _like(present: Gpu, known: Sequence[GpuProfile]) -> GpuProfile:
    """The profile of a card that has none, as its driver describes it; what that leaves out, as of the nearest card."""

    def distance(profile: GpuProfile) -> tuple[int, float]:
        (major, minor), (wanted_major, wanted_minor) = profile.capability, present.capability
        gap = abs((major * 10 + minor) - (wanted_major * 10 + wanted_minor))
        return gap, abs(profile.memory_mib - present.memory_mib)

    return GpuProfile(
        name=present.name,
        card=(present.name,),
        compute_capability="{}.{}".format(*present.capability),
        memory_mib=present.memory_mib,
        multiprocessors=present.multiprocessors or min(known, key=distance).multiprocessors,
    )


def usable_mib(memory_mib: float, capability: Capability) -> float:
    """What one process can have of a card without a measurement, MiB: its memory less what the driver keeps.

    By the messages of `data/gpus.toml` that is 95 to 125 MiB on Pascal. On later cards 380 MiB and 0.5 % of the memory
    meet the lowest figures to 70 MiB, but that an A100 with 80 GB has 107 MiB less, and an RTX 2080 Ti, an RTX 3090 and
    Hopper have 160 to 390 MiB more.
    """
    kept_mib = 125 if capability < _VOLTA else 380 + 0.005 * memory_mib
    return max(memory_mib - kept_mib, memory_mib / 2)


def context_mib(multiprocessors: int, capability: Capability) -> float:
    """The CUDA context on a card without a measurement, MiB.

    Most of it is room for the threads that can be resident: 35 MiB, and 2.2 MiB for 1,024 of them, is fitted to the
    figures of `data/gpus.toml`. It is off by 7 % in the mean, and by 18 % at most, too low for an H100 that trains.
    """
    return 35 + 2.2 * multiprocessors * _resident_threads(capability) / 1024


def _resident_threads(capability: Capability) -> int:
    """Most threads on a multiprocessor (CUDA programming guide, "Technical Specifications per Compute Capability")."""
    if capability == _TURING:
        return 1024
    return 1536 if (8, 6) <= capability < (9, 0) or capability >= (11, 0) else 2048


def cores_of(capability: Capability) -> int:
    """CUDA cores of a multiprocessor (CUDA programming guide, "Throughput of Native Arithmetic Instructions")."""
    return 64 if capability == (6, 0) or _VOLTA <= capability <= NATIVE_BF16 else 128


def cublas_workspace_bytes(capability: Capability) -> int:
    """PyTorch's default (`parseChosenWorkspaceSize` in `aten/src/ATen/cuda/CublasHandlePool.cpp`)."""
    return 4096 * 8 * 1024 if capability[0] in (9, 10, 12) else 4096 * 1024 * 2 + 16 * 1024 * 8
