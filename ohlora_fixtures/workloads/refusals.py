"""What a library refuses is one candidate's error and not the session's; a card that is full stays what it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..base.errors import CandidateError, one_line
from ..base.messages import message

_OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What else than PyTorch's own allocator says when a card is full."""


@contextmanager
def refusals_told(key: str, **values: Any) -> Iterator[None]:
    """Make any error of the block a CandidateError: a message with its reason in one line as `error`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, CandidateError) or is_out_of_memory(error):
            raise
        raise CandidateError(message(key, **values, error=one_line(error))) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is the device's memory running out: of PyTorch's allocator, the driver or a CUDA library."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
