"""The data that comes with the suite."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
DATA = next(folder for folder in (_PACKAGE / "data", _PACKAGE.parent / "data") if folder.is_dir())
"""The suite's own data: inside an installed package, beside it in a checkout."""
REFERENCE = DATA / "reference" / "study-2025-04"
"""The study's published figures, as a results folder."""
JUDGE_PROMPT = DATA / "judge_prompt.md"
"""What a judge is told."""
