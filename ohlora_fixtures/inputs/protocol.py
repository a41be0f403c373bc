"""The experiment's settings: one frozen dataclass, the study's by default."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..base.errors import InputError
from ..base.messages import Message, message


@dataclass(frozen=True)
class Rows:
    """A half-open range of rows, written `120:140`."""

    start: int
    """First row."""
    stop: int
    """One past the last row."""

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Protocol:
    """Everything about an experiment that is not the candidate, its variant or the machine."""

    lora_alpha: int = 16
    """LoRA scaling numerator: updates are scaled by alpha / rank."""
    lora_dropout: float = 0.05
    """Dropout before each adapter, 0 to below 1."""
    fine_tuning_rows: Rows = Rows(120, 140)
    """Which of the dataset's usable train rows to train on."""
    max_row_tokens: int = 512
    """Longer training rows are cut off here, tokens."""
    batch_size: int = 4
    """Rows a step, whatever the number of GPUs."""
    epochs: int = 10
    """Passes over the fine-tuning rows."""
    learning_rate: float = 2e-4
    """Peak learning rate, decayed linearly to zero."""
    optimizer: str = "adamw_torch"
    """Name of a `transformers` optimizer."""
    max_grad_norm: float = 1.0
    """Gradient clipping norm."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them."""
    prompt_rows: Rows = Rows(81, 106)
    """Which of the dataset's usable train rows to answer."""
    max_length: int = 80
    """Prompt and answer together, tokens."""
    warm_up_steps: int = 5
    """First training steps, left out of the steady step time."""
    warm_up_prompts: int = 1
    """First prompts, left out of the steady prompt time."""
    seed: int = 42
    """Seed of initialisation, shuffling, dropout and sampling."""

    @property
    def steps(self) -> int:
        """Optimizer steps of a fine-tuning case."""
        return self.epochs * -(-len(self.fine_tuning_rows) // self.batch_size)

    def as_dict(self) -> dict[str, Any]:
        """The fields in a form JSON can hold."""
        return {name: str(value) if name.endswith("_rows") else value for name, value in self._values().items()}

    def hash(self) -> str:
        """Twelve hex digits that differ when any setting differs."""
        canonical = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def changes(self) -> tuple[Message, ...]:
        """What differs from the study's protocol, such as `epochs 1 instead of 10`."""
        study = Protocol().as_dict()
        return tuple(
            message("change.setting", name=name, value=value, study=study[name])
            for name, value in self.as_dict().items()
            if value != study[name]
        )

    def _values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def parse_protocol(settings: Iterable[str]) -> Protocol:
    """The study's protocol with `NAME=VALUE` settings put over it.

    Raises InputError for an unknown name or a value of the wrong kind.
    """
    protocol = Protocol()
    known = asdict(protocol)
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or name not in known:
            raise InputError(f"protocol setting {setting!r} is not NAME=VALUE with one of the names {', '.join(known)}")
        protocol = replace(protocol, **{name: _parse(name, getattr(protocol, name), text.strip())})
    return protocol


def with_settings(protocol: Protocol, settings: Mapping[str, Any]) -> Protocol:
    """The protocol with other values, as TOML has them.

    Raises InputError for a value of the wrong kind.
    """
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}
    return replace(protocol, **{name: _parse(name, getattr(protocol, name), text) for name, text in texts.items()})


def _parse(name: str, default: Any, text: str) -> Any:
    kind, reader = _READERS_BY_NAME.get(name) or _READERS[type(default)]
    try:
        value = reader(text)
    except (ValueError, KeyError):
        value = None
    if value is None:
        raise InputError(f"protocol setting {name}={text!r} needs {kind}, such as {name}={default}")
    return value


def _number(read: Callable[[str], float], least: float, below: float) -> Callable[[str], float]:
    def reader(text: str) -> float:
        value = read(text)
        if not least <= value < below:
            raise ValueError
        return value

    return reader


def _rows(text: str) -> Rows:
    start, stop = map(int, text.split(":"))
    if not 0 <= start < stop:
        raise ValueError
    return Rows(start, stop)


_READERS: dict[type, tuple[str, Any]] = {
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("a whole number of at least 1", _number(int, 1, math.inf)),
    float: ("a finite number of at least 0", _number(float, 0, math.inf)),
    str: ("a name", str),
    Rows: ("a range START:STOP with START below STOP", _rows),
}

_READERS_BY_NAME: dict[str, tuple[str, Any]] = {
    "lora_dropout": ("a number from 0 to below 1", _number(float, 0, 1)),
    "seed": ("a whole number from 0 to below 2^32", _number(int, 0, 2**32)),
    "warm_up_steps": ("a whole number of at least 0", _number(int, 0, math.inf)),
    "warm_up_prompts": ("a whole number of at least 0", _number(int, 0, math.inf)),
}
