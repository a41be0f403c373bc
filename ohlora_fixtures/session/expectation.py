"""What is known of a measured case beforehand: its plan, and what it computes and moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import CandidateError
from ..inputs.gpu_profiles import Peaks
from ..meters.utilization import Utilization, decoding_utilization, training_utilization
from ..workloads.inference import Answered

if TYPE_CHECKING:
    from ..inputs.candidates import Candidate
    from ..inputs.variants import Variant
    from ..meters.meter import Measurement
    from ..planner.plan import Plan
    from ..planner.planner import OfMeasured, Planner
    from ..workloads.fine_tuning import FineTuned


@dataclass(frozen=True)
class Expectation:
    """A case on a card at full size, planned with the tokenizer it is measured with: for the very same lengths."""

    planner: Planner
    """The session's."""
    candidate: Candidate
    """The case's."""
    variant: Variant | None
    """The case's; None for inference."""
    measured: OfMeasured
    """The tokenizer."""
    peaks: Peaks
    """The card's."""

    def plan(self) -> Plan | None:
        """The case's plan; None for a candidate that cannot be planned, which its own plan's case tells."""
        try:
            return self.planner.plan(self.candidate, self.variant, self.measured)
        except CandidateError:
            return None

    def utilization(self, measurement: Measurement[Answered | FineTuned], warm_up: int) -> Utilization:
        """How near the case came to the card's limits; nothing where its work cannot be counted."""
        result = measurement.result
        lengths = result.lengths if isinstance(result, Answered) else ()
        try:
            work_each = self.planner.work_each(self.candidate, self.variant, self.measured, lengths)
        except CandidateError:
            return Utilization()
        share = decoding_utilization if isinstance(result, Answered) else training_utilization
        return share(work_each, measurement.seconds_each, warm_up, self.peaks)
