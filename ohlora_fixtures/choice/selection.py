"""The final choice and its reserve: who judges the answers, hard conditions, and a weighted ranking of the rest."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Self

from ..base.errors import InputError
from ..base.files import exists
from ..base.installation import REFERENCE
from ..base.messages import Message, message, told_by
from ..inputs.cases import Case, answering_case
from ..inputs.judge_settings import JudgeSettings
from ..quality.grades import GRADES_FILE, Grades, published_grades, read_grades
from ..quality.grading import COMPUTED, JUDGE, PERSON, PUBLISHED, Judged, Pair, Quality, agreement, grade_of
from ..quality.judge import judge_answers
from ..results.answers import FOLDER, Answers
from ..results.comparison import Comparison
from ..results.record import Record
from . import caveats, guidance
from .contenders import BASES, Contender, Exclusion, Option, contenders, figure, limit_mib, shared_basis
from .sensitivity import LARGEST_WEIGHT, Shift, front, shifts, total

CRITERIA = ("quality", *BASES)
"""What is weighed, the five things of the study with time and memory told apart by workload."""

DEFAULT_WEIGHTS: Mapping[str, float] = {name: 5.0 if name == "quality" else 1.0 for name in CRITERIA}
"""How good the answers are weighs as much as all else together."""


@dataclass(frozen=True)
class Selection:
    """The choice, and what it rests on."""

    choice: Option | None
    """The final choice; None if there is nothing to recommend."""
    reserve: Option | None
    """The best option of another candidate; None if there is none."""
    ranking: tuple[Option, ...]
    """Every option that meets the hard conditions and is compared, best first."""
    possible: tuple[Option, ...]
    """Every other that meets them: its answers are not judged, so it is not compared."""
    excluded: tuple[Exclusion, ...]
    """What does not meet them."""
    weights: Mapping[str, float]
    front: tuple[Option, ...]
    """The Pareto front of quality against fine-tuning memory and time, among options of which all three are known."""
    shifts: tuple[Shift, ...]
    """What would change the choice; a criterion that is not named cannot, whatever its weight, up to 1000."""
    bases: Mapping[str, str]
    """By criterion, which figure it is read from, such as `peak_device_mib` or `planned peak_device_mib`."""
    doubts: tuple[Message, ...]
    """What must be known before the choice itself: who judged how many answers, and whether tuning made them worse."""
    unknown: tuple[Message, ...]
    """What the choice could not know."""
    cautions: tuple[Message, ...]
    """What speaks against an option and does not exclude it, such as overfitting."""
    agreement: tuple[Message, ...]
    """Where a person, a judge and the computed score agree or not."""
    any_license: bool
    """Whether licences that bind were no obstacle."""
    obstacle: Message | None = None
    """Why there is no choice; None if there is one."""
    elsewhere: Message | None = None
    """Without a choice: what others have published of what remains possible, with its source."""
    steps: tuple[Message, ...] = ()
    """Without a choice: what to type next."""
    judged_besides: tuple[Option, ...] = ()
    """What is excluded, as far as the source that judges the options has judged it, too."""


Qualities = Mapping[Case, Sequence[Quality]]
"""What is known of how good answers are, by the case whose model gave them."""

_SOURCES = (PERSON, JUDGE, PUBLISHED, COMPUTED)
"""The first one outranks the others, if it has judged as many candidates."""


@dataclass(frozen=True)
class Choosing:
    """How a choice is made."""

    weights: Mapping[str, float]
    any_license: bool
    """Whether licences that bind are no obstacle."""
    grades: Grades | None = None
    """A person's grades; None for those that the results folder holds."""
    judge: JudgeSettings | None = None
    published: bool = False
    """Whether the study's published grades count."""

    @property
    def in_turn(self) -> tuple[Self, ...]:
        """What to choose by, one after the other: with a judge, first what is known without asking anybody.

        Files are written after each, so that whatever a judge does, or somebody who is tired of waiting for it, there
        is a table of all that was measured.
        """
        return (self,) if self.judge is None else (replace(self, judge=None), self)

    def choose(self, comparison: Comparison, answers: Answers, folder: Path) -> Selection:
        """Choose; a judge, if there is one, keeps its verdicts in the results folder."""
        measured = {record.case: record for record in comparison.measured}
        # nobody needs to judge the answers of random weights
        answers = {case: given for case, given in answers.items() if _is_trained(measured.get(case))}
        cases = {case for row in comparison.rows for case in row.cells}
        told: list[Message] = []
        sources = []
        is_study = folder.resolve() == REFERENCE.resolve()
        try:
            written = [path for path in (folder / FOLDER, folder / GRADES_FILE) if exists(path) and not is_study]
            grades = self.grades or read_grades(written, may_be_none=True)
            sources.append(grades.of(answers, cases))
        except InputError as error:
            told.append(message("agreement.mistake", mistake=told_by(error), folder=folder))
        if self.judge is not None:
            sources.append(judge_answers(self.judge, folder, answers))
        published = published_grades().of(answers, cases)
        if self.published or is_study:
            sources.append(published)
        judged = [case for source in sources for case in (*source.points, *source.wholes)]
        qualities = {case: list(_qualities(case, measured.get(case), sources)) for case in (*measured, *judged)}
        told += [note for source in sources for note in source.notes]
        told += filter(None, (_agreement(source, measured) for source in sources))
        found = select(comparison, qualities, self.weights, any_license=self.any_license, agreement=tuple(told))
        if found.choice is not None:
            return found
        return replace(
            found,
            elsewhere=guidance.elsewhere(found.possible, published.wholes),
            steps=tuple(
                guidance.steps(found.possible, found.excluded, published.wholes, folder, has_answers=bool(answers))
            ),
        )


