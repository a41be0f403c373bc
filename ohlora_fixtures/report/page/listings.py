"""The page's lists that go with no chart: every figure, the study's, how it was run, and the answers by prompt."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...inputs.candidates import Candidate
from ...inputs.cases import INFERENCE, Case
from ...results.answers import Answers, GivenAnswer
from ...results.comparison import Comparison
from ...results.record import Record
from .. import digits
from ..layout import figures, in_mib, words
from ..quantities import MEASURED, PLANNED
from ..table import in_language, verdict_of
from ..tables import Table, cases_of, figures_of, known_of, outcome, subjects
from ..words import Say


def candidates(found: Comparison, say: Say) -> Table:
    """What each candidate is, and whether it keeps to the budget."""
    all_of = [row.candidate for row in found.rows]
    averages = (each.leaderboard_average for each in all_of)
    is_free = (say("listing.yes" if each.free_license else "listing.no") for each in all_of)
    columns = (
        words(say("head.candidate"), (each.name for each in all_of)),
        figures(say("head.parameters"), (digits.count(each.parameters) for each in all_of)),
        figures(say("head.leaderboard"), map(digits.score, averages), "leaderboard"),
        words(say("head.korean"), (say.name("korean", each.korean) for each in all_of)),
        words(say("head.korean_benchmark"), map(_benchmark, all_of)),
        words(say("head.card_license"), (each.card_license for each in all_of)),
        words(say("head.base_model"), (each.base_model or digits.NONE for each in all_of), "license"),
        words(say("head.binding_license"), (each.binding_license for each in all_of), "license"),
        words(say("head.free_license"), is_free, "license"),
        words(say("head.license_source"), (each.license_source or digits.NONE for each in all_of), "license"),
        words(say("head.license_evidence"), (each.license_evidence or digits.NONE for each in all_of), "license"),
        words(say("head.verdict"), (in_language(verdict_of(row, found.variants), say) for row in found.rows), "budget"),
    )
    return Table(say("listing.candidates"), columns)


def _benchmark(candidate: Candidate) -> str:
    figure, source = candidate.korean_benchmark, candidate.korean_benchmark_source
    return f"{figure} ({source})" if figure and source else figure or digits.NONE


def measured(found: Comparison, say: Say) -> Table:
    """Every measured case's figures, replicas' included."""
    caption = say("listing.measured_replicas" if found.is_rehearsal else "listing.measured")
    return figures_of(caption, *known_of(cases_of(found, say), lambda case: case.cell.measured), MEASURED, say)


def planned(found: Comparison, say: Say) -> Table:
    """Every planned case's figures."""
    planned = known_of(cases_of(found, say), lambda case: case.cell.plan)
    return figures_of(say("listing.planned"), *planned, PLANNED, say)


def published(found: Comparison, say: Say) -> Table:
    """The study's figures beside ours; a mini replica's are none of ours, its plan's memory is."""
    cases, studied = known_of(cases_of(found, say), lambda case: case.cell.published)
    ours = [case.full_size for case in cases]
    allocated = (each.measured.memory.allocated_after_mib if each else None for each in ours)
    predicted = (case.plan.allocated_after_mib if case.plan else None for case in cases)
    columns = (
        *subjects(cases, say),
        figures(say("head.study_seconds"), (digits.seconds(each.seconds) for each in studied), "seconds"),
        figures(say("head.our_seconds"), (digits.seconds(_comparable_seconds(each)) for each in ours), "seconds"),
        in_mib(say("head.study_allocated"), (each.allocated_after_mib for each in studied), "allocated_after"),
        in_mib(say("head.our_allocated"), allocated, "allocated_after"),
        in_mib(say("head.our_planned"), predicted, "plan"),
    )
    return Table(say("listing.published"), columns)


def _comparable_seconds(record: Record | None) -> float | None:
    """Seconds as the study took them: a run's, or the mean of its prompts, warm-up included."""
    if record is None:
        return None
    if record.case.workload != INFERENCE:
        return record.measured.seconds
    each = record.measured.seconds_each
    return sum(each) / len(each) if each else None


