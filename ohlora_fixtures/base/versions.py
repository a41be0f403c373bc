"""Versions of the libraries that figures depend on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "pytest", "pytest-benchmark")


@cache
def versions() -> Mapping[str, str]:
    """Versions of Python and of the libraries that figures depend on; imports none of them.

    Looked up once: it reads every package's metadata, which takes longer than all else a record needs.
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return MappingProxyType(found)
