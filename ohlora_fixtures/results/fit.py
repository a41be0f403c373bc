"""Whether a case fits the budget and the card: the one verdict that every table, page and choice tells."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..base.messages import Message, message
from .record import Record

Verdict = Literal["fits", "over", "failed", "not_judged"]

_TOLD_BY: dict[str, Verdict] = {"error": "failed", "failed": "failed", "over_budget": "over", "out_of_memory": "over"}
"""By the kind of a case's end, where that alone tells."""


@dataclass(frozen=True)
class Fit:
    """What a case, or several together, come to against the VRAM budget, and a plan against the card."""

    verdict: Verdict
    """`fits`, `over`, `failed` for another failure, or `not_judged` where no peak is known."""
    reason: Message | None = None
    """Why it does not fit; None if it does, or if nothing is known."""
    is_planned: bool = False
    """Whether the plan tells, because the measurement does not."""


NOT_JUDGED = Fit("not_judged")


def fit_of(measured: Record | None, plan: Record | None) -> Fit:
    """The verdict on one case: that of its measurement, or where this tells of no peak, that of its plan.

    A measurement that failed has failed, whatever its peak until then. One that was skipped says nothing, and neither
    does a rehearsal, which is another model's. That no plan can be made is no verdict on what has run.
    """
    if measured is not None and measured.environment.scale == "mini":
        measured = None
    has_run = measured is not None and measured.outcome.kind == "passed"
    for record in (measured, plan):
        found = None if record is None else _told_by(record)
        if found is not None and not (found.is_planned and found.verdict == "failed" and has_run):
            return found
    return NOT_JUDGED


def fit_of_all(fits: Iterable[Fit]) -> Fit:
    """The verdict on several cases together: the first that stands in the way, else that they fit if any is judged."""
    known = [fit for fit in fits if fit.verdict != "not_judged"]
    return next((fit for fit in known if fit.verdict != "fits"), known[0] if known else NOT_JUDGED)


def above_budget(device_mib: float, budget_mib: float, usable_mib: float | None = None) -> Message | None:
    """Both figures and the difference, if what a card must have exceeds the limit; what equals it keeps to it.

    The limit is the budget, or what one process can have of the card if that is known and less.
    """
    key, limit_mib = "reason.above_budget", budget_mib
    if usable_mib is not None and usable_mib < budget_mib:
        key, limit_mib = "reason.above_card", usable_mib
    difference = device_mib - limit_mib
    if difference <= 0:
        return None
    return message(key, peak=device_mib, budget=limit_mib, difference=difference, share=difference / limit_mib)


def reason_of(record: Record) -> Message:
    """Why a record's case did not pass, with the kind of its end."""
    kind, reason = record.outcome.kind, record.outcome.reason or message("reason.not_known")
    return message(f"reason.{kind}", reason=reason)


def _told_by(record: Record) -> Fit | None:
    kind, needs_mib, is_planned = record.outcome.kind, record.needs_device_mib, record.case.is_planned
    if kind in _TOLD_BY:
        verdict, reason = _TOLD_BY[kind], reason_of(record)
    elif needs_mib is None or kind == "skipped":
        return None
    elif above := above_budget(needs_mib, record.experiment.budget_mib, record.limit_mib):
        verdict, reason = "over", above
    else:
        return Fit("fits", is_planned=is_planned)
    return Fit(verdict, message("reason.planned", reason=reason) if is_planned else reason, is_planned)
