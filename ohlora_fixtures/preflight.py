"""What must be right before the first case runs, checked once the heavy libraries may be imported."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import untrusted
from .card_support import check_card
from .errors import CandidateError, InputError
from .hub import check_downloads, weight_files
from .meters.nvml import Nvml
from .models import ModelSource, outline

if TYPE_CHECKING:
    from .candidates import Candidate
    from .models import Outline
    from .settings import Settings


def model_source(settings: Settings) -> ModelSource:
    """Settle scale, weights and device for this machine.

    Raises InputError for options that do not go together on it.
    """
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


def check(settings: Settings, chosen: Collection[Candidate], measured: Collection[Candidate]) -> list[str]:
    """Check the chosen candidates' architectures, the protocol's optimizer, the card, and that weights can be had.

    The latter two are for what is `measured` among them, and not only planned.

    Returns what the user should know before the first case runs, a sentence each. Raises InputError for what the user
    can mend. A candidate that cannot be built is not one of these: its cases end as errors and the others go on.
    """
    source = model_source(settings) if measured else None
    outlines: dict[Path, Outline | None] = {}
    for candidate in settings.candidates:
        if candidate in chosen:
            _check_architecture(candidate, outlines)
    _check_optimizer(settings.protocol.optimizer)
    if source is None:
        return []
    notices = _check_card()
    if source.weights == "hub":
        needed = [candidate for candidate in settings.candidates if candidate in measured]
        if source.model_dir is None:
            notices += check_downloads(needed)
        else:
            _check_folders(source.model_dir, needed)
    return [untrusted.line(notice) for notice in notices]


def _check_card() -> list[str]:
    """Look at the card through NVML: PyTorch would put a CUDA context on it, also from a process that only waits."""
    import torch

    gpu = Nvml().gpu(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpu is None:
        return []
    return check_card(gpu, torch.__version__, torch.cuda.get_arch_list(), has_cuda=torch.cuda.is_available())


def _check_folders(model_dir: Path, candidates: Iterable[Candidate]) -> None:
    for candidate in candidates:
        folder = model_dir / candidate.name
        if not folder.is_dir():
            raise InputError(f"model folder {model_dir} has no folder {candidate.name}: put its weights there")
        if not weight_files([path.name for path in folder.iterdir()]):
            raise InputError(f"model folder {folder} has no weights, neither .safetensors nor .bin: put them there")


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


def _check_optimizer(name: str) -> None:
    from transformers.training_args import OptimizerNames

    known = [each.value for each in OptimizerNames]
    if name not in known:
        raise InputError(f"protocol setting optimizer={name!r} is not one of {', '.join(known)}")
