"""Models that `--model` names, as candidates: what their files say, and what only their architecture, built, tells."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError, InputError
from ..base.files import read_bytes
from ..base.installation import versions
from ..base.messages import Message, message
from ..inputs.candidates import Candidate
from ..inputs.named_models import CARD, FILES, ModelName, candidate_of, folder_of, with_own_names
from ..inputs.templates import template_of
from ..planner.plan import PlanStore
from ..planner.planner import source_digest
from .hub import planning_files


def named_candidates(names: Iterable[ModelName], known: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that are named: of `known` ones, which have an entry in a file, that; of others, their files'.

    Imports nothing heavy; what only the built architecture tells is left to `complete`. Raises InputError for a name
    under which there is no model.
    """
    entries = {_same(each.repo): each for each in reversed(known)}
    found: dict[ModelName, Candidate] = {}
    adopted: list[Candidate] = []
    for named in {(_same(each.repo), each.revision): each for each in names}.values():
        entry = entries.get(_same(named.repo))
        if entry is not None and named.revision in (None, entry.revision):
            adopted.append(entry)
            continue
        files = folder_of(named) if named.folder else planning_files(named)
        commit = None if named.folder else files.name
        found[named] = candidate_of(named, files, commit, known)
    return (*with_own_names(found, [each.name for each in known]), *adopted)


def complete(candidate: Candidate, ours: Sequence[Candidate], texts: Sequence[str], store: PlanStore) -> Candidate:
    """The candidate with its parameters, its LoRA targets, and what its tokenizer makes of texts.

    What was found earlier for the same files is taken from the store, and transformers is imported only where it was
    not. Raises InputError for an architecture that cannot be built or tuned.
    """
    facts = _facts(candidate, texts)
    found = store.read(facts)
    if found is None:
        try:
            found = _found(candidate, ours, texts)
        except CandidateError as error:
            raise InputError(_as_told(error)) from None
        store.write(facts, found)
    return replace(candidate, **{**found, "target_modules": tuple(found["target_modules"])})


def parameters_and_targets(candidate: Candidate, ours: Iterable[Candidate]) -> tuple[int, tuple[str, ...]]:
    """The exact number of parameters, tied weights counted once, and the linear modules that get an adapter.

    These are those of the suite's candidates, `ours`, of the same architecture, so that ranks compare; else every
    linear module but the head that peft accepts, as QLoRA advises (Dettmers et al. 2023, section 4).

    Raises CandidateError if transformers cannot build it, or peft accepts none of its modules.
    """
    from ..workloads.models import accepted_by_peft, outline

    found = outline(candidate)
    kind = candidate.architecture()["model_type"]
    alike = next((each.target_modules for each in ours if each.architecture()["model_type"] == kind), ())
    is_like_ours = bool(alike) and found.module_names.issuperset(alike)
    targets = alike if is_like_ours else tuple(accepted_by_peft(candidate, found.linear_names))
    if not targets:
        raise CandidateError(message("reason.no_targets", candidate=candidate.name))
    return found.parameters, targets


def _same(repo: str) -> str:
    """A repository as it compares with others: the Hub takes any case, folders do not."""
    return repo if Path(repo).is_absolute() else repo.lower()


def _found(candidate: Candidate, ours: Sequence[Candidate], texts: Sequence[str]) -> dict[str, Any]:
    from ..workloads.models import quieten_libraries

    quieten_libraries()
    parameters, targets = parameters_and_targets(candidate, ours)
    return {"parameters": parameters, "target_modules": targets, **_of_tokenizer(candidate, texts)}


def _of_tokenizer(candidate: Candidate, texts: Sequence[str]) -> dict[str, Any]:
    """Characters a token, and tokens of the chat template; neither where transformers cannot read the tokenizer."""
    from ..workloads.models import load_tokenizer, tokenizer_at_hand

    found: dict[str, Any] = {}
    if (folder := tokenizer_at_hand(candidate, None)) is None:
        return found
    with suppress(Exception):  # whatever is wrong with somebody's files, a case that needs them will tell
        tokenizer = load_tokenizer(candidate, str(folder), local_files_only=True)
        tokens = sum(len(tokenizer(text)["input_ids"]) for text in texts)
        found["chars_per_token"] = round(sum(map(len, texts)) / tokens, 2) if tokens else None
        if candidate.text_template is None and tokenizer.chat_template:
            found["template_tokens"] = template_of(None, tokenizer).tokens_around
    return found


def _facts(candidate: Candidate, texts: Sequence[str]) -> dict[str, Any]:
    """All that `complete` depends on."""
    files = [candidate.config.parent / name for name in FILES if name != CARD]
    digests = {path.name: _sha256(path, FILES[path.name]) for path in files if path.is_file()}
    return {"model": digests, "texts": list(texts), "versions": dict(versions()), "source": source_digest()}


def _sha256(path: Path, most_bytes: int) -> str:
    try:
        return hashlib.sha256(read_bytes(path, most_bytes)).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give --model another model") from None


def _as_told(error: CandidateError) -> str:
    """The error, and how code of the repository's own may be run where the architecture needs it."""
    is_own_code = isinstance(error.said, Message) and error.said.key == "reason.own_code"
    return f"{error.said}{'; for that, write its entry by hand, with remote_code = true' if is_own_code else ''}"
