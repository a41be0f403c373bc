"""Memory sizes as people write them, and the verdict on a peak."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InputError
from .messages import sentence

MIB = 2**20
"""Bytes in a MiB."""

_MIB_PER_UNIT = {"GB": 1024.0, "GiB": 1024.0, "MiB": 1.0}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?) ?(GB|GiB|MiB)\s*")


def parse_size_mib(text: str) -> float:
    """Read `12GB`, `12GiB`, `12288MiB` or `11.5 GB` as MiB.

    `GB` is what card makers mean by it, GiB: a 12 GB card holds 12288 MiB.

    Raises InputError for anything else, zero included.
    """
    match = _SIZE.fullmatch(text)
    mib = float(match[1]) * _MIB_PER_UNIT[match[2]] if match else 0.0
    if not 0 < mib < float("inf"):
        raise InputError(
            f"{text!r} is not a memory size: write a positive number and GB, GiB or MiB, "
            "such as 12GB, 12GiB, 12288MiB or 11.5 GB"
        )
    return mib


@dataclass(frozen=True)
class Verdict:
    """Whether one case's peak on the device keeps to the budget."""

    peak_device_mib: float
    """What the card must have for the case, MiB."""
    budget_mib: float
    """What the user allows, MiB."""

    @property
    def within(self) -> bool:
        """True up to and including the budget."""
        return self.peak_device_mib <= self.budget_mib

    def sentence(self) -> str:
        """Both figures and the difference, in one sentence."""
        difference = abs(self.peak_device_mib - self.budget_mib)
        return sentence(
            "reason.below_budget" if self.within else "reason.above_budget",
            peak=f"{self.peak_device_mib:.2f}",
            budget=f"{self.budget_mib:.2f}",
            difference=f"{difference:.2f}",
            share=f"{difference / self.budget_mib:.1%}",
        )
