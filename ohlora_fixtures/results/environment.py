"""The machine and its settings, as `environment.json` keeps them; imports nothing heavy."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any

from ..base.installation import versions
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


def describe_environment(nvml: Nvml) -> dict[str, Any]:
    """What a figure of this session may depend on and its record does not say."""
    return {
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "platform": platform.platform(),
        "cores": available_cores(),
        "nvidia_driver": nvml.driver_version(),
        "gpus": nvml.gpu_names(),
        "variables": {name: os.environ.get(name) for name in _VARIABLES},
        "versions": dict(versions()),
    }


def allocator_settings() -> str | None:
    """What PyTorch's caching allocator has been told, on which reserved memory depends; None for its defaults."""
    return next((os.environ[name] for name in ALLOCATOR_VARIABLES if os.environ.get(name)), None)
