"""A person's grades: read from filled-in answers files, and held against the answers they were given for."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..base.csv_files import KnownTexts, unchanged
from ..base.errors import InputError
from ..base.files import is_folder
from ..base.installation import REFERENCE
from ..base.messages import Message, message
from ..inputs.cases import Case
from ..results.answers import Answers, GivenAnswer, read_answers
from .grading import PERSON, PUBLISHED, Judged, grade_from, points_of

GRADES_FILE = "grades.csv"
"""In a results folder: grades of candidates as a whole, or of answers of which there are no files."""

_MOST_SHOWN = 60


@dataclass(frozen=True)
class Grade:
    """One grade."""

    path: Path
    case: Case
    prompt: str
    """The prompt of the graded answer, as the file has it; empty for the candidate as a whole."""
    answer: str | None
    """The graded answer, as the file has it; None for whatever the candidate answers to the prompt."""
    grade: str
    """One of 최상, 상, 중, 하, 최하."""

    @property
    def of_what(self) -> Message:
        """What is graded."""
        candidate, variant = self.case.candidate, self.case.variant
        whose = candidate if variant is None else message("graded.in_variant", candidate=candidate, variant=variant)
        if not self.prompt:
            return message("graded.whole", graded=whose)
        return message("graded.answer", graded=whose, prompt=repr(self.prompt[:_MOST_SHOWN]))


@dataclass(frozen=True)
class Grades:
    """A person's grades, no two of which contradict each other."""

    grades: tuple[Grade, ...]
    """In the order of their files."""
    source: str = PERSON
    """Who gave them: `person`, or `published`."""

    def check(self, candidates: Collection[str], prompts: Iterable[str]) -> None:
        """Raises InputError for the first grade of another candidate, or of an answer to another prompt, than these."""
        known = KnownTexts(prompts)
        for each in self.grades:
            candidate = each.case.candidate
            if candidate not in candidates:
                raise InputError(
                    f"grades file {each.path} has a grade for the candidate {candidate!r}, which is unknown here: "
                    "correct its name, or remove its lines"
                )
            if each.prompt and known.find(each.prompt) is None:
                raise InputError(
                    f"grades file {each.path} has a grade for an answer to {each.prompt[:_MOST_SHOWN]!r}, which is not "
                    "a prompt here: give the grades of answers to the same dataset, or remove that line"
                )

    def of(self, answers: Answers, cases: Collection[Case]) -> Judged:
        """What the grades say of these answers, and of models that are fine-tuned in one of these `cases`.

        A grade counts for the very answer that stands beside it, and one without an answer for whatever was answered,
        unless that answer has a grade of its own. Grades that do not count are told in the notes.
        """
        by_case: dict[Case, list[Grade]] = defaultdict(list)
        for each in self.grades:
            by_case[each.case].append(each)
        counting: set[Grade] = set()
        points: dict[Case, tuple[float | None, ...]] = {}
        for case, given in answers.items():
            fitting = list(_fitting(by_case[case], given))
            points[case] = tuple(points_of(found[0].grade) if found else None for found in fitting)
            counting.update(*fitting)
        wholes = {each.case: points_of(each.grade) for each in self.grades if not each.prompt}
        others = Counter(each.path for each in self.grades if each.prompt and each not in counting)
        overruled = sum(any(each is not None for each in points.get(case, ())) for case in wholes)
        notes = [
            message("agreement.other_answer" if count == 1 else "agreement.other_answers", path=path, count=count)
            for path, count in others.items()
        ]
        strange = Counter(
            each.path for each in self.grades if not each.prompt and each.case.variant and each.case not in cases
        )
        notes += [
            message("agreement.other_variant" if count == 1 else "agreement.other_variants", path=path, count=count)
            for path, count in strange.items()
        ]
        if overruled:
            notes.append(message("agreement.overruled", count=overruled))
        return Judged(self.source, points, wholes, tuple(notes))


def read_grades(paths: Sequence[Path], *, may_be_none: bool = False) -> Grades:
    """Read filled-in answers files, or folders of them; a row without a grade is none.

    Raises InputError, in one sentence, for a file that cannot be read, a grade that is none, two that contradict each
    other, and, unless there may be none, where there is no grade at all.
    """
    found: dict[tuple[Case, str, str | None], Grade] = {}
    for each in (grade for path in paths for file in _files(path) for grade in _read(file)):
        key = each.case, unchanged(each.prompt), None if each.answer is None else unchanged(each.answer)
        earlier = found.setdefault(key, each)
        if earlier.grade != each.grade:
            places = {"grade1": earlier.grade, "path1": earlier.path, "grade2": each.grade, "path2": each.path}
            raise InputError(message("mistake.contradiction", graded=each.of_what, **places))
    if not found and not may_be_none:
        raise InputError(f"{', '.join(map(str, paths))} has no grade: fill in the column 'grade'")
    return Grades(tuple(found.values()))


def asked_grades(paths: Iterable[Path]) -> tuple[Grades | None, bool]:
    """What `--grades` asks for: a person's grades, None without any, and whether the published ones count, too.

    Raises InputError as `read_grades`.
    """
    files = list(paths)
    own = [path for path in files if path.name != PUBLISHED or path.exists()]
    return read_grades(own) if own else None, len(own) < len(files)


def published_grades() -> Grades:
    """The study's, of untuned answers, April 2025."""
    return replace(read_grades([REFERENCE / GRADES_FILE]), source=PUBLISHED)


def _files(path: Path) -> list[Path]:
    if not is_folder(path):
        return [path]
    files = sorted(each for each in path.glob("*.csv") if not each.name.startswith("."))  # macOS leaves such beside
    if not files:
        raise InputError(message("mistake.no_csv", path=path))
    return files


def _read(path: Path) -> Iterator[Grade]:
    for case, answers in read_answers(path).items():
        for given in answers:
            if not given.grade:
                continue
            is_whatever = not given.answer.strip() and given.tokens is None  # with tokens, nothing was answered
            answer = None if is_whatever or not given.prompt.strip() else given.answer
            each = Grade(path, case, given.prompt.strip(), answer, grade_from(given.grade) or "")
            if not each.grade:
                shown = repr(given.grade[:_MOST_SHOWN])
                raise InputError(message("mistake.no_grade", path=path, grade=shown, graded=each.of_what))
            yield each


def _fitting(grades: Iterable[Grade], answers: Sequence[GivenAnswer]) -> Iterator[list[Grade]]:
    """For each answer the grades that count for it, the one for that very answer first."""
    known = KnownTexts(given.prompt for given in answers)
    by_prompt: dict[str | None, list[Grade]] = defaultdict(list)
    for each in grades:
        by_prompt[known.find(each.prompt) if each.prompt else None].append(each)
    for given in answers:
        this = KnownTexts([given.answer])
        asked = by_prompt[unchanged(given.prompt)]
        found = [each for each in asked if each.answer is None or this.find(each.answer) is not None]
        yield sorted(found, key=lambda each: each.answer is None)
