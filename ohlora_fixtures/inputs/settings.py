"""What one session works with: every option and ini setting that decides what is planned and measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..base.errors import InputError
from .candidates import Candidate
from .dataset import Dialogues
from .gpu_profiles import GpuProfile
from .protocol import Protocol

_LARGEST_RANK = 8192
"""No candidate has a layer wider than its rank could then be."""

SCALES = ("auto", "full", "mini")
WEIGHTS = ("hub", "random")


@dataclass(frozen=True)
class Settings:
    """What one session works with."""

    candidates: tuple[Candidate, ...]
    """The chosen group's candidates, in their file's order."""
    dialogues: Dialogues
    """The dataset."""
    lora_ranks: tuple[int, ...]
    """LoRA ranks, in the given order."""
    scale: str
    """`auto`, `full` or `mini`; auto is settled when the first case runs."""
    weights: str | None
    """`hub`, `random`, or None for the scale's default."""
    model_dir: Path | None
    """Folder of weights instead of the Hub."""
    budget_mib: float
    """The VRAM budget."""
    gpu_profile: GpuProfile
    """The card that cases are planned for."""
    known_profiles: tuple[GpuProfile, ...]
    """Every card of which something is known, the one planned for first."""
    results_dir: Path
    """The session's own folder; made when its first file is written."""
    is_resumed: bool
    """Whether that folder is an interrupted session's, with which this one goes on."""
    protocol: Protocol
    """The experiment."""
    allow_remote_code: bool
    """Whether repositories' own code may run."""
    resume_anyway: bool
    """Whether to go on with a session that differs."""
    strict_gpu: bool
    """Whether a tainted measurement fails its case."""


def parse_ranks(text: str) -> tuple[int, ...]:
    """Read `16,32,64`.

    Raises InputError unless every rank is a whole number from 1 to 8192 and none comes twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= _LARGEST_RANK for part in parts) or len(
        set(parts)
    ) < len(parts):
        raise InputError(
            f"LoRA ranks {text!r} must be different whole numbers from 1 to {_LARGEST_RANK}, such as 16,32,64"
        )
    return tuple(map(int, parts))
