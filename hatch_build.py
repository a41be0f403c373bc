"""Compiles the planner's pool where there is a C compiler. Without it the planner does the same, more slowly."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

SOURCE = "ohlora_fixtures/planner/_pool.c"


class CompilePool(BuildHookInterface[Any]):
    """Puts the compiled module beside its source, for editable installations and wheels alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - a hook's arguments
        """Compile; a failure is told and left at that."""
        made_of = [("SOURCE_CRC32", str(crc32(Path(self.root, SOURCE).read_bytes())))]
        pool = Extension("ohlora_fixtures.planner._pool", [SOURCE], define_macros=made_of)
        with TemporaryDirectory() as folder:
            command = build_ext(Distribution({"ext_modules": [pool]}))
            command.inplace, command.build_temp, command.build_lib = True, folder, folder
            command.ensure_finalized()
            try:
                command.run()
            except Exception as error:  # noqa: BLE001 - compilers fail in many ways
                self.app.display_warning(f"the planner's pool is not compiled, long runs are planned slowly: {error}")
                return
        build_data["pure_python"], build_data["infer_tag"] = False, True
