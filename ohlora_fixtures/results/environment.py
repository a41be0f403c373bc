"""The machine and its settings, as a record and `environment.json` keep them; imports nothing heavy."""

import os
import platform
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base.installation import versions
from ..base.safe_text import without_own_folders
from ..meters.device import available_cores
from ..meters.nvml import Nvml

ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""Settings of PyTorch's caching allocator; the second name is the older one."""

_VARIABLES = (
    *ALLOCATOR_VARIABLES,
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "OMP_NUM_THREADS",
    "HF_HUB_OFFLINE",
)

_ELSEWHERE = re.compile(r"(^|^-\w|[=,:]|file://)(?:/(?!/)|[A-Za-z]:[/\\])[^=,]*[/\\](?=[^/\\=,])")
"""The folders of an absolute path, which stands alone, behind an option or in a list."""
_SHORTENED = "paths are shortened: . is the folder it was started in, ~ the home folder, … any other"


@dataclass(frozen=True)
class Environment:
    """What a case ran on and with; None for what does not apply."""

    versions: dict[str, str]
    scale: str | None = None
    """`full` or `mini`."""
    weights: str | None = None
    """`hub` or `random`."""
    device: str | None = None
    """The device's name; a plan's is the card planned for."""
    gpu_profile: str | None = None
    """Plan: the name of the card's profile."""
    usable_mib: float | None = None
    """Plan: what one process can have of the card, MiB; its profile's, as are the two that follow."""
    usable_basis: str | None = None
    """Plan: `measured` on such a card, `assumed` from another one, or `estimated`."""
    context_basis: str | None = None
    """Plan: likewise, of the CUDA context's size."""
    native_bf16: bool | None = None
    """On a GPU: whether it computes in bf16 itself; otherwise PyTorch emulates it, slowly."""
    allocator_settings: str | None = None
    """PYTORCH_ALLOC_CONF or PYTORCH_CUDA_ALLOC_CONF; reserved memory depends on it."""
    cublas_workspace_config: str | None = None
    """CUBLAS_WORKSPACE_CONFIG; None for PyTorch's default."""
    attention_backends: tuple[str, ...] | None = None
    """On a GPU: the backends of scaled dot product attention that PyTorch may take."""

    @property
    def is_cpu(self) -> bool:
        """Whether a case ran on a processor: its seconds say nothing of a card's."""
        return (self.device or "").lower().startswith("cpu")


def unknown_environment() -> Environment:
    """Where nothing is known of a case's device: the versions alone."""
    return Environment(dict(versions()))


def describe_environment(nvml: Nvml) -> dict[str, Any]:
    """What a figure of this session may depend on and its record does not say."""
    return {
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        **published_command(),
        "platform": platform.platform(),
        "cores": available_cores(),
        "nvidia_driver": nvml.driver_version(),
        "gpus": nvml.gpu_names(),
        "variables": {name: os.environ.get(name) for name in _VARIABLES},
        "versions": dict(versions()),
    }


def published_command() -> dict[str, Any]:
    """The command line, without what its paths tell of this machine, and a note of that where one was shortened."""
    program, *arguments = sys.argv
    path = Path(program)
    command = [f"python -m {path.parent.name}" if path.name == "__main__.py" else path.name, *map(published, arguments)]
    is_whole = command[1:] == arguments
    return {"command": command} if is_whole else {"command": command, "command_note": _SHORTENED}


def published(text: str) -> str:
    """A text with paths, for files that are given away: relative to where the session was started, or to `~`.

    Of a path that is in neither, only its last part is left.
    """
    return _ELSEWHERE.sub(r"\1…/", without_own_folders(text))


def allocator_settings() -> str | None:
    """What PyTorch's caching allocator has been told, on which reserved memory depends; None for its defaults."""
    return next((os.environ[name] for name in ALLOCATOR_VARIABLES if os.environ.get(name)), None)
