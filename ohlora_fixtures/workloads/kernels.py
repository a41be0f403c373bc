"""Which other packages' kernels a model's classes take where they are installed."""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_DISTRIBUTIONS = {"causal_conv1d": "causal-conv1d", "fla": "flash-linear-attention", "mamba_ssm": "mamba-ssm"}
_NAMED = re.compile('"(causal_conv1d|fla|mamba_ssm)"')
"""A package where transformers asks for it."""


def kernels_of(model: PreTrainedModel) -> tuple[str, ...]:
    """The packages, as pip names them, that transformers' own modules of this model ask for kernels.

    Where one is not installed, the model runs on PyTorch's operators, and so does a plan, on tensors without data: its
    memory is another than that of the kernels.
    """
    modules = {type(each).__module__ for each in model.modules() if type(each).__module__.startswith("transformers.")}
    named = {package for name in modules for package in _NAMED.findall(inspect.getsource(sys.modules[name]))}
    return tuple(sorted(_DISTRIBUTIONS[name] for name in named))
