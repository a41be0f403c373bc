"""What a choice could not know, and what speaks against its options without excluding them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..base.messages import Message, message
from ..inputs.terms import same_count
from .contenders import Contender, Option, budgets_mib

_MOST_NAMED = 30
"""Candidates in one sentence."""


def doubts(
    ranked: Sequence[Option], left_out: Sequence[Option], overlooked: Mapping[str, Sequence[Option]]
) -> Iterator[Message]:
    """What must be known before the choice itself: how the answers of options, best first, were judged.

    Options that are `left_out` were judged by nobody. `overlooked` are, by source of judgement, options that it has
    judged although another one compares them.
    """
    if left_out:
        yield message("doubt.unjudged", options=names_of(left_out))
    for source, own in overlooked.items():
        yield message("doubt.not_counted", by=message(f"by.{source}"), options=[_how_many(each) for each in own])
    if partial := [_how_many(each) for each in ranked if each.quality and each.quality.is_partial]:
        yield message("doubt.partial", options=partial)
    if unmatched := [each for each in ranked if each.quality and each.quality.is_matched is False]:
        yield message("doubt.unmatched", options=names_of(unmatched))
    if ranked and _is_worse(ranked[0]):
        yield message("doubt.worse", options=_before_and_after(ranked[0]))


def unknown(options: Sequence[Option], found: Sequence[Contender], weights: Mapping[str, float]) -> Iterator[Message]:
    """What is not known of any option, and what of some."""
    weighed = [name for name, weight in weights.items() if weight > 0]
    lacking = {name: [option for option in options if option.figures[name] is None] for name in weighed}
    if of_any := [message(f"criterion.{name}") for name, those in lacking.items() if 0 < len(those) == len(options)]:
        yield message("unknown.of_any", criterion=of_any)
    for name, those in lacking.items():
        if 0 < len(those) < len(options):
            yield message("unknown.of_some", criterion=message(f"criterion.{name}"), options=names_of(those))
    reasons = [record.quality.not_judged for each in found for record in each.records]
    for reason in sorted({reason for reason in reasons if reason}, key=str):
        concerned = [each for each in found if any(record.quality.not_judged == reason for record in each.records)]
        key = "unknown.not_judged" if len(concerned) == len(found) else "unknown.not_judged_of"
        yield message(key, options=names_of(concerned), not_judged=reason)
    without_peak = [
        each for each in found if all(record.peak_device_mib is None for record in each.fine_tuning.records)
    ]
    if without_peak:
        key = "unknown.budget_of_any" if len(without_peak) == len(found) else "unknown.budget"
        yield message(key, options=names_of(without_peak))


def cautions(options: Sequence[Option], found: Sequence[Contender], bases: Collection[str]) -> Iterator[Message]:
    """What to bear in mind of options, best first: their figures, read from these bases, and their quality."""
    others = [each for each in options if each.total is not None and each.candidate != options[0].candidate]
    if tied := [each for each in others if each.total == options[0].total]:
        yield message("caution.tied", options=names_of(tied))
    if "allocated_after_mib" in bases:
        yield message("caution.allocated_after")
    if "planned peak_device_mib" in bases:
        yield message("caution.planned")
    if any(each.startswith("planned seconds") for each in bases):
        plans = [record.plan for each in found for record in each.records if record.plan is not None]
        is_rough = any(plan.seconds_basis == "rough" for plan in plans)
        yield message("caution.planned_seconds_rough" if is_rough else "caution.planned_seconds")
    if len(budgets := sorted(budgets_mib(found))) > 1:
        yield message("caution.budgets", budgets=", ".join(f"{budget:.0f} MiB" for budget in budgets))
    yield from _cautions_on_measured(found)
    yield from _cautions_on_quality(options)
    if overfitted := [each for each in found if any(record.quality.is_overfitted for record in each.records)]:
        yield message("caution.overfitted", options=names_of(overfitted))
    if doubtful := [each for each in found if any(record.taints for record in each.records)]:
        yield message("caution.doubtful", options=names_of(doubtful))
    named = {each.candidate: same_count(each.candidate.parameters) for each in found if each.candidate.free_license}
    for candidate, base in named.items():
        if base is not None:
            yield message("caution.base", candidate=candidate.name, base=base.name, licence=base.license)


def _cautions_on_measured(found: Sequence[Contender]) -> Iterator[Message]:
    ran = (record for each in found for record in each.records if not record.case.is_planned)
    measured = list({record.case: record for record in ran}.values())
    if len(devices := {record.environment.device for record in measured} - {None}) > 1:
        yield message("caution.devices", count=len(devices))
    if any(record.seconds is not None and record.environment.is_cpu for record in measured):
        yield message("caution.cpu")
    for record in measured:
        if record.contradicted_seconds is not None:
            figures = {"published": record.contradicted_seconds, "sound": record.seconds}
            yield message("caution.contradicted", case=record.case.id, **figures)


def _cautions_on_quality(options: Sequence[Option]) -> Iterator[Message]:
    """Where answers were judged before fine-tuning, or are worse after it."""
    judged = [option for option in options if option.quality is not None]
    if untuned := [option for option in judged if option.quality and not option.quality.is_tuned]:
        key = "caution.untuned_every" if len(untuned) == len(judged) else "caution.untuned"
        yield message(key, options=names_of(untuned))
    if worse := [_before_and_after(each) for each in options[1:] if _is_worse(each)]:
        yield message("caution.worse", options=worse)


def names_of(options: Iterable[Option | Contender]) -> Message | str:
    """Candidates with their variants; those with the same ones stand together, and of many the first."""
    variants: dict[str, list[str]] = {}
    for each in options:
        variants.setdefault(each.candidate.name, []).append(each.variant)
    alike: dict[str, list[str]] = {}
    for name, own in [*variants.items()][:_MOST_NAMED]:
        alike.setdefault("/".join(own), []).append(name)
    some, more = ", ".join(f"{', '.join(names)} {own}" for own, names in alike.items()), len(variants) - _MOST_NAMED
    return message("names.more", names=some, count=more) if more > 0 else some


def _how_many(option: Option) -> Message | str:
    """The option, with how many of how many answers were judged, where they were one by one."""
    quality = option.quality
    if quality is None or quality.judged is None:
        return option.name
    return message("doubt.of_answers", option=option.name, count1=quality.judged, count2=quality.given)


def _is_worse(option: Option) -> bool:
    before, after = option.untuned, option.quality
    return before is not None and after is not None and after.is_tuned and after.score < before.score


def _before_and_after(option: Option) -> str:
    before, after = option.untuned, option.quality
    return f"{option.name} {before.score:.1f} → {after.score:.1f}" if before and after else option.name
