"""Variants: what is trained, and how; data in the libraries' own words, in `data/variants.toml` or one's own file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from msgspec import Meta

from ..base.errors import InputError
from ..base.installation import DATA
from ..base.toml_tables import read_tables
from .protocol import Protocol, with_settings

DEFAULT = ("r16", "r32", "r64")
"""The study's: LoRA at three ranks."""

_RANK = re.compile(r"[1-9][0-9]{0,3}")
_SETTINGS = {
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_checkpointing": "gradient_checkpointing",
    "optim": "optimizer",
    "learning_rate": "learning_rate",
    "max_grad_norm": "max_grad_norm",
    "torch_empty_cache_steps": "empty_cache_steps",
}
"""Which of the protocol's settings a key of `TrainingArguments` is."""
_ADAPTER = 'a table of a peft configuration\'s settings with peft_type, such as { peft_type = "LORA", r = 16 }'
_BASE = "a table of BitsAndBytesConfig's settings with load_in_4bit = true or load_in_8bit = true"
_TRAINING = f"a table of these settings of TrainingArguments: {', '.join(_SETTINGS)}"
VariantName = Annotated[
    str,
    Meta(
        # the id of an untuned model's plan ends in "inference", and tables head its column "prompt"
        pattern=r"\A(?!(?:inference|prompt)\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z",
        description="letters, digits, '.', '_' and '-' alone, 60 at most, and not 'inference' or 'prompt'",
    ),
]


@dataclass(frozen=True)
class Variant:
    """One way to fine-tune."""

    name: VariantName
    """Short name, used in case ids and file names."""
    adapter: Annotated[Mapping[str, Any], Meta(description=_ADAPTER)] = field(default_factory=dict, hash=False)
    """Settings of a peft configuration, `peft_type` among them; protocol and candidate have what is left out. Without
    any, every weight is trained."""
    base: Annotated[Mapping[str, Any], Meta(description=_BASE)] = field(default_factory=dict, hash=False)
    """Settings of transformers' `BitsAndBytesConfig`, for a quantised base; without any, it is loaded in bfloat16."""
    training: Annotated[Mapping[str, Any], Meta(description=_TRAINING)] = field(default_factory=dict, hash=False)
    """Settings of transformers' `TrainingArguments`, over those of the protocol."""

    def __post_init__(self) -> None:
        if self.adapter and not isinstance(self.adapter.get("peft_type"), str):
            raise ValueError(f"adapter = {self.adapter!r}, which must be {_ADAPTER}")
        if self.base and True not in (self.base.get("load_in_4bit"), self.base.get("load_in_8bit")):
            raise ValueError(f"base = {self.base!r}, which must be {_BASE}")
        if self.base and not self.adapter:
            raise ValueError("base and no adapter: quantised weights cannot be trained, so give it an adapter")
        if not set(self.training) <= set(_SETTINGS):
            raise ValueError(f"training = {self.training!r}, which must be {_TRAINING}")

    def protocol(self, protocol: Protocol) -> Protocol:
        """The experiment with this variant's own training settings; raises InputError for one of the wrong kind."""
        return with_settings(protocol, {_SETTINGS[key]: value for key, value in self.training.items()})

    @property
    def rank(self) -> int | None:
        """The rank of a LoRA adapter; None for another kind of adapter."""
        rank = self.adapter.get("r")
        return rank if self.adapter.get("peft_type") == "LORA" and isinstance(rank, int) else None

    def at_rank(self, rank: int) -> Self:
        """The same at another LoRA rank."""
        return replace(self, name=f"{self.name} at rank {rank}", adapter={**self.adapter, "r": rank})

    def is_like(self, other: Self) -> bool:
        """Whether the two differ in their LoRA rank alone, so that one's memory tells of the other's."""
        return None not in (self.rank, other.rank) and (
            ({**self.adapter, "r": 0}, self.base, self.training)
            == ({**other.adapter, "r": 0}, other.base, other.training)
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields in a form JSON can hold, without a base that is not quantised."""
        return {name: value for name, value in asdict(self).items() if name != "base" or value}


def lora(rank: int) -> Variant:
    """LoRA at a rank, all else as the protocol has it."""
    return Variant(f"r{rank}", {"peft_type": "LORA", "r": rank})


def read_variants(path: Path) -> tuple[Variant, ...]:
    """Every variant of a TOML file, in its order; raises InputError for one that is wrong."""
    variants = tuple(read_tables(path, "variant", Variant, what="variants file", option="--variants-file"))
    for variant in variants:
        try:
            variant.protocol(Protocol())
        except InputError as error:
            raise InputError(f"variant {variant.name!r} in {path} has a wrong training value: {error}") from None
    return variants


@cache
def shipped(name: str) -> Variant:
    """A variant of the suite's own `data/variants.toml`, by its name."""
    return select_variants(read_variants(DATA / "variants.toml"), name)[0]


def select_variants(known: Sequence[Variant], names: str) -> tuple[Variant, ...]:
    """The variants named in a comma-separated list, in its order; raises InputError for an unknown or repeated name."""
    by_name = {variant.name: variant for variant in known}
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in by_name]:
        raise InputError(f"variant {unknown[0]!r} is unknown: choose with --variants among {', '.join(by_name)}")
    if len(set(wanted)) < len(wanted):
        raise InputError(f"--variants {names} names a variant more than once: name it once")
    return tuple(by_name[name] for name in wanted)


def variants_of_ranks(known: Sequence[Variant], ranks: str) -> tuple[Variant, ...]:
    """The variants that `16,32,64` is short for: `r16`, `r32`, `r64`, made where the file has none.

    Raises InputError unless every rank is a whole number from 1 to 9999 and none comes twice.
    """
    parts = [part.strip() for part in ranks.split(",")]
    if not all(map(_RANK.fullmatch, parts)) or len(set(map(int, parts))) < len(parts):
        raise InputError(f"LoRA ranks {ranks[:60]!r} must be different whole numbers from 1 to 9999, such as 16,32,64")
    by_name = {variant.name: variant for variant in known}
    return tuple(by_name.get(f"r{int(part)}", lora(int(part))) for part in parts)


def ends_of(variant: Variant, variants: Sequence[Variant]) -> tuple[Variant, Variant] | None:
    """Of the variants that differ from one in rank alone, the lowest and the highest, if it lies between them."""
    alike = by_rank(variant, variants)
    return (alike[0], alike[-1]) if alike and rank_of(alike[0]) < rank_of(variant) < rank_of(alike[-1]) else None


def rank_of(variant: Variant) -> int:
    """The rank of a variant that has one."""
    assert variant.rank is not None
    return variant.rank


def by_rank(variant: Variant, variants: Sequence[Variant]) -> list[Variant]:
    """Those that differ from a variant in rank alone, itself included, by rank; none for one without a rank."""
    return sorted((each for each in variants if each.is_like(variant)), key=rank_of)
