"""The final choice and its reserve: hard conditions first, then a weighted ranking that shows how firm it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .candidates import Candidate
from .comparison import Comparison
from .contenders import BASES, Contender, contenders, shared_basis
from .errors import InputError
from .sensitivity import front, total, turns

COMPUTED = "computed"

CRITERIA = (
    "quality",
    "leaderboard",
    "fine_tuning_seconds",
    "fine_tuning_memory",
    "inference_seconds",
    "inference_memory",
)
"""What is weighed, the five things of the study with time and memory told apart by workload."""

DEFAULT_WEIGHTS: Mapping[str, float] = {name: 5.0 if name == "quality" else 1.0 for name in CRITERIA}
"""How good the answers are weighs as much as all else together."""


@dataclass(frozen=True)
class Quality:
    """How good answers are, and who says so."""

    score: float
    """0 to 100."""
    interval: tuple[float, float] | None
    """95 % interval of the score over the prompts; None where there is one judgement alone."""
    grade: str
    """One of 최상, 상, 중, 하, 최하: the score's fifth."""
    source: str
    """`person`, `judge` or `computed`."""
    is_tuned: bool
    """Whether they are the fine-tuned model's answers."""


@dataclass(frozen=True)
class Option:
    """A candidate at one LoRA rank."""

    candidate: Candidate
    """Which candidate."""
    lora_rank: int
    """Which rank."""
    figures: Mapping[str, float | None]
    """By criterion, its figure: quality 0 to 100, leaderboard percent, seconds, MiB; None if not known."""
    scores: Mapping[str, float | None]
    """By criterion, 0 (worst) to 1 (best); None if not known."""
    total: float | None
    """Weighted mean of the known scores, 0 to 100; None if none is known."""
    quality: Quality | None
    """The quality in `figures`."""


@dataclass(frozen=True)
class Exclusion:
    """What is no option, and why."""

    candidate: str
    """Which candidate."""
    lora_rank: int | None
    """At which rank; None for every rank."""
    reason: str
    """In one phrase."""


@dataclass(frozen=True)
class Shift:
    """How far one weight can move, all others as they are, before another candidate is chosen."""

    criterion: str
    """Whose weight."""
    weight: float
    """What it is."""
    turns_at: float
    """Where the choice changes."""
    becomes: Option
    """What is chosen from there on."""


@dataclass(frozen=True)
class Selection:
    """The choice, and what it rests on."""

    choice: Option | None
    """The final choice; None if nothing is left to choose from."""
    reserve: Option | None
    """The best option of another candidate; None if there is none."""
    ranking: tuple[Option, ...]
    """Every option that meets the hard conditions, best first."""
    excluded: tuple[Exclusion, ...]
    """What does not meet them."""
    weights: Mapping[str, float]
    """By criterion."""
    front: tuple[Option, ...]
    """The Pareto front of quality against fine-tuning memory and time; empty without quality."""
    shifts: tuple[Shift, ...]
    """What would change the choice; a criterion that is not named cannot, whatever its weight."""
    bases: Mapping[str, str]
    """By criterion, which figure it is read from, such as `peak_device_mib` or `planned peak_device_mib`."""
    unknown: tuple[str, ...]
    """What the choice could not know, a sentence each."""
    cautions: tuple[str, ...]
    """What speaks against an option and does not exclude it, such as overfitting, a sentence each."""
    agreement: tuple[str, ...]
    """Where a person, a judge and the computed score agree or not, a sentence each."""
    any_license: bool
    """Whether licences that bind were no obstacle."""

    @property
    def is_provisional(self) -> bool:
        """Whether the choice was made without knowing how good its answers are."""
        return self.choice is not None and self.choice.quality is None


Qualities = Mapping[tuple[str, int | None], Sequence[Quality]]
"""What is known of how good answers are, by candidate and rank (None for the untuned model)."""

_SOURCES = ("person", "judge", COMPUTED)
"""The first one outranks the others."""


