"""A choice among made-up results, with all that a page can say of it."""

from dataclasses import replace

from page_data import BUDGET_MIB, grade

from ohlora_fixtures.base.messages import message
from ohlora_fixtures.choice.contenders import Exclusion, Option
from ohlora_fixtures.choice.selection import CRITERIA, DEFAULT_WEIGHTS, Selection, select
from ohlora_fixtures.choice.sensitivity import Shift
from ohlora_fixtures.quality.grading import Quality, agreement


def selection(comparison, *, any_license=False):
    """A choice among what was measured, made up like the rest."""
    options, excluded = [], []
    for row in comparison.rows:
        if not row.candidate.free_license and not any_license:
            excluded.append(Exclusion(row.candidate.name, None, _licence(row.candidate)))
            continue
        for variant in comparison.variants:
            record, asked = row.cell(variant).measured, row.cell(None).measured
            if record is None or record.outcome.kind != "passed":
                outcome = "skipped" if record is None else record.outcome.kind
                reason = message(f"reason.{outcome}", reason=record and record.outcome.reason)
                excluded.append(Exclusion(row.candidate.name, variant, reason))
            else:
                options.append(_option(row.candidate, variant, record, asked))
    ranking = tuple(sorted(map(_scored(options), options), key=lambda each: -each.total))
    others = [each for each in ranking if each.candidate != ranking[0].candidate]
    return Selection(
        choice=ranking[0] if ranking else None,
        reserve=others[0] if others else None,
        ranking=ranking,
        possible=(),
        excluded=tuple(excluded),
        weights=DEFAULT_WEIGHTS,
        front=tuple(each for each in ranking if not any(_beats(other, each) for other in ranking)),
        shifts=(Shift("quality", 5.0, 1.37, "below", others[0]), Shift("leaderboard", 1.0, 9.5, "above", others[0]))
        if others
        else (),
        bases=dict.fromkeys(CRITERIA, "peak_device_mib"),
        doubts=(message("doubt.partial", options="Midm r16 (5 of 25 answers)"),),
        unknown=(message("unknown.of_some", criterion=message("criterion.leaderboard"), options="Midm r16/r32"),),
        cautions=(message("caution.planned"), message("caution.overfitted", options="Midm r64")),
        agreement=(
            agreement(
                *map(message, ("by.person", "by.computed", "judged.answers")), {"Midm": [(1, 1), (2, 3), (3, 2)]}
            ),
        ),
        any_license=any_license,
        obstacle=None if ranking else message("no_choice.excluded"),
    )


def nothing(comparison):
    """None: nobody has judged the answers."""
    return select(comparison, {}, DEFAULT_WEIGHTS, any_license=False)


def _licence(candidate):
    return message("reason.licence", licence=candidate.binding_license)


def _option(candidate, variant, record, asked):
    figures = {
        "quality": record.quality.score,
        "leaderboard": candidate.leaderboard_average,
        "fine_tuning_seconds": record.measured.seconds,
        "fine_tuning_memory": record.peak_device_mib,
        "inference_seconds": asked and asked.measured.steady_median_seconds,
        "inference_memory": asked and asked.peak_device_mib,
    }
    score = record.quality.score
    quality = (
        None if score is None else Quality(score, record.quality.interval, grade(score), "computed", is_tuned=True)
    )
    return Option(candidate, variant, figures, dict.fromkeys(CRITERIA), None, quality)


def _scored(options):
    def scored(option):
        scores = {}
        for name, figure in option.figures.items():
            best = min((each.figures[name] for each in options if each.figures[name]), default=1)
            cost = name.endswith("_seconds")
            worth = {True: best / (figure or 1), False: (figure or 0) / 100}[cost]
            scores[name] = None if figure is None else 1 - figure / BUDGET_MIB if name.endswith("memory") else worth
        known = {name: score for name, score in scores.items() if score is not None}
        total = sum(score * DEFAULT_WEIGHTS[name] for name, score in known.items())
        return replace(option, scores=scores, total=100 * total / sum(DEFAULT_WEIGHTS[name] for name in known))

    return scored


def _beats(one, other):
    ours, theirs = (
        (-(each.figures["quality"] or 0), each.figures["fine_tuning_memory"], each.figures["fine_tuning_seconds"])
        for each in (one, other)
    )
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs
