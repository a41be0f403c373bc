"""From a comparison to its choice: who judges the answers, what they say, and what is chosen on it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import InputError
from ..base.messages import Message, message, told_by
from ..inputs.cases import Case
from ..inputs.judge_settings import JudgeSettings
from ..quality.grades import Grades, read_grades
from ..quality.grading import COMPUTED, Judged, Pair, Quality, agreement, grade_of
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
    any_license: bool
    """Whether licences that bind are no obstacle."""
    grades: Grades | None = None
    """A person's grades; None for those that the results folder holds."""
    judge: JudgeSettings | None = None

    def choose(self, comparison: Comparison, answers: Answers, folder: Path) -> Selection:
        """Choose; a judge, if there is one, keeps its verdicts in the results folder."""
        measured = {record.case: record for record in comparison.measured}
        # nobody needs to judge the answers of random weights
        answers = {case: given for case, given in answers.items() if _is_trained(measured.get(case))}
        told: list[Message] = []
        sources = []
        try:
            written = [path for path in (folder / FOLDER, folder / GRADES) if path.exists()]
            grades = self.grades or read_grades(written, may_be_none=True)
            sources.append(grades.of(answers))
        except InputError as error:
            told.append(message("agreement.mistake", mistake=told_by(error), folder=folder))
        if self.judge is not None:
            sources.append(judge_answers(self.judge, folder, answers))
        judged = [case for source in sources for case in (*source.points, *source.wholes)]
        qualities = {case: list(_qualities(case, measured.get(case), sources)) for case in (*measured, *judged)}
        told += [note for source in sources for note in source.notes]
        told += filter(None, (_agreement(source, measured) for source in sources))
        return select(comparison, qualities, self.weights, any_license=self.any_license, agreement=tuple(told))


def _is_trained(record: Record | None) -> bool:
    return record is not None and (record.environment.weights, record.environment.scale) == ("hub", "full")


def _qualities(case: Case, record: Record | None, sources: Iterable[Judged]) -> Iterator[Quality]:
    for source in sources:
        if (quality := source.quality(case)) is not None:
            yield quality
    if record is not None and record.quality.score is not None and _is_trained(record):
        score = record.quality.score
        yield Quality(score, record.quality.interval, grade_of(score), COMPUTED, case.variant is not None)


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
