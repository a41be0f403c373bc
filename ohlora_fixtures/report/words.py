"""The texts of reports, `words.toml`, in Korean and English side by side, and the cutting of texts too long."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..base.messages import Language, Texts, read_texts


def texts() -> Texts:
    """Every text by key; messages have theirs in `base/`."""
    return read_texts(Path(__file__).with_name("words.toml"))


@dataclass(frozen=True)
class Say:
    """Says texts in one language."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """A text with values put into its braces; raises KeyError for one that does not exist."""
        return texts()[key][self.language].format(**values)

    def name(self, subject: str, field: str, otherwise: str = "") -> str:
        """What a field of other code is called; one that this version does not know goes by another or its own name."""
        key = f"{subject}.{field}"
        return self(key) if key in texts() else otherwise or field.replace("_", " ")


def head_in(head: str, say: Say) -> str:
    """A table's English heading in a language, as a whole or line by line; a name is the same in every one."""
    lines = head.split("\n")
    return say.name("column", " ".join(lines), " ".join(say.name("column", line, line) for line in lines))


def cut(text: str, room: float, width_of: Callable[[str], float]) -> str:
    """As much of a text as there is room for: its middle gives way, since a model's size is the end of its name."""
    if width_of(text) <= room:
        return text
    room -= width_of("…")
    tail = text
    while width_of(tail) > room / 3:
        tail = tail[1:]
    head = text
    while width_of(head) > room - width_of(tail):
        head = head[:-1]
    return f"{head}…{tail}"