def parse_weights(text: str) -> dict[str, float]:
    """Read `quality=5 leaderboard=1`; what is not named keeps its default weight, and 0 leaves a criterion out.

    Raises InputError for anything else.
    """
    weights = dict(DEFAULT_WEIGHTS)
    for part in text.replace(",", " ").split():
        name, _, figure = part.partition("=")
        try:
            weight = float(figure)
        except ValueError:
            weight = math.nan
        if name not in weights or not 0 <= weight < math.inf:
            raise InputError(
                f"choice weight {part!r} is not NAME=WEIGHT, with a weight of at least 0 and one of the names "
                f"{', '.join(CRITERIA)}"
            )
        weights[name] = weight
    if not any(weights.values()):
        raise InputError("choice weights are all 0: give at least one criterion a weight above 0")
    return weights


def select(
    comparison: Comparison,
    qualities: Qualities,
    weights: Mapping[str, float],
    *,
    any_license: bool,
    agreement: tuple[str, ...] = (),
) -> Selection:
    """Choose among a comparison's candidates and ranks, as far as they were measured or planned at full size.

    Scores are absolute, so that none depends on which others there are, but for time: quality and leaderboard as shares
    of 100, memory as the share of the budget that stays free, time as the fastest option's share of it.
    """
    found: list[Contender] = []
    excluded: list[Exclusion] = []
    for each in contenders(comparison, any_license=any_license):
        if isinstance(each, Contender):
            found.append(each)
        else:
            excluded.append(Exclusion(*each))
    bases = {name: shared_basis(name, found) for name in BASES} if found else {}
    options = []
    for each in found:
        quality = _best_known(qualities, each)
        figures = {name: basis.read(each) for name, basis in bases.items()}
        options.append(_Figures(each, quality, {"quality": quality.score if quality else None} | figures))
    ranked = sorted(_scored(options, weights), key=lambda each: -1 if each.total is None else each.total, reverse=True)
    led = [option for option in ranked if option.total is not None]
    others = [option for option in led if option.candidate != led[0].candidate]
    return Selection(
        choice=led[0] if led else None,
        reserve=others[0] if others else None,
        ranking=tuple(ranked),
        excluded=tuple(excluded),
        weights=dict(weights),
        front=tuple(_front(ranked)),
        shifts=tuple(_shifts(led, weights)),
        bases={name: basis.name for name, basis in bases.items()},
        unknown=tuple(_unknown(ranked, found)),
        cautions=tuple(_cautions(ranked, found, {name: basis.name for name, basis in bases.items()})),
        agreement=agreement,
        any_license=any_license,
    )


@dataclass(frozen=True)
class _Figures:
    contender: Contender
    quality: Quality | None
    figures: dict[str, float | None]


def _best_known(qualities: Qualities, contender: Contender) -> Quality | None:
    """A person's grades before a judge's before the computed score; then the tuned model's before the untuned one's."""
    name = contender.candidate.name
    known = [*qualities.get((name, contender.lora_rank), ()), *qualities.get((name, None), ())]
    return min(known, key=lambda each: (_SOURCES.index(each.source), not each.is_tuned), default=None)


def _scored(options: Sequence[_Figures], weights: Mapping[str, float]) -> Iterator[Option]:
    for each in options:
        scores = {name: _score(name, each, options) for name in CRITERIA}
        contender = each.contender
        known = total(scores, weights)
        yield Option(contender.candidate, contender.lora_rank, each.figures, scores, known, each.quality)


def _score(criterion: str, option: _Figures, options: Iterable[_Figures]) -> float | None:
    figure = option.figures[criterion]
    if figure is None:
        return None
    if criterion.endswith("_seconds"):
        return min(filter(None, (each.figures[criterion] for each in options)), default=0.0) / figure if figure else 1.0
    if criterion.endswith("_memory"):
        return max(0.0, 1 - figure / option.contender.records[0].budget_mib)
    return min(1.0, figure / 100)


