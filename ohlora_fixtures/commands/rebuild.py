"""A results folder's tables and choice, made anew from its records: nothing is measured, and no torch is needed."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import replace_text
from ..base.messages import message
from ..base.shipped import DATA, REFERENCE
from ..base.words import Language
from ..choice.choosing import Choosing
from ..choice.selection import DEFAULT_WEIGHTS, Selection, parse_weights
from ..inputs.candidates import Candidate, kept_candidate, read_candidates
from ..report import files
from ..results.answers import Answers, read_folder
from ..results.comparison import Comparison, compare, read_published
from ..results.folder import ENVIRONMENT, SESSION, StoredRecords, read_records


class Folder:
    """A session's results folder as it is found."""

    def __init__(self, path: Path, candidates_path: Path | None) -> None:
        """Read it; candidates are those of the file, if one is given, or of its session, or the suite's own.

        Raises InputError for what cannot be read.
        """
        self.path = path
        self.stored: StoredRecords = read_records(path)
        if not self.stored.records:
            raise InputError(f"results folder {path} has no complete record: there is nothing to report")
        self.candidates = self._candidates(candidates_path)
        known = {candidate.name for candidate in self.candidates}
        ran = [record.case.candidate for record in self.stored.records]
        strange = next((name for name in ran if name not in known), None)
        if strange is not None:
            raise InputError(
                f"candidate {strange!r} of {path} is not among the candidates: give --candidates the file it ran with"
            )
        self.answers: Answers = read_folder(path, set(ran))

    @property
    def prompts(self) -> set[str]:
        """Every prompt that was answered."""
        return {given.prompt for own in self.answers.values() for given in own}

    def comparison(self) -> Comparison:
        """Its records set beside each other, and beside the study's unless they are the study's."""
        records = self.stored.records
        is_study = self.path.resolve() == REFERENCE.resolve()
        notes = (message("note.torn"),) if self.stored.torn_line is not None else ()
        return compare(self.candidates, (), records, {} if is_study else read_published(REFERENCE), notes)

    @property
    def environment(self) -> Any:
        """What its `environment.json` says; None without a readable one."""
        try:
            return json.loads((self.path / ENVIRONMENT).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def rebuild(self, choosing: Choosing, into: Path, language: Language) -> tuple[Comparison, Selection]:
        """Choose anew, and write every file that follows from the records.

        Raises InputError if they cannot be written.
        """
        found = self.comparison()
        selection = choosing.choose(found, self.answers, self.path)
        try:
            findings = files.Findings(found, selection, self.answers, self.environment)
            for name, text in files.texts(findings, language):
                replace_text(into / name, text)
        except OSError as error:
            raise InputError(f"folder {into} cannot be written ({error.strerror}): give --into another one") from None
        return found, selection

    @property
    def weights(self) -> dict[str, float]:
        """The session's choice weights, or the default ones."""
        weights = self._kept_choice.get("weights")
        if not isinstance(weights, dict):
            return dict(DEFAULT_WEIGHTS)
        return parse_weights(" ".join(f"{name}={weight}" for name, weight in weights.items()))

    @property
    def any_license(self) -> bool:
        """Whether the session let licences that bind be no obstacle."""
        return self._kept_choice.get("any_license") is True

    @property
    def _kept_choice(self) -> dict[str, Any]:
        kept = self._kept.get("choice")
        return kept if isinstance(kept, dict) else {}

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """What `session.json` says; nothing without a readable one."""
        try:
            found = json.loads((self.path / SESSION).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _candidates(self, path: Path | None) -> tuple[Candidate, ...]:
        where = self.path / SESSION
        if path is not None or not where.exists():  # a merged folder has none
            return read_candidates(path or DATA / "candidates.toml")
        entries = self._kept.get("candidates")
        if not isinstance(entries, dict):
            raise InputError(f"{where} does not name its candidates: give --candidates their file")
        return tuple(kept_candidate(entry, f"candidate {name!r} in {where}") for name, entry in entries.items())
