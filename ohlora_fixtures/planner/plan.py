"""What a plan says, and where plans are kept between sessions."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.files import MOST_SETTINGS_BYTES, read_bytes, replace_text
from ..base.messages import Message
from ..inputs.pace import Pace, PaceBasis
from ..inputs.variants import VariantName
from .seconds import Work, seconds_of


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
    """What gradient checkpointing takes off the memory that is needed."""


@dataclass(frozen=True)
class Change:
    """A variant changed so that it needs less, and what it comes to."""

    told: tuple[Message, ...]
    """What is changed; nothing for the variant as it is."""
    variant: dict[str, Any]
    """The changed variant, as a table of a variants file has it."""
    row_tokens: int | None
    """Where rows are cut, tokens: the protocol's `max_row_tokens`; None if they are not."""
    needs_device_mib: float
    """What the card must have."""
    work: Work
    """What the whole run does."""
    seconds: float | None = None
    """How long it takes, as a plan's."""


@dataclass(frozen=True)
class Changes:
    """What would make a candidate fit that fits in none of the chosen variants."""

    variant: VariantName
    """The chosen variant that needs least: what is changed."""
    added: tuple[Change, ...]
    """As it is, and with one change more each time, in the order in which they cost a user least, until it fits."""
    enough: Change | None
    """What of these changes is enough; None if all of them are not."""
    not_planned: tuple[Message, ...]
    """What could not be planned, and why."""

    @property
    def least_mib(self) -> float:
        """The least that any of them needs of a card."""
        return min(each.needs_device_mib for each in self.added)

    def with_seconds(self, pace: Pace | None) -> Changes:
        """The same with the time that each takes at a pace."""

        def timed(change: Change) -> Change:
            return change if pace is None else replace(change, seconds=seconds_of(change.work, pace).seconds)

        return replace(self, added=tuple(map(timed, self.added)), enough=self.enough and timed(self.enough))


@dataclass(frozen=True)
class Plan:
    """One case's memory, MiB, and time, predicted. None for what an older record does not tell."""

    allocated_after_mib: float | None = None
    """In live blocks after loading (inference) or after training."""
    peak_allocated_mib: float | None = None
    """Most in live blocks."""
    peak_reserved_mib: float | None = None
    """Most in the caching allocator's segments."""
    peak_device_mib: float | None = None
    """What is taken of the card where there is room: reserved and context."""
    needs_mib: float | None = None
    """Least memory within which the allocator gets through, giving back what it does not use."""
    needs_device_mib: float | None = None
    """What the card must have: needed and context."""
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
    rows_cut: int | None = None
    """Rows trained on that are cut at the protocol's `max_row_tokens`, None for inference."""
    long_answers: int | None = None
    """Prompts whose own answer does not fit in the protocol's `max_length`, None for fine-tuning."""
    optimizer_states_mib: float | None = None
    """What the optimizer keeps from step to step, None for inference."""
    paged_mib: float | None = None
    """What of it a paged optimizer has in CUDA's managed memory: no part of the figures above. It is on the card while
    there is room, and on the host when not."""
    peak_batch: tuple[int, ...] | None = None
    """The batch at whose step most is allocated: its rows' numbers among those trained on, from 1, longest first."""
    peak_batch_tokens: int | None = None
    """Tokens that this batch is padded to."""
    without_kernels: tuple[str, ...] | None = None
    """Packages whose kernels the model takes where they are installed: planned are PyTorch's own operators."""
    breakdown_mib: dict[str, float] | None = None
    """What the live blocks held when most was allocated; adds up to `peak_allocated_mib`."""
    seconds: float | None = None
    """Of the whole fine-tuning run, or of one prompt whose answer fills the protocol's length; None for a card of which
    no peaks are known."""
    seconds_low: float | None = None
    """It may be as short as this."""
    seconds_high: float | None = None
    """It may be as long as this."""
    seconds_a_step: float | None = None
    """Mean of a training step, None for inference."""
    seconds_basis: PaceBasis | None = None
    """What the seconds rest on: `measured` on such a card by others, `calibrated` by this machine's measurements, or
    `rough`, from the card's peaks."""
    work: Work | None = None
    """What they are planned from."""
    advice: Advice | None = None
    """With the first variant's plan: what else would fit the budget."""
    changes: Changes | None = None
    """With the first variant's plan, where no chosen variant fits: what would make it fit."""


def with_seconds(plan: Plan, steps: int | None, pace: Pace | None) -> Plan:
    """The plan with the time that its work takes at a pace; `steps` are those of a fine-tuning run."""
    if plan.work is None or pace is None:
        return plan
    found = seconds_of(plan.work, pace)
    return replace(
        plan,
        seconds=found.seconds,
        seconds_low=found.low,
        seconds_high=found.high,
        seconds_a_step=found.seconds / steps if steps else None,
        seconds_basis=pace.basis,
    )


class PlanStore:
    """A folder of JSON files, each named after a digest of all that its plan depends on.

    What cannot be read is as good as not there; what cannot be written is kept for this session.
    """

    def __init__(self, folder: Path | None) -> None:
        """Without a folder, all is kept for this session."""
        self._folder = folder
        self._of_this_session: dict[str, dict[str, Any]] = {}

    def read(self, facts: dict[str, Any]) -> dict[str, Any] | None:
        """What was kept under these facts."""
        name = _digest(facts)
        if name in self._of_this_session or self._folder is None:
            return self._of_this_session.get(name)
        try:
            kept = json.loads(read_bytes(self._folder / f"{name}.json", MOST_SETTINGS_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        is_whole = isinstance(kept, dict) and kept.get("digest") == _digest(kept.get("result"))
        return kept["result"] if is_whole else None

    def write(self, facts: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep a result."""
        name = _digest(facts)
        self._of_this_session[name] = result
        if self._folder is not None:
            with suppress(OSError):
                replace_text(self._folder / f"{name}.json", json.dumps({"digest": _digest(result), "result": result}))


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
