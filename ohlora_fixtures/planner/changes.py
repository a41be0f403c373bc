"""What would make a candidate fit: changes of a variant, in the order in which they cost a user least.

They are added up until the run fits, and what is then not needed is dropped. Each is planned as a variant of its own:
what is said of it is what planning that variant says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

from ..base.errors import one_line
from ..base.installation import versions
from ..base.messages import Message, message
from ..base.units import MIB
from ..inputs.protocol import Protocol
from ..inputs.variants import Variant
from .candidate_planner import CandidatePlanner
from .limits import least
from .plan import Change, Changes

MOST_ROWS_CUT = 0.1
"""Share of the rows that may be cut: the longest ones."""
QLORA: Mapping[str, Any] = MappingProxyType(
    {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "bfloat16",
    }
)
"""The base of the variant `r16-qlora`."""
_ROWS = "rows"
_NEED_BITSANDBYTES = ("adamw8bit", "qlora")

_Making = Callable[[Variant, Protocol], Variant | None]


def _accumulation(variant: Variant, protocol: Protocol) -> Variant | None:
    """Batches of one row, as many rows a step as before."""
    rows = protocol.batch_size * protocol.gradient_accumulation_steps
    changed = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": rows}
    return _trained(variant, **changed) if protocol.batch_size > 1 else None


def _checkpointing(variant: Variant, protocol: Protocol) -> Variant | None:
    return None if protocol.gradient_checkpointing else _trained(variant, gradient_checkpointing=True)


def _adamw8bit(variant: Variant, protocol: Protocol) -> Variant | None:
    return _trained(variant, optim="adamw_8bit") if protocol.optimizer.startswith("adamw_torch") else None


def _qlora(variant: Variant, _protocol: Protocol) -> Variant | None:
    return replace(variant, base=dict(QLORA)) if variant.adapter and not variant.base else None


def _trained(variant: Variant, **training: Any) -> Variant:
    return replace(variant, training={**variant.training, **training})


_MAKING: Mapping[str, _Making] = MappingProxyType(
    {"accumulation": _accumulation, "checkpointing": _checkpointing, "adamw8bit": _adamw8bit, "qlora": _qlora}
)
"""By a change's name, in the order in which they cost a user least, what makes a variant so; None if it is so."""


class Changer:
    """Finds what makes one variant of a candidate fit."""

    def __init__(self, planner: CandidatePlanner, variant: Variant, limit_mib: float, context_mib: float) -> None:
        """`limit_mib` is what the allocator may reserve: what a plan is held to, without the CUDA context."""
        self._planner = planner
        self._variant = variant
        self._limit_mib = limit_mib + context_mib
        self._context_mib = context_mib
        self._lengths = sorted((len(row["input_ids"]) for row in planner.examples), reverse=True)
        self._uncut = self._lengths[0]
        self._shortest_cut = self._lengths[max(1, int(len(self._lengths) * MOST_ROWS_CUT)) % len(self._lengths)]
        self._change = cache(self._planned)

    def changes(self) -> Changes:
        """Add changes up until it fits, and drop what is not needed."""
        added, not_planned, lacking = [self._change(())], list[Message](), list[Message]()
        taken: tuple[str, ...] = ()
        for name in self._possible():
            if name in _NEED_BITSANDBYTES and "bitsandbytes" not in versions():
                lacking.append(self._told(name))
                continue
            try:
                changed = self._change((*taken, name))
            except Exception as error:  # noqa: BLE001 - what a library refuses is no change, and the next may do
                not_planned.append(message("changed.refused", change=self._told(name), error=one_line(error)))
                continue
            if changed.needs_device_mib >= added[-1].needs_device_mib:
                continue
            taken = (*taken, name)
            added.append(changed)
            if self._fits(changed):
                return Changes(self._variant.name, tuple(added), self._enough(taken), tuple(not_planned))
        if lacking:
            not_planned.append(message("changed.not_installed", changes=lacking))
        return Changes(self._variant.name, tuple(added), None, tuple(not_planned))

    def _enough(self, taken: Sequence[str]) -> Change:
        """What of the changes taken is needed, the last of them among it: those that cost most are dropped first."""
        needed = tuple(taken)
        for name in reversed(taken[:-1]):
            without = tuple(each for each in needed if each != name)
            with suppress(Exception):  # of what a library refuses, nothing is known: the change stays
                if self._fits(self._change(without)):
                    needed = without
        if _ROWS not in needed:
            return self._change(needed)
        short, whole = (self._change(needed, tokens).needs_device_mib for tokens in (self._shortest_cut, self._uncut))
        share = (self._limit_mib - short) / (whole - short)
        guess = self._shortest_cut + max(1, int(share * (self._uncut - self._shortest_cut)))
        too_long = least(
            lambda tokens: not self._fits(self._change(needed, tokens)), self._shortest_cut, self._uncut, guess
        )
        return self._change(needed, too_long - 1)

    def _possible(self) -> Iterator[str]:
        """The changes that change something."""
        if self._shortest_cut < self._uncut:
            yield _ROWS
        for name, make in _MAKING.items():
            if make(self._variant, self._variant.protocol(self._planner.protocol)) is not None:
                yield name

    def _fits(self, change: Change) -> bool:
        return change.needs_device_mib <= self._limit_mib

    def _planned(self, names: tuple[str, ...], most_tokens: int | None = None) -> Change:
        """The variant with these changes; where rows are cut, to so many tokens, and else to the fewest."""
        tokens = most_tokens or (self._shortest_cut if _ROWS in names else self._uncut)
        variant = self._changed(names)
        planner = self._planner.of_rows(tokens) if names else self._planner
        played, _ = planner.fine_tuning(variant)
        return Change(
            told=tuple(self._told(name, tokens) for name in names),
            variant=variant.as_dict(),
            row_tokens=tokens if _ROWS in names else None,
            needs_device_mib=played.needs_bytes / MIB + self._context_mib,
            work=planner.run_work(variant)[0],
        )

    def _changed(self, names: Collection[str]) -> Variant:
        variant, protocol = self._variant, self._variant.protocol(self._planner.protocol)
        for name, make in _MAKING.items():
            if name in names:
                variant = make(variant, protocol) or variant
        return replace(variant, name="-".join([self._variant.name, *names]))

    def _told(self, name: str, tokens: int | None = None) -> Message:
        if name == _ROWS:
            tokens = tokens or self._shortest_cut
            cut = sum(length > tokens for length in self._lengths)
            return message("changed.rows", tokens=tokens, count1=cut, count2=len(self._lengths))
        if name == "accumulation":
            protocol = self._variant.protocol(self._planner.protocol)
            return message("changed.accumulation", count=protocol.batch_size * protocol.gradient_accumulation_steps)
        return message(f"changed.{name}")
