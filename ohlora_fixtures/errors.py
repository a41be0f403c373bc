"""Another name of `base.errors`, for code from before the package had rooms."""

from .base.errors import CandidateError, InputError

__all__ = ["CandidateError", "InputError"]
