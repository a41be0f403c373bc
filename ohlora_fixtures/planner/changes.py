"""What would make a candidate fit: changes of a variant, in the order in which they cost a user least.

They are added up until the run fits, and what is then not needed is dropped. Each is planned as a variant of its own:
what is said of it is what planning that variant says.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from ..base.errors import one_line
from ..base.installation import versions
from ..base.messages import Message, message
from ..base.units import MIB
from ..inputs.protocol import Protocol
from ..inputs.variants import Variant, shipped
from .candidate_planner import CandidatePlanner
from .limits import least
from .plan import Change, Changes

MOST_ROWS_CUT = 0.1
"""Share of the rows that may be cut: the longest ones."""
_ROWS = "rows"
_NEED_BITSANDBYTES = ("adamw8bit", "qlora")


def _changes_of(variant: Variant, protocol: Protocol) -> dict[str, dict[str, Any]]:
    """What each change gives a variant, by the variant's fields, in the order in which they cost a user least.

    Those are left out that change nothing under the variant's own protocol.
    """
    rows_a_step = protocol.batch_size * protocol.gradient_accumulation_steps
    found: dict[str, dict[str, Any]] = {}
    if protocol.batch_size > 1:
        batches = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": rows_a_step}
        found["accumulation"] = {"training": batches}
    if not protocol.gradient_checkpointing:
        found["checkpointing"] = {"training": {"gradient_checkpointing": True}}
    if protocol.optimizer.startswith("adamw_torch"):
        found["adamw8bit"] = {"training": {"optim": "adamw_8bit"}}
    if variant.adapter and not variant.base:
        found["qlora"] = {"base": shipped("r16-qlora").base}
    return found


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
        self._protocol = variant.protocol(planner.protocol)
        self._changes = _changes_of(variant, self._protocol)
        self._change = cache(self._planned)

    def changes(self) -> Changes:
        """Add changes up until it fits, and drop what is not needed."""
        added, not_planned, lacking = [self._change(())], list[Message](), list[Message]()
        taken: tuple[str, ...] = ()
        for name in (*([_ROWS] if self._shortest_cut < self._uncut else []), *self._changes):
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

    def _changed(self, names: Sequence[str]) -> Variant:
        variant = replace(self._variant, name="-".join([self._variant.name, *names]))
        for change in (self._changes[name] for name in names if name != _ROWS):
            training = {**variant.training, **change.get("training", {})}
            variant = replace(variant, training=training, base=change.get("base", variant.base))
        return variant

    def _told(self, name: str, tokens: int | None = None) -> Message:
        if name == _ROWS:
            tokens = tokens or self._shortest_cut
            cut = sum(length > tokens for length in self._lengths)
            return message("changed.rows", tokens=tokens, count1=cut, count2=len(self._lengths))
        if name == "accumulation":
            rows_a_step = self._protocol.batch_size * self._protocol.gradient_accumulation_steps
            return message("changed.accumulation", count=rows_a_step)
        return message(f"changed.{name}")
