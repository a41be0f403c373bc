"""The files that a comparison and its choice become, by name."""

from __future__ import annotations

from ..comparison import Comparison
from ..selection import Selection
from ..untrusted import json_page
from . import choice_text, table


def texts(comparison: Comparison, selection: Selection, more: str = "") -> dict[str, str]:
    """Each file's text; `more` closes the Markdown page."""
    return {
        "comparison.md": "\n".join(filter(None, (table.markdown(comparison), choice_text.markdown(selection), more))),
        "comparison.csv": table.comma_separated(comparison),
        "selection.json": json_page(choice_text.as_facts(selection)).decode(),
    }
