"""The experiment's settings: one frozen dataclass, the study's by default."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, get_args, get_type_hints

from msgspec import Meta, convert

from ..base.errors import InputError
from ..base.messages import Message, message


@dataclass(frozen=True)
class Rows:
    """A half-open range of rows, written `120:140`; `random 0:20` or `valid 0:25` of the rows that this names."""

    start: int
    stop: int
    of: str = ""
    """Usable train rows in the file's order, or for `random` in a shuffled one; for `valid` the valid rows."""

    def __str__(self) -> str:
        return f"{self.of} {self.start}:{self.stop}".lstrip()

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Sampling:
    """Settings of `generate` by which answers are sampled; without any, those of the model's makers.

    These are in its `generation_config.json`. With any of one's own, none of the makers' counts.
    """

    temperature: Annotated[float, Meta(gt=0, le=100)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=10**6)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=100)] | None = None

    @property
    def own(self) -> dict[str, float]:
        """Those that are set, by name."""
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in named if value is not None}

    def __str__(self) -> str:
        return ",".join(f"{name}={value:g}" for name, value in self.own.items()) or "model"


_ROWS_OF = ("", "random", "valid")
_Count = Annotated[int, Meta(ge=1, le=10**6, description="a whole number from 1 to 1,000,000")]
_CountOrNone = Annotated[int, Meta(ge=0, le=10**6, description="a whole number from 0 to 1,000,000")]
_Epochs = Annotated[int, Meta(ge=1, le=10**4, description="a whole number from 1 to 10,000")]
_Length = Annotated[int, Meta(ge=1, le=2**17, description="a whole number from 1 to 131,072")]
_Range = Annotated[Rows, Meta(description="a range START:STOP with START below STOP")]
_Number = Annotated[float, Meta(ge=0, le=sys.float_info.max, description="a finite number of at least 0")]


_LATER = frozenset({"gradient_accumulation_steps", "empty_cache_steps", "sampling"})
"""Settings that first records do not have: at their defaults they change no hash."""


@dataclass(frozen=True)
class Protocol:
    """Everything about an experiment that is not the candidate, its variant or the machine."""

    lora_alpha: _Count = 16
    """LoRA scaling numerator: updates are scaled by alpha / rank."""
    lora_dropout: Annotated[float, Meta(ge=0, lt=1, description="a number from 0 to below 1")] = 0.05
    """Dropout before each adapter, 0 to below 1."""
    fine_tuning_rows: _Range = Rows(120, 140)
    """Which of the dataset's usable rows to train on."""
    max_row_tokens: _Count = 512
    """Longer training rows are cut off here, tokens."""
    batch_size: _Count = 4
    """Rows of a batch, whatever the number of GPUs."""
    gradient_accumulation_steps: _Count = 1
    """Batches a step."""
    epochs: _Epochs = 10
    """Passes over the fine-tuning rows."""
    learning_rate: _Number = 2e-4
    """Peak learning rate, decayed linearly to zero."""
    optimizer: Annotated[str, Meta(description="a name")] = "adamw_torch"
    """A name that `transformers` knows."""
    max_grad_norm: _Number = 1.0
    gradient_checkpointing: Annotated[bool, Meta(description="true or false")] = False
    """Recompute activations in the backward pass instead of keeping them."""
    empty_cache_steps: _CountOrNone = 0
    """Give cached memory back before every so-manieth step's backward pass, the first included; 0 for never."""
    prompt_rows: _Range = Rows(81, 106)
    """Which of the dataset's usable rows to answer."""
    max_length: _Length = 80
    """Prompt and answer together, tokens."""
    sampling: Annotated[Sampling, Meta(description="model, or settings of generate")] = Sampling()
    """How answers are sampled: `model` as its makers set it, or such as `temperature=0.7,top_p=0.9`."""
    warm_up_steps: _CountOrNone = 5
    """First training steps, left out of the steady step time."""
    warm_up_prompts: _CountOrNone = 1
    """First prompts, left out of the steady prompt time."""
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="a whole number from 0 to below 2^32")] = 42
    """Seed of initialisation, shuffling, dropout and sampling."""

    @property
    def steps(self) -> int:
        """Optimizer steps of a fine-tuning case."""
        batches = -(-len(self.fine_tuning_rows) // self.batch_size)
        return self.epochs * -(-batches // self.gradient_accumulation_steps)

    def as_dict(self) -> dict[str, Any]:
        """The fields in a form JSON can hold."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) if isinstance(value, (Rows, Sampling)) else value for name, value in values.items()}

    def hash(self) -> str:
        """Twelve hex digits that differ when any setting differs."""
        plain = Protocol().as_dict()
        said = {name: value for name, value in self.as_dict().items() if name not in _LATER or value != plain[name]}
        canonical = json.dumps(said, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def changes(self) -> tuple[Message, ...]:
        """What differs from the study's protocol, such as `epochs 1 instead of 10`."""
        study = Protocol().as_dict()
        return tuple(
            message("change.setting", name=name, value=value, study=study[name])
            for name, value in self.as_dict().items()
            if value != study[name]
        )


def parse_protocol(settings: Iterable[str], over: Protocol = Protocol()) -> Protocol:
    """A protocol with `NAME=VALUE` settings put over it; raises InputError for a wrong name or value."""
    known = [field.name for field in fields(Protocol)]
    values = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or name not in known:
            raise InputError(f"protocol setting {setting!r} is not NAME=VALUE with one of the names {', '.join(known)}")
        values[name] = text.strip()
    return with_settings(over, values)


def with_settings(protocol: Protocol, settings: Mapping[str, Any]) -> Protocol:
    """The protocol with other values, each a text or as TOML has it; raises InputError for one of the wrong kind."""
    return replace(protocol, **{name: _parse(protocol, name, str(value)) for name, value in settings.items()})


def _parse(protocol: Protocol, name: str, text: str) -> Any:
    """A setting's value, as its annotation wants it; the one that the protocol has is shown in the error."""
    kind, meta = get_args(get_type_hints(Protocol, include_extras=True)[name])
    read = {Rows: _rows, Sampling: _sampling}.get(kind)
    try:
        return convert(read(text) if read else text, Annotated[kind, meta], strict=False)
    except ValueError:
        example = f"{name}={_EXAMPLES.get(name, getattr(protocol, name))}"
        raise InputError(f"protocol setting {name}={text!r} needs {meta.description}, such as {example}") from None


def _rows(text: str) -> Rows:
    of, _, span = text.rpartition(" ")
    start, stop = map(int, span.split(":"))
    if of not in _ROWS_OF or not 0 <= start < stop:
        raise ValueError
    return Rows(start, stop, of)


def _sampling(text: str) -> Sampling:
    asked = [setting.partition("=")[::2] for setting in text.split(",")] if text != "model" else []
    if len(dict(asked)) < len(asked) or not {name for name, _ in asked} <= {each.name for each in fields(Sampling)}:
        raise ValueError
    return convert({name: int(value) if name == "top_k" else float(value) for name, value in asked}, Sampling)


_EXAMPLES = {"sampling": "temperature=0.7,top_p=0.9"}
"""Where the value that a protocol has says too little."""
