"""A model that `--model` names: an id on the Hub or a folder of this machine, and what its files say of it."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import MOST_SETTINGS_BYTES, MOST_TEXT_BYTES, exists, is_folder, read_bytes, read_object
from ..base.yaml_files import read_yaml
from .candidates import DEFAULT_GROUP, Candidate, read_architecture
from .templates import PLAIN
from .terms import bases_of, korean_of, terms_of

CONFIG, CARD, ADAPTER = "config.json", "README.md", "adapter_config.json"
_OTHERS = (
    *("generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "chat_template.jinja"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"),
)
FILES = dict.fromkeys((CONFIG, CARD), MOST_SETTINGS_BYTES) | dict.fromkeys(_OTHERS, MOST_TEXT_BYTES)
"""What a plan is made from, and the most bytes that are read of each: the architecture, the tokenizer and the card."""

NOT_STATED = "not stated"
"""The licence of a model whose card names none."""

_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[\w][\w./-]{0,99}", re.ASCII)
_MOST_CHARACTERS = 96
"""Of an id on the Hub."""
_LONGEST_NAME = 60
"""Characters of a candidate's name; a longer one is cut."""
_SHOWN = 8
"""Hexadecimal digits of a commit or a digest in a name."""
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?\n)---[ \t]*\r?(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class ModelName:
    """What `--model` was given."""

    text: str
    """As it was typed."""
    repo: str
    """An id on the Hub, or the absolute path of a folder."""
    revision: str | None = None
    """The commit, tag or branch that was asked for."""

    @property
    def folder(self) -> Path | None:
        """The folder that it is; None for an id on the Hub."""
        return Path(self.repo) if Path(self.repo).is_absolute() else None

    @property
    def short(self) -> str:
        """A name for cases and files, which is the same in every session."""
        parts = [Path(self.repo).name, *([self.revision[:_LONGEST_NAME]] if self.revision else [])]
        plain = "-".join(parts)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")[:_LONGEST_NAME]
        return name if name and name == plain else f"{name or 'model'}-{self._digest}"

    @property
    def long(self) -> str:
        """A name that no other model has."""
        whole = f"{self.repo}-{self.revision}" if self.revision else self.repo
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", whole.replace("/", "--"))
        return name if self.folder is None and len(name) <= _MOST_CHARACTERS else f"{self.short}-{self._digest}"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(f"{self.repo}@{self.revision}".encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN]


@dataclass(frozen=True)
class Card:
    """What the front matter of a model card says; an empty text is what it does not say."""

    license: str = ""
    bases: tuple[str, ...] = ()
    """What the model was made from."""
    languages: str = ""


def parse_name(text: str, start: Path) -> ModelName:
    """What a text names: a folder, relative to `start`, if there is one, and else an id on the Hub.

    Raises InputError for a file, and for what can be neither.
    """
    path = start / text
    if text.strip() and is_folder(path):
        return ModelName(text, os.path.abspath(path))  # noqa: PTH100 - the name of a link is the name that was given
    if text.strip() and exists(path):
        raise InputError(f"--model {text} is a file: give the folder that holds a model's {CONFIG} and tokenizer")
    repo, at, revision = text.partition("@")
    is_id = _ID.fullmatch(repo) is not None and len(repo) <= _MOST_CHARACTERS and ".." not in repo
    if not is_id or (at and not _REVISION.fullmatch(revision)):
        raise InputError(
            f"--model {text!r} is neither a folder here nor an id on the Hub: give it such as Qwen/Qwen3-0.6B, "
            f"Qwen/Qwen3-0.6B@main, or a folder with a {CONFIG}"
        )
    return ModelName(text, repo, revision or None)


def check_files(named: ModelName, names: Collection[str], base: str | None = None) -> None:
    """Raises InputError where there is no config.json among a model's files, and says what it is instead.

    `base` is the model that an adapter was trained on, if that is known.
    """
    if CONFIG in names:
        return
    if ADAPTER in names:
        told = base or "the base model that its card names"
        raise InputError(
            f"--model {named.text} is an adapter without its base model: give --model {told}, "
            f"and its {ADAPTER} to --training-config"
        )
    if any(name.lower().endswith(".gguf") for name in names):
        raise InputError(
            f"--model {named.text} has GGUF files, which cannot be fine-tuned: give the repository or folder that they "
            "were made from"
        )
    raise InputError(
        f"--model {named.text} has no {CONFIG}: give a model as save_pretrained leaves it, with its {CONFIG} and "
        "tokenizer"
    )


def folder_of(named: ModelName) -> Path:
    """The folder that a name is, once it is seen that a model is in it; raises InputError if none is."""
    folder = Path(named.repo)
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(f"--model {named.text} cannot be read ({error.strerror}): give a folder that can") from None
    base = (read_object(folder / ADAPTER) or {}).get("base_model_name_or_path")
    check_files(named, names, base if isinstance(base, str) else None)
    return folder


def candidate_of(named: ModelName, files: Path, commit: str | None, ours: Iterable[Candidate]) -> Candidate:
    """The candidate that a model's files describe, without what only its architecture, built, can tell.

    That is `parameters`, which is 0, and `target_modules`, of which there are none. `commit` is the one that the files
    are of. Raises InputError for a config.json that cannot be one.
    """
    settings, card = read_architecture(files / CONFIG, f"--model {named.text}"), read_card(files)
    kinds, by_repo = " ".join(_texts(settings.get("architectures"))), {each.repo.lower(): each for each in ours}
    name = Path(named.repo).name
    bases = bases_of(name, " ".join(card.bases), kinds, settings, by_repo)
    card_license = card.license or NOT_STATED
    terms = terms_of(card_license, bases)
    return Candidate(
        name=named.short,
        group=DEFAULT_GROUP,
        repo=named.repo,
        config=files / CONFIG,
        parameters=0,
        card_license=card_license,
        binding_license=terms.license,
        free_license=bool(terms.free),
        korean=korean_of(name, card.languages, bases).level or "unknown",
        target_modules=(),
        base_model=card.bases[0] if card.bases else None,
        revision=commit,
    )


def read_card(folder: Path) -> Card:
    """What a folder's model card says; nothing without one, and where its front matter cannot be read."""
    try:
        text = read_bytes(folder / CARD, FILES[CARD]).decode("utf-8-sig")
        found = _FRONT_MATTER.match(text)
        facts = read_yaml(found[1]) if found else {}
    except (OSError, ValueError):
        return Card()
    if not isinstance(facts, dict):
        return Card()
    terms = _texts(facts.get("license"))
    if terms in ([], ["other"]):
        terms = _texts(facts.get("license_name")) or terms
    return Card(", ".join(terms), tuple(_texts(facts.get("base_model"))), " ".join(_texts(facts.get("language"))))


def with_own_names(found: Mapping[ModelName, Candidate], taken: Collection[str]) -> tuple[Candidate, ...]:
    """The candidates, none of which has another's name or one that is taken, whatever its case."""
    shorts = Counter(named.short.lower() for named in found)
    reserved = {name.lower() for name in taken}
    return tuple(
        candidate
        if shorts[named.short.lower()] == 1 and named.short.lower() not in reserved
        else replace(candidate, name=named.long)
        for named, candidate in found.items()
    )


def in_one_line(candidate: Candidate) -> str:
    """What is known of a named model, for a person."""
    at = f"@{candidate.revision[:_SHOWN]}" if candidate.revision else ""
    licence = candidate.binding_license
    if licence == NOT_STATED:
        licence += f" ({CARD} can state it: license: apache-2.0)"
    elif candidate.card_license != licence:
        licence += f" (card: {candidate.card_license})"
    found = ["parameters are counted when it runs"]
    if candidate.parameters:
        found = [f"{candidate.parameters:,} parameters", f"adapters on {', '.join(candidate.target_modules)}"]
        found.append(f"{candidate.chars_per_token or 'an unknown number of'} characters a token")
    facts = [
        *found,
        f"licence {licence}",
        *([f"made from {candidate.base_model}"] if candidate.base_model else []),
        f"template {_template_in_words(candidate)}",
    ]
    return f"{candidate.name}, {candidate.repo}{at}: {'; '.join(facts)}"


def _template_in_words(candidate: Candidate) -> str:
    if candidate.text_template is not None:
        return repr(candidate.text_template)
    files = candidate.config.parent
    settings = read_object(files / "tokenizer_config.json") or {}
    if (files / "chat_template.jinja").is_file() or "chat_template" in settings:
        tokens = candidate.template_tokens
        return "of its own, for chats" + (f", of {tokens} tokens" if tokens else "")
    return repr(PLAIN) if settings else "of its tokenizer, if that has one"


def _texts(value: Any) -> list[str]:
    """The texts that a value of a card is or lists; YAML takes a bare `no`, Norwegian, for false."""
    values = value if isinstance(value, list) else [value]
    return [each.strip() for each in values if isinstance(each, str) and each.strip()]
