"""The catalogue of quantities: each figure of a record once, with where it stands and how people read it.

Every table, file and page that shows figures takes them from here. A unit is the end of the name. What a quantity is
called, and what it means, the texts say under its name.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

from ..results.flat import PATHS, PATHS_OF_PLAN
from ..results.record import Record
from . import digits


@dataclass(frozen=True)
class Quantity:
    """One figure of a record."""

    name: str
    """Such as `peak_device_mib`."""
    form: Callable[[Any], str]
    """How it is written for people."""
    is_planned: bool = False
    """Whether a plan's record has it."""
    term: str = ""
    """The page's glossary entry that says how it was taken; empty for the one under its bare name."""

    def read(self, record: Record | None) -> Any:
        """The figure; None where it is not known or does not apply."""
        if record is None or (self.is_planned and record.plan is None):
            return None
        return self._getter(record)

    @cached_property
    def _getter(self) -> Callable[[Record], Any]:
        return attrgetter((PATHS_OF_PLAN if self.is_planned else PATHS)[self.name])

    def write(self, record: Record | None) -> str:
        """The figure as people read it."""
        return self.form(self.read(record))

    @property
    def bare_name(self) -> str:
        """Its name without its unit."""
        return re.sub("_(mib|seconds|mhz|c)$", "", self.name)


MEMORY = (
    Quantity("allocated_after_mib", digits.mib),
    Quantity("peak_allocated_mib", digits.mib),
    Quantity("peak_reserved_mib", digits.mib),
    Quantity("context_mib", digits.mib),
    Quantity("peak_device_mib", digits.mib),
)
"""What a case took on the card, or by its plan would."""

MEASURED = (
    Quantity("seconds", digits.seconds),
    Quantity("steady_median_seconds", digits.seconds, term="steady"),
    Quantity("steady_iqr_seconds", digits.seconds, term="steady"),
    *MEMORY,
    Quantity("peak_rss_growth_mib", digits.mib),
    Quantity("cap_mib", digits.mib),
    Quantity("requested_mib", digits.mib),
    Quantity("leaked_mib", digits.mib),
    Quantity("tflops_per_second", digits.rate, term="utilization"),
    Quantity("flops_utilization", digits.share, term="utilization"),
    Quantity("gb_per_second", digits.rate, term="utilization"),
    Quantity("bandwidth_utilization", digits.share, term="utilization"),
    Quantity("highest_temperature_c", digits.count, term="condition"),
    Quantity("lowest_sm_clock_mhz", digits.count, term="condition"),
    Quantity("tokens", digits.count),
    Quantity("trainable_parameters", digits.count),
)
"""Of a measured case, in the order in which tables have them."""

PLANNED_SECONDS = (
    Quantity("seconds", digits.seconds, is_planned=True, term="planned_seconds"),
    Quantity("seconds_low", digits.seconds, is_planned=True, term="planned_seconds"),
    Quantity("seconds_high", digits.seconds, is_planned=True, term="planned_seconds"),
    Quantity("seconds_a_step", digits.seconds, is_planned=True, term="planned_seconds"),
    Quantity("seconds_basis", digits.word, is_planned=True, term="planned_seconds"),
)
"""Of a plan's time: of the whole fine-tuning run, or of one prompt, with its range."""

PLANNED = (
    *(replace(each, is_planned=True) for each in MEMORY),
    Quantity("needs_mib", digits.mib, is_planned=True),
    Quantity("needs_device_mib", digits.mib, is_planned=True),
    Quantity("optimizer_states_mib", digits.mib, is_planned=True),
    Quantity("paged_mib", digits.mib, is_planned=True),
    Quantity("longest_tokens", digits.count, is_planned=True, term="tokens"),
    Quantity("peak_batch_tokens", digits.count, is_planned=True, term="tokens"),
    Quantity("trainable_parameters", digits.count, is_planned=True),
    *PLANNED_SECONDS,
)
"""Of a plan."""

QUALITY = (
    Quantity("quality_score", digits.points, term="quality"),
    Quantity("quality_grade", digits.word, term="quality"),
    Quantity("trained_nats_per_character", digits.nats, term="nats_per_character"),
    Quantity("held_out_nats_per_character", digits.nats, term="nats_per_character"),
    Quantity("held_out_loss", digits.nats, term="held_out"),
    Quantity("untuned_trained_nats_per_character", digits.nats, term="nats_per_character"),
    Quantity("untuned_held_out_nats_per_character", digits.nats, term="nats_per_character"),
    Quantity("untuned_held_out_loss", digits.nats, term="held_out"),
)
"""Of how good a measured case's model is."""


def known(quantities: Iterable[Quantity], records: Iterable[Record]) -> list[Quantity]:
    """The quantities of which any record has a figure."""
    records = list(records)
    return [each for each in quantities if any(each.read(record) is not None for record in records)]
