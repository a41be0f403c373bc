"""How near a run came to its card's limits: matrix products to their peak, decoding to the memory's bandwidth."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..inputs.gpu_profiles import Peaks

Work = tuple[int, int]
"""FLOPs and moved bytes."""


@dataclass(frozen=True)
class Utilization:
    """What a run reached after its warm-up, and the share of the card's peak that this is; None where unknown."""

    flops: int | None = None
    """Floating-point operations of the whole run, matrix products and attention alone."""
    tflops_per_second: float | None = None
    """10^12 of them a second."""
    matrix_peak_tflops: float | None = None
    """The card's peak of them."""
    flops_utilization: float | None = None
    """The share of it that was reached, 0 to 1."""
    moved_bytes: int | None = None
    """Bytes that matrix products and attention moved at least in the whole run."""
    gb_per_second: float | None = None
    """10^9 of them a second."""
    bandwidth_peak_gb_per_second: float | None = None
    """The bandwidth of the card's memory."""
    bandwidth_utilization: float | None = None
    """The share of it that was reached, 0 to 1."""


def training_utilization(
    work_each: Sequence[Work], seconds_each: Sequence[float], warm_up: int, peaks: Peaks
) -> Utilization:
    """Of the steps after the warm-up, against the card's matrix peak; of all if none is left."""
    flops = [each for each, _ in work_each]
    tflops_per_second = _rate(flops, seconds_each, warm_up, 1e12)
    return Utilization(
        flops=sum(flops),
        tflops_per_second=tflops_per_second,
        matrix_peak_tflops=peaks.tflops,
        flops_utilization=_share(tflops_per_second, peaks.tflops),
    )


def decoding_utilization(
    work_each: Sequence[Work], seconds_each: Sequence[float], warm_up: int, peaks: Peaks
) -> Utilization:
    """Of the prompts after the warm-up, against the memory's bandwidth; of all if none is left."""
    moved_bytes = [each for _, each in work_each]
    gb_per_second = _rate(moved_bytes, seconds_each, warm_up, 1e9)
    return Utilization(
        moved_bytes=sum(moved_bytes),
        gb_per_second=gb_per_second,
        bandwidth_peak_gb_per_second=peaks.gb_per_second,
        bandwidth_utilization=_share(gb_per_second, peaks.gb_per_second),
    )


def _rate(amounts: Sequence[int], seconds_each: Sequence[float], warm_up: int, unit: float) -> float | None:
    start = warm_up if warm_up < len(seconds_each) else 0
    seconds = sum(seconds_each[start:])
    return sum(amounts[start:]) / unit / seconds if seconds else None


def _share(reached: float | None, peak: float | None) -> float | None:
    return None if reached is None or not peak else reached / peak
