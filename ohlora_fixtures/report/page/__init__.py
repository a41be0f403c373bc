"""`report.html`: one file that says which candidate, and why, and shows every figure behind it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ...base import safe_text
from ...base.messages import Language, Message
from ...choice.selection import Selection
from ...inputs.cases import Case
from ...results.answers import Answers
from ...results.comparison import Comparison
from ...results.record import Record
from .. import details, digits
from ..choice import TERMS, criterion_in, ranking, remaining
from ..notes import devices_of, distinct, held_to_least, listed, mixed_notes, rows_used
from ..tables import Table, cases_of
from ..words import Say, texts
from . import choice, listings, losses, memory, quality, svg, times
from .contents import Figure

if TYPE_CHECKING:
    from jinja2 import Template

MOST_CANDIDATES = 60
MOST_PROMPTS = 100
"""On a page: with more it would be slow to make and to look at."""


@dataclass(frozen=True)
class Section:
    """A part of the page; its heading, and its template if it has its own, go by its name."""

    name: str
    figure: Figure | None = None
    text: str | None = None
    """What else there is to say, such as why there are no drawings."""
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    """What there is no more to say of than a line each."""
    is_replica: bool = False
    """Whether it shows mini replicas."""


def html(
    comparison: Comparison,
    selection: Selection,
    answers: Answers,
    environment: Mapping[str, Any] | None,
    language: Language,
) -> str:
    """The page, a whole document that needs no other file, no network and no script.

    What others have written stays in its language. `environment` is what `environment.json` says, if there is one.
    """
    say = Say(language)
    chosen = selection.choice
    is_plan = bool(comparison.records) and not comparison.measured and chosen is None
    heading = say("page.heading_of_plan" if is_plan else "page.heading")
    candidates = len(comparison.rows)
    comparison = _foremost(comparison, selection)
    names = [row.candidate.name for row in comparison.rows]
    is_partial = len(names) < candidates
    shown = {case: given for case, given in answers.items() if case.candidate in names or not is_partial}
    prompts = listings.by_prompt(shown, names, comparison.variants, _scores(comparison))
    return _template().render(
        say=say,
        svg=svg,
        title=say("page.title", option=chosen.name) if chosen else heading,
        heading=heading,
        marks=[*marks(comparison), *(["partial"] if is_partial else [])],
        shown=len(names),
        candidates=candidates,
        facts=_facts(comparison, environment, say),
        sections=_sections(comparison, selection, answers, environment, say),
        selection=selection,
        choice=choice,
        remaining=remaining(selection),
        ranking=ranking(selection, say),
        criteria=TERMS,
        criterion=criterion_in,
        prompts=[(prompt, given, listings.dataset_answer(given)) for prompt, given in prompts[:MOST_PROMPTS]],
        asked=len(prompts),
        notes=[each.text(language) for each in (*comparison.notes, *mixed_notes(comparison))],
        changes=distinct(
            each.text(language) for record in comparison.records for each in record.experiment.protocol_changes
        ),
        terms=[key.partition(".")[2] for key in texts() if key.startswith("term.")],
    )


def _foremost(comparison: Comparison, selection: Selection) -> Comparison:
    """The comparison, or that of the best candidates, and else the first ones, if there are too many for a page."""
    ranked = dict.fromkeys(option.candidate.name for option in (*selection.ranking, *selection.possible))
    names = [*ranked, *(row.candidate.name for row in comparison.rows if row.candidate.name not in ranked)]
    shown = frozenset(names[:MOST_CANDIDATES])
    if len(shown) == len(names):
        return comparison
    return replace(
        comparison,
        rows=tuple(row for row in comparison.rows if row.candidate.name in shown),
        records=tuple(record for record in comparison.records if record.case.candidate in shown),
    )


def marks(comparison: Comparison) -> list[str]:
    """What nobody may miss about the figures: `empty`, `rehearsal`, `random`, `capped` or `plan_only`."""
    ran = comparison.measured
    found = {
        "empty": not comparison.records,
        "rehearsal": comparison.is_rehearsal,
        "random": any(each.environment.weights == "random" and each.environment.scale != "mini" for each in ran),
        "capped": any(record.measured.cap_mib is not None for record in ran),
        "plan_only": bool(comparison.records) and not ran,
    }
    return [mark for mark, applies in found.items() if applies]


def _sections(
    found: Comparison,
    selection: Selection,
    answers: Answers,
    environment: Mapping[str, Any] | None,
    say: Say,
) -> list[Section]:
    """Those that have something to show, or to say why they have not."""
    sections = [Section("choice"), *_charts(found, selection, say)]
    if not found.measured and selection.choice is None:  # a plan alone is about the plan
        sections = [*sections[1:], sections[0]]
    sections += [Section("answers", is_replica=found.is_rehearsal)] if answers else []
    tables = {
        "published": (listings.published(found, say),),
        "figures": (listings.candidates(found, say), listings.measured(found, say), listings.planned(found, say)),
        "environment": (
            listings.failures(found, say),
            listings.taints(found, say),
            listings.environment(environment, found, say),
            listings.protocol(found, say),
        ),
    }
    for name, all_tables in tables.items():
        if shown := tuple(table for table in all_tables if table.rows):
            is_replica = found.is_rehearsal and name == "figures"
            sections.append(Section(name, text=say(f"{name}.lead"), tables=shown, is_replica=is_replica))
    return [*sections, Section("glossary")]


def _charts(found: Comparison, selection: Selection, say: Say) -> list[Section]:
    """What there are charts of; what there is none of, and why, is a line each, unless nothing was measured at all."""
    reasons = distinct(
        record.quality.not_judged.text(say.language) if record.quality.not_judged else None for record in found.records
    )
    unjudged = say("quality.not_judged", reasons="; ".join(reasons)) if reasons else say("quality.nothing")
    is_replica = found.is_rehearsal
    charts = (
        ("memory", memory.figure(found, selection, say), say("memory.nothing")),
        ("time", times.figure(found, selection, say), say("time.replicas" if is_replica else "time.nothing")),
        ("quality", quality.figure(found, selection, say), unjudged),
        ("loss", losses.figure(found, say), say("loss.replicas" if is_replica else "loss.nothing")),
    )
    parts = details.quality(cases_of(found, say), say)
    sections, missing = [], []
    for name, figure, nothing in charts:
        tables = (parts,) if name == "quality" and parts.rows else ()
        if figure or tables:
            sections.append(Section(name, figure, None if figure else nothing, tables))
        elif found.measured:
            missing.append(f"{say(f'{name}.heading')}: {nothing}")
    return [*sections, *([Section("missing", lines=tuple(missing))] if missing else [])]


def _scores(found: Comparison) -> dict[Case, tuple[float, ...]]:
    """Of each judged case, its answers' scores."""
    return {record.case: record.quality.each for record in found.measured if record.quality.each is not None}


