"""How fast a machine works: what planned seconds rest on."""

from dataclasses import dataclass
from typing import Literal

Capability = tuple[int, int]
"""CUDA compute capability, major and minor."""
PaceBasis = Literal["measured", "calibrated", "rough"]

OPERATOR_SECONDS = 4e-6
"""What the host takes for an operator where that is not measured: PyTorch in eager mode on a server of 2024."""
BANDWIDTH_SHARE = 0.75
"""Of the memory's peak: what a T4 reaches; an L40S, whose cache holds much of what is read again, 0.9."""
MATRIX_SHARE, EMULATED_MATRIX_SHARE = 0.8, 0.28
"""Of the peak of dense matrix products: assumed for cards that have bf16, and met by an L40S; and what a T4
reaches, which computes bf16 through fp32."""
ROUGH_SPREAD = 2.0
"""Where nothing is measured: a slow host alone, such as Colab's, takes three times as long for an operator."""

NATIVE_BF16: Capability = (8, 0)
"""From here on a card computes in bf16 itself."""
_DATA_CENTRE = frozenset(((8, 0), (9, 0), (10, 0), (10, 3)))


@dataclass(frozen=True)
class Pace:
    """What a card and its host reach."""

    operator_seconds: float
    """The host's time for one operator."""
    flops_per_second: float
    """Of matrix products in the dtype that bf16 is computed in."""
    fp32_flops_per_second: float
    bytes_per_second: float
    """Of the card's memory."""
    spread: float = ROUGH_SPREAD
    """The factor by which planned seconds may be off, up and down."""
    basis: PaceBasis = "rough"
    """`measured` on such a card, `calibrated` by this machine's own measurements, or `rough`, from its peaks alone."""


def rough_pace(matrix_tflops: float, bandwidth_gb_per_second: float, capability: Capability) -> Pace:
    """The pace of a card of which only its peaks are known.

    In fp32 a card with bf16 has a sixteenth of its matrix peak where it is made for data centres, else a quarter
    (NVIDIA's datasheets).
    """
    has_bf16 = capability >= NATIVE_BF16
    flops_per_second = 1e12 * matrix_tflops * (MATRIX_SHARE if has_bf16 else EMULATED_MATRIX_SHARE)
    fp32_share = 1 / 16 if capability in _DATA_CENTRE else 1 / 4 if has_bf16 else 1
    return Pace(
        OPERATOR_SECONDS,
        flops_per_second,
        flops_per_second * fp32_share,
        1e9 * bandwidth_gb_per_second * BANDWIDTH_SHARE,
    )
