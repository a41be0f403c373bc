"""Resuming an interrupted session: what must be the same, which cases are kept, and what is said of it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..base.errors import InputError
from ..base.files import read_object
from ..base.installation import versions
from ..base.messages import Message, message
from ..inputs.candidates import Candidate
from ..inputs.cases import Case, answering_case
from ..inputs.gpu_profiles import GpuProfile
from ..inputs.settings import Settings
from ..results.answers import Answers
from ..results.environment import Environment
from ..results.folder import SESSION, TORN
from ..results.record import SCHEMA, Record, plain

_DIGEST_DIGITS = 12


@dataclass(frozen=True)
class Resumed:
    """The interrupted session's share of this one."""

    folder: Path
    """Its results folder, which is this session's too."""
    records: tuple[Record, ...]
    kept: frozenset[Case]
    is_torn: bool
    differences: tuple[Message, ...]
    """What is not as it was, such as `torch was 2.12.0 and is 2.13.0`; empty if all is."""
    may_differ: bool

    def accepted(self) -> Self:
        """The same, if it may be resumed; raises InputError if something differs that must not."""
        if self.differences and not self.may_differ:
            raise InputError(
                f"results folder {self.folder} cannot be resumed: {'; '.join(map(str, self.differences))}: undo "
                "the change, or add --resume-anyway, and the comparison will say so"
            )
        return self

    def on_device(self, device: Environment, profiles: Iterable[GpuProfile]) -> Self:
        """The same once the device to measure on is known; raises InputError if it differs and must not."""
        same_cards = [set(profile.card) for profile in profiles]
        found, now = list(self.differences), _place(device)
        for record in self.records:
            if not record.case.is_planned:
                was = {name: value for name, value in _place(record.environment).items() if name in now}
                if any({was.get("device"), now.get("device")} <= cards for cards in same_cards):
                    was["device"] = now["device"]  # NVIDIA's libraries spell one card in several ways
                found += _changes(was, now)
        return replace(self, differences=tuple(dict.fromkeys(found))).accepted()

    def header(self) -> str:
        """What is about to happen, for the head of pytest's output."""
        count = len(self.records)
        cases = "case" if count == 1 else "cases"
        torn = f"; its last line was incomplete and is now in {TORN}" if self.is_torn else ""
        return f"resuming {self.folder}: {len(self.kept)} of its {count} {cases} are kept{torn}"

    def notes(self, count: int) -> tuple[Message, ...]:
        """What the comparison must say of so many records that are still those of the interrupted session."""
        notes = [message("note.resumed_one" if count == 1 else "note.resumed", count=count)] if count else []
        if self.differences:
            notes.append(message("note.resumed_anyway", difference=self.differences))
        return tuple(notes)


def identity(settings: Settings) -> dict[str, Any]:
    """What `session.json` keeps: what a session must share with the one that it resumes."""
    return {
        "schema": SCHEMA,
        "candidates": {each.name: entry_of(each) for each in settings.candidates},
        "variants": {each.name: each.as_dict() for each in settings.variants},
        "dataset_sha256": settings.dialogues.sha256,
        "protocol": settings.protocol.as_dict(),
        "gpu_profile": plain(settings.gpu_profile),
        "versions": dict(versions()),
    }


def entry_of(candidate: Candidate, *, was_kept: bool = False) -> dict[str, Any]:
    """What `session.json` keeps of a candidate: its fields, with a digest of its architecture in place of the file.

    Of one that was kept before, the digest is all there is.
    """
    config = str(candidate.config)
    if not was_kept:
        architecture = json.dumps(candidate.architecture(), sort_keys=True).encode()
        config = hashlib.sha256(architecture).hexdigest()[:_DIGEST_DIGITS]
    entry: dict[str, Any] = plain(candidate)
    return entry | {"config": config}


def read_identity(folder: Path) -> dict[str, Any]:
    """What `session.json` keeps; raises InputError if it cannot be read, or is of another version."""
    path = folder / SESSION
    found, parts = read_object(path) or {}, ("candidates", "protocol", "gpu_profile", "versions")
    entries = [found.get("variants", {}), *map(found.get, parts)]
    entries += [each for of in entries[:2] if isinstance(of, dict) for each in of.values()]
    if not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{path} cannot be read, so the session cannot be resumed: start a new one")
    if found.get("schema") != SCHEMA:
        raise InputError(
            f"results folder {folder} is from another version of the suite and cannot be resumed: start a new session, "
            "and put both together with `python -m ohlora_fixtures merge`"
        )
    return found