def failures(found: Comparison, say: Say) -> Table:
    """Every case that did not pass, and why."""
    records = [record for record in found.records if record.outcome.kind != "passed"]
    reasons = (record.outcome.reason for record in records)
    columns = (
        words(say("head.case"), (record.case.id for record in records)),
        words(say("head.outcome"), (outcome(record, say) for record in records)),
        words(say("head.reason"), (reason.text(say.language) if reason else digits.NONE for reason in reasons)),
    )
    return Table(say("listing.failures"), columns, is_open=True)


def taints(found: Comparison, say: Say) -> Table:
    """Everything that makes a figure doubtful."""
    listed = [(record.case.id, taint) for record in found.records for taint in record.taints]
    columns = (
        words(say("head.case"), (name for name, _ in listed)),
        words(say("head.taint"), (taint.text(say.language) for _, taint in listed), "taint"),
    )
    return Table(say("listing.taints"), columns)


def protocol(found: Comparison, say: Say) -> Table:
    """The experiment's settings, a column for each one that was run."""
    protocols = {record.experiment.protocol_hash: record.experiment.protocol for record in found.records}
    names = list(dict.fromkeys(name for settings in protocols.values() for name in settings))
    settings = (words(each, (_text(settings.get(name)) for name in names)) for each, settings in protocols.items())
    return Table(say("listing.protocol"), (words(say("head.setting"), names, "protocol"), *settings))


def environment(facts: Mapping[str, Any] | None, found: Comparison, say: Say) -> Table:
    """The machine, the settings and the versions, flattened."""
    rows = list(_flat(facts or {}))
    if not facts or "versions" not in facts:
        versions = {name: each for record in found.records for name, each in record.environment.versions.items()}
        rows += _flat({"versions": versions})
    columns = (
        words(say("head.setting"), (name for name, _ in rows)),
        words(say("head.value"), (value for _, value in rows)),
    )
    return Table(say("listing.environment"), columns)


_DEEPEST = 4
"""Of what a foreign file nests: deeper than anything of ours."""


def _flat(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        here = (*path, name)
        inner = value
        if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            inner = {f"{number}": each for number, each in enumerate(value, 1)}
        if isinstance(inner, Mapping) and len(here) < _DEEPEST:
            yield from _flat(inner, here)
        else:
            yield " / ".join(here), _text(value)


def _text(value: Any, depth: int = 0) -> str:
    """A value on one line; what is nested deeper than anything of ours is left out."""
    if isinstance(value, Mapping) or (isinstance(value, list) and depth == _DEEPEST):
        return "…"
    if isinstance(value, list):
        return " ".join(_text(each, depth + 1) for each in value) or digits.NONE
    return digits.NONE if value is None else str(value)


Given = dict[str, dict[str | None, tuple[GivenAnswer, float | None]]]
"""By candidate and variant, None for the untuned model, what was answered to one prompt, and its score, 0 to 100."""


def by_prompt(
    answers: Answers, candidates: Sequence[str], variants: Sequence[str], scores: Mapping[Case, Sequence[float]]
) -> list[tuple[str, Given]]:
    """The prompts as they were asked, each with its answers; candidates and variants in these orders, others behind."""
    orders: tuple[list[str | None], list[str | None]] = ([*candidates], [None, *variants])

    def place(case: Case) -> list[int]:
        of_case = zip(orders, (case.candidate, case.variant), strict=True)
        return [order.index(name) if name in order else len(order) for order, name in of_case]

    prompts: dict[tuple[str, int], Given] = {}
    for case in sorted(answers, key=place):
        asked = Counter[str]()
        own = scores.get(case, ())
        for at, given in enumerate(answers[case]):
            asked[given.prompt] += 1  # equal prompts are told apart
            of_prompt = prompts.setdefault((given.prompt, asked[given.prompt]), {})
            score = own[at] if at < len(own) else None
            of_prompt.setdefault(case.candidate, {})[case.variant] = (given, score)
    return [(prompt, given) for (prompt, _), given in prompts.items()]


def dataset_answer(given: Given) -> str:
    """What the dataset itself answers to a prompt; empty where that is not known."""
    every = (each.dataset_answer for by_variant in given.values() for each, _ in by_variant.values())
    return next(filter(None, every), "")
