"""What is installed: the suite's own data, and the libraries that figures depend on."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

_PACKAGE = Path(__file__).parents[1]
DATA = next(folder for folder in (_PACKAGE / "data", _PACKAGE.parent / "data") if folder.is_dir())
"""The suite's own data: inside an installed package, beside it in a checkout."""
REFERENCE = DATA / "reference" / "study-2025-04"
"""The study's published figures, as a results folder."""
JUDGE_PROMPT = DATA / "judge_prompt.md"
"""What a judge is told."""

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "bitsandbytes", "pytest", "pytest-benchmark")


@cache
def versions() -> Mapping[str, str]:
    """Versions of Python and of the libraries that figures depend on; imports none of them.

    Looked up once: it reads every package's metadata, which takes longer than all else a record needs.
    """
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return MappingProxyType(found)
