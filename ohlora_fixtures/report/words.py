"""The texts of reports, `words.toml`, in Korean and English side by side; messages have theirs in `base/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..base.words import Language, Texts, read


def texts() -> Texts:
    """Every text by key."""
    return read(Path(__file__).with_name("words.toml"))


@dataclass(frozen=True)
class Say:
    """Says texts in one language."""

    language: Language
    """Which one."""

    def __call__(self, key: str, **values: object) -> str:
        """A text with values put into its braces; raises KeyError for one that does not exist."""
        return texts()[key][self.language].format(**values)

    def name(self, subject: str, field: str) -> str:
        """What a field of other code is called; one that this version does not know goes by its own name."""
        key = f"{subject}.{field}"
        return self(key) if key in texts() else field.replace("_", " ")

    def knows(self, subject: str, field: str) -> bool:
        """Whether a field has a name of its own."""
        return f"{subject}.{field}" in texts()