def _facts(found: Comparison, environment: Mapping[str, Any] | None, say: Say) -> list[tuple[str, str]]:
    """What the page's head says of the session; what is not known is left out."""
    moments = environment or {}

    def names(values: Iterable[str | None]) -> str:
        said = listed(distinct(values))
        return said.text(say.language) if isinstance(said, Message) else said

    facts = {
        "fact.candidates": digits.count(len(found.rows)) if found.rows else "",
        "fact.variants": names(found.variants),
        "fact.budget": " / ".join(_budget(record, say) for record in held_to_least(found.records)),
        "fact.measured_on": names(devices_of(found.measured)),
        "fact.planned_for": names(_cards(found.plans, say)),
        "fact.rows": " / ".join(used.text(say.language) for used in rows_used(found.records)),
        "fact.began": _minute(moments.get("started_utc") or moments.get("merged_utc")),
        "fact.protocol": names(record.experiment.protocol_hash for record in found.records),
    }
    return [(say(key), text) for key, text in facts.items() if text]


def _budget(record: Record, say: Say) -> str:
    """A record's budget, with what one process can have of the card if that is less."""
    budget_mib, limit_mib = record.experiment.budget_mib, record.limit_mib
    key = "fact.mib" if limit_mib == budget_mib else "fact.held_to"
    return say(key, budget=digits.mib(budget_mib), mib=digits.mib(limit_mib))


def _cards(plans: Iterable[Record], say: Say) -> Iterable[str]:
    """The cards planned for, with what a process can have of each and what of that its CUDA context takes."""

    def said(mib: float, basis: str | None) -> str:
        doubt = "" if basis in (None, "measured") else f" ({say.name('basis', basis)})"
        return f"{digits.mib(mib)} MiB{doubt}"

    cards: dict[str, str] = {}
    for record in plans:
        about, context_mib = record.environment, record.plan.context_mib if record.plan else None
        if about.device and about.usable_mib is not None and context_mib is not None:
            usable, context = said(about.usable_mib, about.usable_basis), said(context_mib, about.context_basis)
            cards[about.device] = say("fact.card", card=about.device, usable=usable, context=context)
        elif about.device:
            cards.setdefault(about.device, about.device)
    return cards.values()


def _minute(moment: Any) -> str:
    """A moment of `environment.json` to the minute; what cannot be read as one stays as it is."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (TypeError, ValueError, OverflowError):
        return str(moment or "")


@cache
def _template() -> "Template":
    """The page's template: all that is put into it is escaped, and rid of what no reader sees."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    return environment.get_template("page.html.jinja")


def _clean(value: Any) -> Any:
    """A text without control characters and what turns the order of characters; markup is made of such already."""
    return safe_text.block(value) if isinstance(value, str) and not isinstance(value, Markup) else value
