"""What a choice could not know, and what speaks against its options without excluding them, a sentence each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .contenders import Contender, budgets_mib

if TYPE_CHECKING:
    from .selection import Option


def unknown(options: Sequence[Option], found: Sequence[Contender], weights: Mapping[str, float]) -> Iterator[str]:
    """What is not known of any option, and what of some."""
    if not options:
        return
    weighed = [name for name, weight in weights.items() if weight > 0]
    lacking = {name: [option for option in options if option.figures[name] is None] for name in weighed}
    if of_any := [_in_words(name) for name, those in lacking.items() if len(those) == len(options)]:
        yield f"known of no option, and left out of the choice: {', '.join(of_any)}"
    for name, those in lacking.items():
        if 0 < len(those) < len(options):
            yield f"{_in_words(name)} is not known of {_names(those)}: it counts as the mean of the others"
    for reason in sorted({record.not_judged for each in found for record in each.records if record.not_judged}):
        concerned = [each for each in found if any(record.not_judged == reason for record in each.records)]
        whose = "" if len(concerned) == len(found) else f" of {_names(concerned)}"
        yield f"answers{whose} were not judged: {reason}"
    if unjudged := [each for each in found if not each.is_judged_by_budget]:
        whose = "any option" if len(unjudged) == len(found) else _names(unjudged)
        yield f"whether {whose} keeps to the budget is not known: no peak was measured or planned"


def cautions(options: Sequence[Option], found: Sequence[Contender], bases: Collection[str]) -> Iterator[str]:
    """What to bear in mind of options, best first: their figures, read from these bases, and their quality."""
    if level := [each for each in options if _is_level(each, options[0])]:
        yield f"level with the choice, which comes first by its name alone: {_names(level)}"
    if "allocated_after_mib" in bases:
        yield "memory is what was allocated after the run, not the peak: a card needs more"
    if any(each.startswith("planned") for each in bases):
        yield "memory is the plan's, not a measurement's"
    if len(budgets := sorted(budgets_mib(found))) > 1:
        listed = " and ".join(f"{budget:.0f} MiB" for budget in budgets)
        yield f"budgets differ, {listed}: each option was held to its own, and memory counts as a share of the largest"
    measured = [[record for record in (each.fine_tuning, each.inference) if record] for each in found]
    devices = {record.device for records in measured for record in records if record.device is not None}
    if len(devices) > 1:
        yield f"measured on {len(devices)} devices, whose times and memory do not compare"
    yield from _cautions_on_quality(options)
    if overfitted := [each for each in found if each.fine_tuning and each.fine_tuning.is_overfitted]:
        yield f"overfitted, the training rows learned by heart: {_names(overfitted)}"
    if doubtful := [each for each, own in zip(found, measured, strict=True) if any(record.taints for record in own)]:
        yield f"doubtful figures: {_names(doubtful)}"


def _cautions_on_quality(options: Sequence[Option]) -> Iterator[str]:
    """Where the qualities of options do not come from like answers and like judges."""
    untuned: list[Option] = []
    by_source: dict[str, list[Option]] = {}
    for option in options:
        if option.quality is not None:
            by_source.setdefault(option.quality.source, []).append(option)
            untuned += [] if option.quality.is_tuned else [option]
    if untuned:
        whose = "every option" if len(untuned) == len(options) else _names(untuned)
        yield f"quality of {whose} is that of the untuned model's answers"
    if len(by_source) > 1:
        told = "; ".join(f"{source}: {_names(own)}" for source, own in by_source.items())
        yield f"quality was judged by different judges, who need not mean the same: {told}"


def _is_level(option: Option, choice: Option) -> bool:
    return option.candidate != choice.candidate and option.total is not None and option.total == choice.total


def _names(options: Iterable[Option | Contender]) -> str:
    ranks: dict[str, list[str]] = {}
    for each in options:
        ranks.setdefault(each.candidate.name, []).append(f"r{each.lora_rank}")
    return ", ".join(f"{name} {'/'.join(own)}" for name, own in ranks.items())


def _in_words(criterion: str) -> str:
    """A criterion's name as a sentence has it."""
    return {
        "leaderboard": "the leaderboard average",
        "fine_tuning_seconds": "the time of fine-tuning",
        "fine_tuning_memory": "the memory of fine-tuning",
        "inference_seconds": "the time of answering",
        "inference_memory": "the memory of answering",
    }.get(criterion, criterion)
