"""The files that a results folder's findings become, and how a session ends on a terminal."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..base import safe_text
from ..base.messages import Language, message
from ..choice.selection import Selection
from ..inputs.cases import Case
from ..results.answers import Answers
from ..results.comparison import Cell, Comparison, Row
from . import changes, choice, details, page, table
from .layout import Terminal, as_markdown, for_terminal
from .notes import REHEARSAL, notes, together
from .quantities import MEASURED, PLANNED, QUALITY
from .tables import cases_of
from .words import Say

_YES_OR_NO = {"fits": True, "over": False, "failed": False, "not_judged": None}


@dataclass(frozen=True)
class Findings:
    """What there is to tell."""

    comparison: Comparison
    selection: Selection
    answers: Answers
    environment: Mapping[str, Any] | None
    """What `environment.json` says; None without one."""


def texts(found: Findings, language: Language, more: str = "") -> Iterator[tuple[str, str]]:
    """Each file's name and text, one after the other, the page last; `more` closes the Markdown."""
    comparison, selection = found.comparison, found.selection
    yield (
        "comparison.md",
        "\n".join(filter(None, (_markdown(found, language), choice.markdown(selection, language), more))),
    )
    yield "comparison.csv", comma_separated(comparison)
    facts = {**_fits(comparison), **choice.as_facts(selection), "would_fit": changes.facts(comparison)}
    yield "selection.json", safe_text.json_page(facts).decode()
    yield "report.html", page.html(comparison, selection, found.answers, found.environment, language)


def closing(comparison: Comparison, selection: Selection | None, terminal: Terminal) -> str:
    """The table, and what changes how it is to be read; for `-q` the table alone, for `-v` everything."""
    parts = [terminal.filled(str(REHEARSAL), "yellow")] if comparison.is_rehearsal else []
    parts.append(table.terminal(comparison, selection, terminal))
    told: list[str] = []
    if terminal.verbosity > 0:
        if (lead := details.advice_lead(comparison)) is not None:
            advice = details.advice(cases_of(comparison, Say("en")), Say("en"))
            parts += [terminal.filled(str(lead)), for_terminal(advice.columns, terminal.width)]
        told = [str(note.told) for note in notes(comparison)]
    elif terminal.verbosity == 0:
        told = [str(note.brief or note.told) for note in notes(comparison) if note.is_caution]
    parts.append("\n".join(map(terminal.noted, told)))
    return "\n\n".join(filter(None, parts))


def _markdown(found: Findings, language: Language) -> str:
    """The comparison as a Markdown page in a language; names and what others wrote stay in theirs."""
    comparison = found.comparison
    told = [safe_text.markdown(note.told.text(language)) for note in notes(comparison)]
    parts = [f"# {message('file.comparison').text(language)}"]
    parts += [f"> **{REHEARSAL.text(language)}**"] if comparison.is_rehearsal else []
    parts += [table.markdown(comparison, found.selection, language), "\n".join(f"- {each}" for each in told)]
    for title, lead, told_in in details.sections(comparison, Say(language)):
        parts += [f"## {title}", lead, as_markdown(told_in.columns)]
    return "\n\n".join(parts) + "\n"


def _fits(comparison: Comparison) -> dict[str, Any]:
    """Whether each case fits, and all of them: false if one does not, null if that is not known of one."""
    cells = [(case, cell) for row in comparison.rows for case, cell in row.cells.items() if cell.records]
    cases = [_fit_facts(case, cell) for case, cell in cells]
    found = {each["fits"] for each in cases}
    return {"fits": False if False in found else None if None in found else True, "cases": cases}


def _fit_facts(case: Case, cell: Cell) -> dict[str, Any]:
    fit = cell.fit
    told_by = cell.plan if fit.is_planned else cell.measured
    judged = told_by if fit.verdict != "not_judged" else None
    return {
        "case": case.id,
        "candidate": case.candidate,
        "variant": case.variant,
        "fits": _YES_OR_NO[fit.verdict],
        "verdict": fit.verdict,
        "is_planned": fit.is_planned,
        "needs_device_mib": judged and judged.needs_device_mib,
        "limit_mib": judged and judged.limit_mib,
        "reason": fit.reason and str(fit.reason),
    }


def comma_separated(comparison: Comparison) -> str:
    """The comparison as CSV: a line a candidate, plain numbers, an empty cell for what is not known."""
    lines = [_line(comparison, row) for row in comparison.rows]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(lines[0] if lines else ["candidate"])
    writer.writerows(map(_plain, line.values()) for line in lines)
    return buffer.getvalue()


def _line(comparison: Comparison, row: Row) -> dict[str, object]:
    """A candidate's cells by column."""
    names = (
        "parameters",
        "unverified",
        "leaderboard_average",
        "card_license",
        "base_model",
        "binding_license",
        "free_license",
        "license_source",
        "license_evidence",
        "korean_benchmark",
        "korean_benchmark_source",
    )
    line: dict[str, object] = {"candidate": row.candidate.name}
    line |= {name: getattr(row.candidate, name) for name in names}
    for variant in comparison.columns:
        prefix = "inference" if variant is None else f"fine_tuning_{variant}"
        cell = row.cell(variant)
        record, plan = cell.measured, cell.plan
        line |= {f"{prefix}_outcome": record and record.outcome.kind}
        line |= {f"{prefix}_{each.name}": each.read(record) for each in (*MEASURED, *QUALITY)}
        line |= {f"{prefix}_taints": record and "; ".join(map(str, record.taints))}
        line |= {f"plan_{prefix}_outcome": plan and plan.outcome.kind}
        line |= {f"plan_{prefix}_{each.name}": each.read(plan) for each in PLANNED}
        line |= {
            f"study_{prefix}_{name}": getattr(cell.published, name, None) for name in ("seconds", "allocated_after_mib")
        }
    measured, plans = row.measured, row.plans
    return {
        **line,
        "verdict": table.verdict_of(row, comparison.variants),
        "within_budget": _YES_OR_NO[row.fit_as_measured.verdict],
        "plan_within_budget": _YES_OR_NO[row.fit_as_planned.verdict],
        "scale": together(record.environment.scale for record in measured),
        "weights": together(record.environment.weights for record in measured),
        "device": together(record.environment.device for record in measured),
        "gpu_profile": together(record.environment.gpu_profile for record in plans),
        "protocol_hash": together(record.experiment.protocol_hash for record in measured or plans),
    }


def _plain(value: object) -> object:
    return safe_text.cell(safe_text.line(value)) if isinstance(value, str) else value
