"""The files that a results folder's findings become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..base.safe_text import json_page
from ..base.words import Language
from ..choice.selection import Selection
from ..results.answers import Answers
from ..results.comparison import Comparison
from . import choice_text, quality_table, table
from .page import page


@dataclass(frozen=True)
class Findings:
    """What there is to tell."""

    comparison: Comparison
    """The records beside each other."""
    selection: Selection
    """What is chosen."""
    answers: Answers
    """What the models said."""
    environment: Mapping[str, Any] | None
    """What `environment.json` says; None without one."""


def texts(found: Findings, language: Language, more: str = "") -> Iterator[tuple[str, str]]:
    """Each file's name and text, one after the other, the page last; `more` closes the Markdown."""
    comparison, selection = found.comparison, found.selection
    judged = quality_table.markdown(comparison)
    tables = (table.markdown(comparison, language), judged, choice_text.markdown(selection), more)
    yield "comparison.md", "\n".join(filter(None, tables))
    yield "comparison.csv", table.comma_separated(comparison)
    yield "selection.json", json_page(choice_text.as_facts(selection)).decode()
    yield "report.html", page.html(comparison, selection, found.answers, found.environment, language)