def _front(options: Sequence[Option]) -> list[Option]:
    points, known = [], []
    for option in options:
        quality, *costs = (option.figures[name] for name in ("quality", "fine_tuning_memory", "fine_tuning_seconds"))
        if quality is not None and None not in costs:
            points.append((-quality, *(cost for cost in costs if cost is not None)))
            known.append(option)
    return [known[at] for at in front(points)]


def _shifts(led: Sequence[Option], weights: Mapping[str, float]) -> Iterator[Shift]:
    """By criterion, the nearest weight below and the nearest above at which another candidate takes the lead."""
    others = [option for option in led if option.candidate != led[0].candidate]
    own = [option for option in led if option.candidate == led[0].candidate]
    for name in CRITERIA if others else ():
        level = {at for one in own for other in others for at in turns(one.scores, other.scores, weights, name)}
        below = sorted((at for at in level if at < weights[name]), reverse=True)
        above = sorted(at for at in level if at > weights[name])
        for ends in ([*below, 0.0], [*above, math.inf]):
            for at, beyond in pairwise(ends):
                inside = at + 1 if beyond == math.inf else (at + beyond) / 2
                leader = _leader(led, {**weights, name: inside})
                if leader.candidate != led[0].candidate:
                    yield Shift(name, weights[name], at, leader)
                    break


def _leader(options: Sequence[Option], weights: Mapping[str, float]) -> Option:
    def place(option: Option) -> float:
        value = total(option.scores, weights)
        return -1 if value is None else value

    return max(options, key=place)


def _unknown(options: Sequence[Option], found: Sequence[Contender]) -> Iterator[str]:
    """What is not known of any option, and what of some."""
    if not options:
        return
    lacking = {name: [option for option in options if option.figures[name] is None] for name in CRITERIA}
    if of_any := [in_words(name) for name, those in lacking.items() if len(those) == len(options)]:
        yield f"not known of any option, so that the choice is made without it: {', '.join(of_any)}"
    for name, those in lacking.items():
        if 0 < len(those) < len(options):
            yield f"{in_words(name)} is not known of {_names(those)}: the total is that of what is known"
    if reasons := {record.not_judged for each in found for record in each.records if record.not_judged}:
        yield f"answers were not judged: {'; '.join(sorted(reasons))}"
    if unjudged := [each for each in found if not each.is_judged_by_budget]:
        whose = "any option" if len(unjudged) == len(found) else _names(unjudged)
        yield f"whether it keeps to the budget is not known of {whose}: no peak was measured or planned"


def _cautions(options: Sequence[Option], found: Sequence[Contender], bases: Mapping[str, str]) -> Iterator[str]:
    if "allocated_after_mib" in bases.values():
        yield "memory is what was allocated after the run, not the peak: a card needs more"
    if any(each.startswith("planned") for each in bases.values()):
        yield "memory is the plan's, not a measurement's"
    judged = [option for option in options if option.quality]
    states = {option.quality.is_tuned for option in judged if option.quality}
    if untuned := [option for option in judged if option.quality and not option.quality.is_tuned]:
        whose = "every option" if len(states) == 1 else _names(untuned)
        yield f"quality of {whose} is that of the untuned model's answers"
    for what, fact in (
        ("overfitted, the training rows learned by heart", "is_overfitted"),
        ("doubtful figures", "taints"),
    ):
        named = [each for each in found if each.fine_tuning and getattr(each.fine_tuning, fact)]
        if named:
            yield f"{what}: {_names(named)}"


def _names(options: Iterable[Option | Contender]) -> str:
    ranks: dict[str, list[str]] = {}
    for each in options:
        ranks.setdefault(each.candidate.name, []).append(f"r{each.lora_rank}")
    return ", ".join(f"{name} {'/'.join(own)}" for name, own in ranks.items())


def in_words(criterion: str) -> str:
    """A criterion's name as a sentence has it."""
    return {
        "leaderboard": "the leaderboard average",
        "fine_tuning_seconds": "the time of fine-tuning",
        "fine_tuning_memory": "the memory of fine-tuning",
        "inference_seconds": "the time of answering",
        "inference_memory": "the memory of answering",
    }.get(criterion, criterion)
