"""Where nothing can be recommended: what is known from elsewhere, and what to type next."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..base.messages import Message, message
from ..inputs.cases import Case, answering_case
from ..quality.grading import grade_of
from .contenders import Exclusion, Option


def elsewhere(possible: Sequence[Option], published: Mapping[Case, float]) -> Message | None:
    """Leaderboard averages and published grades of candidates that remain possible; None without any."""
    facts, boards, is_graded = [], dict[str, None](), False
    for candidate in dict.fromkeys(option.candidate for option in possible):
        points, average = published.get(answering_case(candidate.name, None)), candidate.leaderboard_average
        said = [*([f"{average:.2f}"] if average is not None else []), *([grade_of(points)] if points else [])]
        if said:
            facts.append(f"{candidate.name} {' '.join(said)}")
        if average is not None:
            boards[candidate.leaderboard or "leaderboard"] = None
        is_graded |= points is not None
    sources = [message("elsewhere.average", board=", ".join(boards))] if boards else []
    sources += [message("elsewhere.grade")] if is_graded else []
    return message("elsewhere.facts", facts=facts, sources=sources) if facts else None


def steps(
    possible: Sequence[Option],
    excluded: Sequence[Exclusion],
    published: Mapping[Case, float],
    folder: Path,
    *,
    has_answers: bool,
) -> Iterator[Message]:
    """What to type next, the most telling first."""
    names = {option.candidate.name for option in possible}
    graded = {name for name in names if answering_case(name, None) in published}
    if has_answers and names:
        yield message("step.grade", folder=folder)
    elif names or not excluded:
        yield message("step.measure")
    if graded and (graded == names or len(graded) > 1):
        yield message("step.published", folder=folder)
    if not names and any(each.reason.key == "reason.licence" for each in excluded):
        yield message("step.any_license", folder=folder)
