"""What one session works with: every option and ini setting that decides what is planned and measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .candidates import Candidate
from .dataset import Dialogues
from .gpu_profiles import GpuProfile
from .protocol import Protocol
from .variants import Variant

SCALES = ("auto", "full", "mini")
WEIGHTS = ("hub", "random")


@dataclass(frozen=True)
class Settings:
    """What one session works with."""

    candidates: tuple[Candidate, ...]
    """The chosen group's candidates, in their file's order."""
    dialogues: Dialogues
    """The dataset."""
    variants: tuple[Variant, ...]
    """Ways to fine-tune, in the given order."""
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
