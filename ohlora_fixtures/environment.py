"""The machine and its settings, as `environment.json` keeps them; imports nothing heavy."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any

from .meters.device import Nvml, available_cores
from .records import versions

_VARIABLES = (
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "CUDA_VISIBLE_DEVICES",
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
        "versions": versions(),
    }