def parse_weights(text: str) -> dict[str, float]:
    """Read `quality=5 leaderboard=1`; what is not named keeps its default weight, and 0 leaves a criterion out.

    Raises InputError for anything else.
    """
    weights = dict(DEFAULT_WEIGHTS)
    named = set()
    for part in text.replace(",", " ").split():
        name, _, figure = part.partition("=")
        try:
            weight = float(figure)
        except ValueError:
            weight = math.nan
        if name not in weights or not 0 <= weight <= LARGEST_WEIGHT:
            raise InputError(
                f"choice weight {part!r} is not NAME=WEIGHT, with a weight from 0 to {LARGEST_WEIGHT:.0f} and one of "
                f"the names {', '.join(CRITERIA)}"
            )
        if name in named:
            raise InputError(f"choice weight {name!r} is given more than once: leave one of them")
        named.add(name)
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
    agreement: tuple[Message, ...] = (),
) -> Selection:
    """Choose among a comparison's candidates and variants, as far as they were measured or planned at full size.

    Scores are absolute, so that none depends on which others there are, but for time: quality and leaderboard as shares
    of 100, memory as the share that stays free of the (largest) limit, time as the fastest option's share of it. What
    is not known of an option counts as the mean of what is known of the others, so that it neither helps nor harms.
    Only options whose answers one and the same source has judged are compared.
    """
    found, excluded = contenders(comparison, any_license=any_license)
    source = _shared_source(found, qualities)
    judged = [each for each in found if source and _quality(qualities, each, source)]
    obstacle = _obstacle(found, judged, excluded)
    compared = [] if obstacle else judged
    names = {(each.candidate.name, each.variant) for each in compared}
    rest = [each for each in found if (each.candidate.name, each.variant) not in names]
    bases = {name: shared_basis(name, compared or found) for name in BASES} if found else {}
    # a tie goes by the candidate's name, and then by the order of the variants
    options = _options(compared, bases, qualities, weights, source)
    ranked = sorted(options, key=lambda each: (-(each.total or 0.0), each.candidate.name))
    possible = [replace(each, total=None) for each in _options(rest, bases, qualities, weights, source)]
    led = [option for option in ranked if option.total is not None]
    others = [option for option in led if option.candidate != led[0].candidate]
    outranking = _SOURCES[: _SOURCES.index(source or PERSON)]
    overlooked = {each: own for each in outranking if (own := _judged_by(each, compared, qualities))}
    doubts = caveats.doubts(ranked, possible if compared else (), overlooked)
    options_of = {(each.candidate.name, each.variant) for each in found}
    shut_out = [
        Contender(row.candidate, variant, row.cell(variant), row.cell(None))
        for row in comparison.rows
        for variant in comparison.variants
        if (row.candidate.name, variant) not in options_of
    ]
    return Selection(
        choice=led[0] if led else None,
        reserve=others[0] if others else None,
        ranking=tuple(ranked),
        possible=tuple(sorted(possible, key=lambda each: each.candidate.name)),
        excluded=tuple(excluded),
        weights=dict(weights),
        front=tuple(_front(ranked)),
        shifts=tuple(shifts(led, others, weights)),
        bases=bases,
        doubts=tuple(doubts),
        unknown=tuple(caveats.unknown(ranked, found, weights)),
        cautions=tuple(caveats.cautions(ranked, found, set(bases.values()))),
        agreement=agreement,
        any_license=any_license,
        obstacle=obstacle or (None if led else message("no_choice.no_weight")),
        judged_besides=tuple(_judged_by(source, shut_out, qualities)) if compared and source else (),
    )


def _obstacle(found: Sequence[Contender], judged: Sequence[Contender], excluded: Sequence[Exclusion]) -> Message | None:
    """Why nothing can be recommended; None if something can."""
    if not found:
        return message("no_choice.excluded" if excluded else "no_choice.nothing")
    names = sorted({each.candidate.name for each in judged})
    if not names:
        return message("no_choice.not_judged")
    if len(names) == 1 and any(each.candidate.name not in names for each in found):
        return message("no_choice.one_judged", candidate=names[0])
    return None


