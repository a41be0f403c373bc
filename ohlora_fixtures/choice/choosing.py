"""From a comparison to its choice: who judges the answers, what they say, and what is chosen on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import InputError
from ..base.messages import sentence
from ..inputs.judge_settings import JudgeSettings
from ..quality.agreement import Pair, agreement
from ..quality.grades import Grades, read_grades
from ..quality.grading import COMPUTED, Judged, Quality, Subject, grade_of
from ..quality.judge import judge_answers
from ..results.answers import FOLDER, Answers
from ..results.comparison import Comparison
from ..results.record import Record
from .selection import Selection, select

GRADES = "grades.csv"
"""In a results folder: grades of candidates as a whole, or of answers of which there are no files."""


@dataclass(frozen=True)
class Choosing:
    """How a choice is made."""

    weights: Mapping[str, float]
    """By criterion."""
    any_license: bool
    """Whether licences that bind are no obstacle."""
    grades: Grades | None = None
    """A person's grades; None for those that the results folder holds."""
    judge: JudgeSettings | None = None
    """A language model as judge."""

    def choose(self, comparison: Comparison, answers: Answers, folder: Path) -> Selection:
        """Choose; a judge, if there is one, keeps its verdicts in the results folder."""
        measured = {_subject(record): record for record in comparison.records if record.planned_workload is None}
        answers = _of_trained_models(answers, measured)
        told: list[str] = []
        sources = []
        try:
            sources.append((self.grades or _grades_in(folder)).of(answers))
        except InputError as error:
            told.append(sentence("agreement.mistake", mistake=error, folder=folder))
        if self.judge is not None:
            sources.append(judge_answers(self.judge, folder, answers))
        qualities = {subject: list(_qualities(subject, measured.get(subject), sources)) for subject in measured}
        for source in sources:
            for subject in {*source.points, *source.wholes} - set(measured):
                qualities[subject] = list(_qualities(subject, None, sources))
        told += [note for source in sources for note in source.notes]
        told += filter(None, (_agreement(source, measured) for source in sources))
        return select(comparison, qualities, self.weights, any_license=self.any_license, agreement=tuple(told))


def _grades_in(folder: Path) -> Grades:
    """What a person has written into a results folder: into its answers files, or a file of its own."""
    paths = [path for path in (folder / FOLDER, folder / GRADES) if path.exists()]
    return read_grades(paths, may_be_none=True)


def _subject(record: Record) -> Subject:
    return record.candidate, record.lora_rank


def _of_trained_models(answers: Answers, measured: Mapping[Subject, Record]) -> Answers:
    """Without those of random weights, which nobody needs to judge."""
    return {
        name: {rank: given for rank, given in by_rank.items() if _is_trained(measured.get((name, rank)))}
        for name, by_rank in answers.items()
    }


def _is_trained(record: Record | None) -> bool:
    return record is not None and record.weights == "hub" and record.scale == "full"


def _qualities(subject: Subject, record: Record | None, sources: Iterable[Judged]) -> Iterator[Quality]:
    for source in sources:
        quality = source.quality(*subject)
        if quality is not None:
            yield quality
    if record is not None and record.quality_score is not None and _is_trained(record):
        score, ends = record.quality_score, record.quality_interval
        interval = (ends[0], ends[1]) if ends is not None and len(ends) == 2 else None  # noqa: PLR2004 - two ends
        yield Quality(score, interval, grade_of(score), COMPUTED, record.lora_rank is not None)


def _agreement(source: Judged, measured: Mapping[Subject, Record]) -> str | None:
    """Whether a source and the computed score rank alike: the answers, or where it judged none, the candidates."""
    by_answer: dict[str, list[Pair]] = {}
    by_candidate: dict[str, list[Pair]] = {}
    for subject, record in measured.items():
        points, each = source.points.get(subject, ()), record.quality_each or ()
        by_answer.setdefault(record.candidate, []).extend(
            (point, computed) for point, computed in zip(points, each, strict=False) if point is not None
        )
        quality = source.quality(*subject)
        if quality is not None and record.quality_score is not None:
            by_candidate.setdefault(record.candidate, []).append((quality.score, record.quality_score))
    both = sentence(f"by.{source.source}"), sentence(f"by.{COMPUTED}")
    return agreement(*both, sentence("judged.answers"), by_answer) or agreement(
        *both, sentence("judged.candidates"), by_candidate
    )
