"""`recipe`: the chosen case, or another, as files that fine-tune it on one's own rows, without this suite."""

import argparse
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError, InputError
from ..base.files import read_object, replace_text
from ..base.installation import DATA
from ..inputs.candidates import Candidate
from ..inputs.cases import FINE_TUNING, Case
from ..inputs.protocol import Protocol, with_settings
from ..inputs.variants import Variant
from ..results.folder import StoredResults, read_records
from ..results.record import Record
from . import printing
from .report import candidates_of

SELECTION = "selection.json"
_SCRIPT = "train.py"


def add_to(commands: Any) -> None:
    """Declare it."""
    recipe = commands.add_parser(
        "recipe",
        help="write the chosen case as the configuration of a training script, and the script",
        description="Write the chosen case as peft's, transformers' and bitsandbytes' configuration, and a script.",
    )
    recipe.add_argument("folder", type=Path, metavar="DIR", help="a session's results folder")
    recipe.add_argument("--case", metavar="ID", help="another case, such as bench_fine_tuning[gemma-2-2b-it-r16]")
    recipe.add_argument("--into", type=Path, metavar="DIR", help="the folder to write (default: recipe in DIR)")
    recipe.add_argument("--candidates", type=Path, metavar="PATH", help="the candidates file that the session ran with")
    recipe.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    stored = read_records(given.folder)
    record = _record(stored, given.case)
    candidate = next(each for each in candidates_of(stored, given.candidates) if each.name == record.case.candidate)
    into = given.into or given.folder / "recipe"
    try:
        write(into, candidate, record)
    except OSError as error:
        raise InputError(f"folder {into} cannot be written ({error.strerror}): give --into another one") from None
    printing.say(f"recipe of {record.case.candidate} {record.case.variant}: {into}")
    printing.say(f"on your rows: python {into / _SCRIPT} ROWS.csv")
    return 0


def write(into: Path, candidate: Candidate, record: Record) -> None:
    """Write a case's recipe; raises InputError for a variant that peft does not have."""
    from ..workloads.fine_tuning import adapter_config
    from ..workloads.trainer import training_settings

    asked = record.experiment.variant or {}
    parts = {name: asked.get(name) or {} for name in ("adapter", "base", "training")}
    variant = Variant(record.case.variant or "", **parts)
    names = {each.name for each in fields(Protocol)}
    kept = {name: value for name, value in record.experiment.protocol.items() if name in names}
    protocol = variant.protocol(with_settings(Protocol(), kept))
    into.mkdir(parents=True, exist_ok=True)
    if variant.adapter:
        try:
            config = adapter_config(variant, candidate.target_modules, protocol)
        except CandidateError as error:
            raise InputError(error.said) from None
        config.base_model_name_or_path = candidate.repo
        config.save_pretrained(str(into))
    arguments = {"output_dir": "trained", **training_settings(protocol), "save_strategy": "no", "report_to": "none"}
    replace_text(into / "training_arguments.yaml", "".join(_yaml(arguments)))
    facts = {
        "model": candidate.repo,
        "revision": candidate.revision,
        "text_template": candidate.text_template,
        "max_row_tokens": protocol.max_row_tokens,
        "quantization": variant.base,
    }
    replace_text(into / "recipe.json", json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
    shutil.copy(DATA / "recipe" / _SCRIPT, into / _SCRIPT)


def _record(stored: StoredResults, case_id: str | None) -> Record:
    """The record of the case asked for, or of the one that was chosen."""
    tuned = {
        (record.case.candidate, record.case.variant): record
        for record in stored.records
        if record.case.workload == FINE_TUNING and record.experiment.variant
    }
    if case_id is None:
        choice = (read_object(stored.folder / SELECTION) or {}).get("choice")
        if not isinstance(choice, dict):
            raise InputError(f"nothing was chosen in {stored.folder}: give --case one of {_ids(tuned)}")
        found = tuned.get((choice.get("candidate", ""), choice.get("variant")))
    else:
        case = Case.parse(case_id, *({name for name in names if name} for names in zip(*tuned, strict=True)))
        found = tuned.get((case.candidate, case.variant)) if case else None
    if found is None:
        raise InputError(f"{stored.folder} has no fine-tuning case {case_id or 'of its choice'}: it has {_ids(tuned)}")
    return found


def _ids(tuned: Iterable[tuple[str, str | None]]) -> str:
    ids = [Case(candidate, FINE_TUNING, variant).id for candidate, variant in tuned]
    return ", ".join(ids[:5]) + (" ..." if len(ids) > 5 else "") if ids else "none"  # noqa: PLR2004 - enough to see how


def _yaml(settings: Mapping[str, Any]) -> Iterable[str]:
    """A line each; YAML takes numbers such as 2e-05 for text."""
    for name, value in settings.items():
        yield f"{name}: {format(Decimal(repr(value)), 'f') if isinstance(value, float) else json.dumps(value)}\n"