def _shared_source(found: Sequence[Contender], qualities: Qualities) -> str | None:
    """The source of judgement that has judged the most candidates, of several the one that outranks the others."""

    def reach(source: str) -> int:
        return len({each.candidate.name for each in found if _quality(qualities, each, source)})

    best = max(_SOURCES, key=reach)
    return best if reach(best) else None


def _is_trained(record: Record | None) -> bool:
    return record is not None and (record.environment.weights, record.environment.scale) == ("hub", "full")


def _qualities(case: Case, record: Record | None, sources: Iterable[Judged]) -> Iterator[Quality]:
    for source in sources:
        if (quality := source.quality(case)) is not None:
            yield quality
    if record is not None and (score := record.quality.score) is not None and _is_trained(record):
        about = {"is_tuned": case.variant is not None, "is_matched": "matched" in (record.quality.parts or {})}
        yield Quality(score, record.quality.interval, grade_of(score), COMPUTED, **about)


def _agreement(source: Judged, measured: Mapping[Case, Record]) -> Message | None:
    """Whether a source and the computed score rank alike: the answers, or where it judged none, the candidates."""
    by_answer: dict[str, list[Pair]] = {}
    by_candidate: dict[str, list[Pair]] = {}
    for case, record in measured.items():
        points, each = source.points.get(case, ()), record.quality.each or ()
        by_answer.setdefault(case.candidate, []).extend(
            (point, computed) for point, computed in zip(points, each, strict=False) if point is not None
        )
        quality = source.quality(case)
        if quality is not None and record.quality.score is not None:
            by_candidate.setdefault(case.candidate, []).append((quality.score, record.quality.score))
    both = message(f"by.{source.source}"), message(f"by.{COMPUTED}")
    return agreement(*both, message("judged.answers"), by_answer) or agreement(
        *both, message("judged.candidates"), by_candidate
    )


def _quality(qualities: Qualities, contender: Contender, source: str, *, untuned: bool = False) -> Quality | None:
    """What a source says of the tuned model's answers, or if it has not judged them, of the untuned one's."""
    name = contender.candidate.name
    variants = (None,) if untuned else (contender.variant, None)
    known = [each for variant in variants for each in qualities.get(answering_case(name, variant), ())]
    return next((each for each in known if each.source == source), None)


def _judged_by(source: str, found: Sequence[Contender], qualities: Qualities) -> list[Option]:
    """What a source has judged, with its judgement."""
    judged = [(each, _quality(qualities, each, source)) for each in found]
    return [Option(each.candidate, each.variant, {}, {}, None, quality) for each, quality in judged if quality]


def _options(
    found: Sequence[Contender],
    bases: Mapping[str, str],
    qualities: Qualities,
    weights: Mapping[str, float],
    source: str | None,
) -> Iterator[Option]:
    judged = [_quality(qualities, each, source) if source else None for each in found]
    figures = {"quality": [None if quality is None else quality.score for quality in judged]}
    figures |= {name: [figure(each, name, basis) for each in found] for name, basis in bases.items()}
    most_mib = limit_mib(found)
    scores = {name: list(_scores(name, own, most_mib)) for name, own in figures.items()}
    for at, each in enumerate(found):
        own_figures, own_scores = ({name: values[at] for name, values in by.items()} for by in (figures, scores))
        known, quality = total(own_scores, weights), judged[at]
        untuned = _quality(qualities, each, quality.source, untuned=True) if quality and quality.is_tuned else None
        yield Option(each.candidate, each.variant, own_figures, own_scores, known, quality, untuned)


def _scores(criterion: str, figures: Sequence[float | None], limit_mib: float) -> Iterator[float | None]:
    """Each option's score; the mean of the others' where its figure is not known."""
    known = [figure for figure in figures if figure is not None]
    fastest = min((figure for figure in known if figure > 0), default=0.0)

    def score(figure: float) -> float:
        if criterion.endswith("_seconds"):
            share = fastest / figure if figure else 1.0
        elif criterion.endswith("_memory"):
            share = 1 - figure / limit_mib
        else:
            share = figure / 100
        return min(max(share, 0.0), 1.0)

    usual = fmean(map(score, known)) if known else None
    return (usual if figure is None else score(figure) for figure in figures)


def _front(options: Sequence[Option]) -> list[Option]:
    points, known = [], []
    for option in options:
        names = ("quality", "fine_tuning_memory", "fine_tuning_seconds")
        quality, memory, seconds = (option.figures[name] for name in names)
        if quality is not None and memory is not None and seconds is not None:
            points.append((-quality, memory, seconds))
            known.append(option)
    return [known[at] for at in front(points)]