def joined(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The first session's identity, with later candidates and variants, and with how this session chooses."""
    both = {name: {**now[name], **then.get(name, {})} for name in ("candidates", "variants")}
    return {**then, **both, "choice": now["choice"]}


def environment_after(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """The first session's environment as its file has it, with those of the sessions that resumed it."""
    first = read_object(path)
    if first is None or not isinstance(first.get("resumed", []), list):
        return now
    return {**first, "resumed": [*first.get("resumed", ()), now]}


def resumed(
    settings: Settings, then: Mapping[str, Any], records: tuple[Record, ...], answers: Answers, *, is_torn: bool
) -> Resumed:
    """What of an earlier session this one takes over; raises InputError if something differs that must not."""
    budget_mib, is_strict = settings.budget_mib, settings.strict_gpu
    kept = (each for each in records if is_kept(each, budget_mib, is_strict=is_strict) and is_whole(each, answers))
    return Resumed(
        folder=settings.results_dir,
        records=records,
        kept=frozenset(each.case for each in kept),
        is_torn=is_torn,
        differences=tuple(dict.fromkeys(_differences(then, identity(settings), records))),
        may_differ=settings.resume_anyway,
    ).accepted()


def is_kept(record: Record, budget_mib: float, *, is_strict: bool) -> bool:
    """Whether a case is not run again.

    It is if its end was of passing nature: an error, a skip, a tainted measurement that was refused, or a lack of
    memory under another budget. Where taints are refused now, one that passed with them runs again, too.
    """
    kind = record.outcome.kind
    if record.taints and (is_strict or kind == "failed"):
        return False
    if kind in ("out_of_memory", "over_budget"):
        return record.experiment.budget_mib == budget_mib
    return kind in ("passed", "failed")


def is_whole(record: Record, answers: Answers) -> bool:
    """Whether all that belongs to a case is there: its answers are in a file of their own, which can be lost alone."""
    found = answers.get(answering_case(record.case.candidate, record.case.variant), ())
    return len(found) >= (record.answers or 0)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], records: Iterable[Record]) -> Iterator[Message]:
    for name in dict.fromkeys(record.case.candidate for record in records):
        if name not in now["candidates"]:
            yield message("difference.gone", candidate=name)
        else:
            was = then["candidates"].get(name, {})
            yield from _changes(was, now["candidates"][name], "difference.of_candidate", candidate=name)
    for name, was in then.get("variants", {}).items():
        if name in now["variants"]:
            yield from _changes(was, now["variants"][name], "difference.of_variant", variant=name)
    yield from _experiment_changes(then["protocol"], then.get("dataset_sha256"), then["versions"], now)
    was, profile = then["gpu_profile"], now["gpu_profile"]
    if was.get("name") != profile["name"]:
        yield message("difference.profile", was=_short(was.get("name")), now=_short(profile["name"]))
    else:
        yield from _changes(was, profile, "difference.of_profile", profile=profile["name"])
    for record in records:
        experiment, of_record = record.experiment, record.environment.versions
        yield from _experiment_changes(experiment.protocol, experiment.dataset_sha256, of_record, now)


def _experiment_changes(
    protocol: Mapping[str, Any], dataset_sha256: str | None, libraries: Mapping[str, str | None], now: Mapping[str, Any]
) -> Iterator[Message]:
    yield from _changes(protocol, now["protocol"], "difference.of_protocol")
    yield from _changes({"dataset_sha256": dataset_sha256}, now)
    yield from _changes(libraries, now["versions"])


def _changes(then: Mapping[str, Any], now: Mapping[str, Any], of: str = "", **whose: str) -> Iterator[Message]:
    """What differs among the names of `then`; `of` is the key that says what it is a difference of."""
    for name, was in then.items():
        if was != now.get(name):
            changed = message("difference.changed", name=name, was=_short(was), now=_short(now.get(name)))
            yield message(of, difference=changed, **whose) if of else changed


def _place(environment: Environment) -> dict[str, str]:
    """Where cases are measured, as far as it is known."""
    found = {"scale": environment.scale, "weights": environment.weights, "device": environment.device}
    return {name: value for name, value in found.items() if value is not None}


def _short(value: Any) -> str:
    text = str(value)
    is_digest = len(text) == hashlib.sha256().digest_size * 2
    return text[:_DIGEST_DIGITS] if is_digest else text
