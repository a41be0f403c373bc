"""The two mistakes the suite explains in one plain sentence."""

import re

from . import safe_text

_MOST_CHARACTERS = 400
"""Of a sentence."""
_LONG_WORD = re.compile(r"(\S{60})\S{80,}(\S{60})")
_BEGINNING, _END = 240, 150
"""Characters that are left of a sentence that is too long: what is wrong stands first, and what to do last."""


class _SaidError(Exception):
    """An error whose whole text is one sentence."""

    def __init__(self, said: object) -> None:
        """`said` is the sentence, or a `Message`; its text is shortened where others' names and values make it long."""
        super().__init__(_short(safe_text.line(str(said))))
        self.said = said


class InputError(_SaidError, ValueError):
    """What the user gave cannot be used; the message says what, where, and what to do."""


class CandidateError(_SaidError, RuntimeError):
    """One candidate cannot be built or loaded; the message carries the library's reason in one line."""


def _short(sentence: str) -> str:
    if len(sentence) <= _MOST_CHARACTERS:
        return sentence
    sentence = _LONG_WORD.sub(r"\1…\2", sentence)
    if len(sentence) <= _MOST_CHARACTERS:
        return sentence
    return f"{sentence[:_BEGINNING]} … {sentence[-_END:]}"


def one_line(error: BaseException, limit: int = 300) -> str:
    """The error's type and message on one line of at most `limit` characters, as others may read it."""
    text = " ".join(safe_text.line(safe_text.without_own_folders(str(error))).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
