"""What a choice could not know, and what speaks against its options without excluding them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..base.messages import Message, message
from .contenders import Contender, Option, budgets_mib

_MOST_NAMED = 30
"""Candidates in one sentence."""


def unknown(options: Sequence[Option], found: Sequence[Contender], weights: Mapping[str, float]) -> Iterator[Message]:
    """What is not known of any option, and what of some."""
    if not options:
        return
    weighed = [name for name, weight in weights.items() if weight > 0]
    lacking = {name: [option for option in options if option.figures[name] is None] for name in weighed}
    if of_any := [message(f"criterion.{name}") for name, those in lacking.items() if len(those) == len(options)]:
        yield message("unknown.of_any", criterion=of_any)
    for name, those in lacking.items():
        if 0 < len(those) < len(options):
            yield message("unknown.of_some", criterion=message(f"criterion.{name}"), options=_names(those))
    reasons = [record.quality.not_judged for each in found for record in each.records]
    for reason in sorted({reason for reason in reasons if reason}, key=str):
        concerned = [each for each in found if any(record.quality.not_judged == reason for record in each.records)]
        key = "unknown.not_judged" if len(concerned) == len(found) else "unknown.not_judged_of"
        yield message(key, options=_names(concerned), not_judged=reason)
    without_peak = [
        each for each in found if all(record.peak_device_mib is None for record in each.fine_tuning.records)
    ]
    if without_peak:
        key = "unknown.budget_of_any" if len(without_peak) == len(found) else "unknown.budget"
        yield message(key, options=_names(without_peak))


def cautions(options: Sequence[Option], found: Sequence[Contender], bases: Collection[str]) -> Iterator[Message]:
    """What to bear in mind of options, best first: their figures, read from these bases, and their quality."""
    others = [each for each in options if each.total is not None and each.candidate != options[0].candidate]
    if tied := [each for each in others if each.total == options[0].total]:
        yield message("caution.tied", options=_names(tied))
    if "allocated_after_mib" in bases:
        yield message("caution.allocated_after")
    if any(each.startswith("planned") for each in bases):
        yield message("caution.planned")
    if len(budgets := sorted(budgets_mib(found))) > 1:
        yield message("caution.budgets", budgets=", ".join(f"{budget:.0f} MiB" for budget in budgets))
    measured = [record for each in found for record in each.records if not record.case.is_planned]
    if len(devices := {record.environment.device for record in measured} - {None}) > 1:
        yield message("caution.devices", count=len(devices))
    yield from _cautions_on_quality(options)
    if overfitted := [each for each in found if any(record.quality.is_overfitted for record in each.records)]:
        yield message("caution.overfitted", options=_names(overfitted))
    if doubtful := [each for each in found if any(record.taints for record in each.records)]:
        yield message("caution.doubtful", options=_names(doubtful))


def _cautions_on_quality(options: Sequence[Option]) -> Iterator[Message]:
    """Where the qualities of options do not come from like answers and like judges."""
    judged = [(option, option.quality) for option in options if option.quality is not None]
    if untuned := [option for option, quality in judged if not quality.is_tuned]:
        key = "caution.untuned_every" if len(untuned) == len(options) else "caution.untuned"
        yield message(key, options=_names(untuned))
    by_source: dict[str, list[Option]] = {}
    for option, quality in judged:
        by_source.setdefault(quality.source, []).append(option)
    if len(by_source) > 1:
        told = [message(f"source.{source}", options=_names(own)) for source, own in by_source.items()]
        yield message("caution.judges", source=told)


def _names(options: Iterable[Option | Contender]) -> Message | str:
    variants: dict[str, list[str]] = {}
    for each in options:
        variants.setdefault(each.candidate.name, []).append(each.variant)
    names = [f"{name} {'/'.join(own)}" for name, own in variants.items()]
    some, more = ", ".join(names[:_MOST_NAMED]), len(names) - _MOST_NAMED
    return message("names.more", names=some, count=more) if more > 0 else some
