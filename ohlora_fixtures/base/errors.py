"""The two mistakes the suite explains in one plain sentence."""

from . import safe_text


class _SaidError(Exception):
    """An error whose whole text is one sentence."""

    def __init__(self, said: object) -> None:
        """`said` is the sentence, or a `Message`."""
        super().__init__(safe_text.line(str(said)))
        self.said = said


class InputError(_SaidError, ValueError):
    """What the user gave cannot be used; the message says what, where, and what to do."""


class CandidateError(_SaidError, RuntimeError):
    """One candidate cannot be built or loaded; the message carries the library's reason in one line."""


def one_line(error: BaseException, limit: int = 300) -> str:
    """The error's type and message on one line of at most `limit` characters."""
    text = " ".join(safe_text.line(str(error)).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
