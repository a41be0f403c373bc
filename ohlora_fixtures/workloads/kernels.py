"""Which other packages' kernels a model's classes take where they are installed."""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_DISTRIBUTIONS = {"causal_conv1d": "causal-conv1d", "fla": "flash-linear-attention", "mamba_ssm": "mamba-ssm"}
_NAMED = re.compile(r"""["'](causal[-_]conv1d|fla|mamba[-_]ssm)["']|\bfrom (causal_conv1d|fla|mamba_ssm)\b""")
"""A package where transformers asks for it: by its name, or in an import."""


def kernels_of(model: PreTrainedModel) -> tuple[str, ...]:
    """The packages, as pip names them, that transformers' own modules of this model ask for kernels.

    Where one is not installed, the model runs on PyTorch's operators, and so does a plan, on tensors without data: its
    memory is another than that of the kernels.
    """
    modules = {type(each).__module__ for each in model.modules() if type(each).__module__.startswith("transformers.")}
    found = [_NAMED.findall(inspect.getsource(sys.modules[name])) for name in modules]
    named = {(quoted or imported).replace("-", "_") for each in found for quoted, imported in each}
    return tuple(sorted(_DISTRIBUTIONS[name] for name in named))
