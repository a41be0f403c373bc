"""What somebody says of the answers, a person or a judge, and how good it makes a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .bootstrap import interval
from .grading_scale import grade_of
from .selection import Quality

PERSON, JUDGE = "person", "judge"

Subject = tuple[str, int | None]
"""Whose answers: a candidate's name and its LoRA rank, None for the untuned model."""


@dataclass(frozen=True)
class Judged:
    """One source's judgement of a comparison's answers."""

    source: str
    """`person` or `judge`."""
    points: Mapping[Subject, tuple[float | None, ...]]
    """Of each answer, in the order in which they were given, 0 to 100; None for one that is not judged."""
    wholes: Mapping[Subject, float] = field(default_factory=dict)
    """Of candidates judged as a whole, 0 to 100."""
    notes: tuple[str, ...] = ()
    """What to know of it, a sentence each."""

    def quality(self, candidate: str, lora_rank: int | None) -> Quality | None:
        """How good a candidate is by its judged answers, or if none is, as a whole; None if it is not judged."""
        subject = candidate, lora_rank
        points = [each for each in self.points.get(subject, ()) if each is not None]
        if not points and subject in self.wholes:
            points = [self.wholes[subject]]
        return quality_of(points, self.source, is_tuned=lora_rank is not None) if points else None


def quality_of(points: Sequence[float], source: str, *, is_tuned: bool) -> Quality:
    """The mean of at least one judgement, each 0 to 100, with its interval over the answers."""
    score = fmean(points)
    return Quality(
        score=score,
        interval=interval(fmean, points) if len(points) > 1 else None,
        grade=grade_of(score),
        source=source,
        is_tuned=is_tuned,
    )
