"""What a plan says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """One case's memory, predicted; MiB."""

    parameters: int
    """Parameters of the full-size model, tied weights counted once."""
    trainable_parameters: int | None
    """Parameters of the adapter, None for inference."""
    tokenizer: str
    """`own`, or `estimated` where lengths come from the candidate's characters a token."""
    longest_tokens: int
    """Tokens that the longest batch is padded to, or of the longest prompt."""
    allocated_after_mib: float
    """In live blocks after loading (inference) or after training."""
    peak_allocated_mib: float
    """Most in live blocks."""
    peak_reserved_mib: float
    """Most in the caching allocator's segments."""
    context_mib: float
    """The CUDA context's, from the GPU profile."""
    breakdown_mib: dict[str, float]
    """What the live blocks held when most was allocated."""

    @property
    def peak_device_mib(self) -> float:
        """What the card must have: reserved and context."""
        return self.peak_reserved_mib + self.context_mib

    def as_dict(self) -> dict[str, Any]:
        """The fields in a form JSON can hold."""
        return asdict(self)
