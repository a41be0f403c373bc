"""What a plan says."""

from __future__ import annotations

from dataclasses import dataclass

from ..inputs.variants import VariantName


@dataclass(frozen=True)
class Advice:
    """What else would fit one candidate's fine-tuning into the budget."""

    variant: VariantName
    """The variant at which batch and checkpointing were planned."""
    batch_size: int
    """The batch size at which rank and checkpointing were planned."""
    row_tokens: int
    """Tokens that the batch is padded to."""
    largest_batch: int
    """Most rows in a batch; 0 if not even one fits."""
    largest_rank: int | None
    """Highest LoRA rank, a multiple of 8; 0 if none fits, None for a variant without a rank."""
    checkpointing_saves_mib: float
    """What gradient checkpointing takes off the peak of reserved memory."""


@dataclass(frozen=True)
class Plan:
    """One case's memory, predicted; MiB. None for what an older record does not tell."""

    allocated_after_mib: float | None = None
    """In live blocks after loading (inference) or after training."""
    peak_allocated_mib: float | None = None
    """Most in live blocks."""
    peak_reserved_mib: float | None = None
    """Most in the caching allocator's segments."""
    peak_device_mib: float | None = None
    """What the card must have: reserved and context."""
    context_mib: float | None = None
    """The CUDA context's, from the GPU profile."""
    parameters: int | None = None
    """Parameters of the full-size model, tied weights counted once."""
    trainable_parameters: int | None = None
    """Parameters that training changes, None for inference."""
    tokenizer: str | None = None
    """`own`, `stand-in`, or `estimated` where lengths come from the candidate's characters a token."""
    longest_tokens: int | None = None
    """Tokens that the longest batch is padded to, or of the longest prompt."""
    breakdown_mib: dict[str, float] | None = None
    """What the live blocks held when most was allocated; adds up to `peak_allocated_mib`."""
    advice: Advice | None = None
    """With the first variant's plan: what else would fit the budget."""
