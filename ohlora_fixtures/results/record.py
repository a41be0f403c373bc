"""One result a case: what was measured, what was planned and how good the answers are, each as its meter returns it."""

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Self

import msgspec

from ..base import safe_text
from ..base.messages import Message, message
from ..inputs.cases import INFERENCE, Case
from ..inputs.dataset import OWN_DATASET
from ..inputs.settings import Settings
from ..meters.card import CardReading
from ..meters.memory import MemoryReading, is_leak
from ..meters.meter import Measurement, Utilization, steady
from ..planner.plan import Plan
from ..workloads.fine_tuning import FineTuned
from ..workloads.inference import Answered
from .environment import Environment

SCHEMA = 2
"""The form of a line in `records.jsonl`; `flat.py` reads the form before it, which named no version."""

Ending = Literal["passed", "failed", "over_budget", "out_of_memory", "error", "skipped"]

_LARGEST = 2.0**63
"""No figure of a record comes near it, and each below it can be shown."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended."""

    kind: Ending
    reason: Message | None = None
    """Why it did not pass."""


@dataclass(frozen=True)
class Experiment:
    """What was asked of a case: records compare if these agree."""

    protocol: dict[str, Any]
    protocol_hash: str
    """Twelve hex digits of the protocol: records with the same hash ran the same experiment."""
    protocol_changes: tuple[Message, ...]
    """What differs from the study's protocol; empty if nothing does."""
    dataset_sha256: str
    budget_mib: float
    variant: dict[str, Any] | None = None
    """The variant's settings: its `adapter`, its `training`, and the `base` of one that is quantised."""
    dataset_rows: int | None = None
    """Rows to train on in the user's own dataset, of which the protocol takes some; None with the suite's."""

    def row_count(self, setting: str) -> int:
        """How many rows a setting of the protocol takes, such as `120:140`; 0 if it does not tell."""
        found = re.fullmatch(r"(?:[a-z]+ )?([0-9]{1,9}):([0-9]{1,9})", str(self.protocol.get(setting)))
        return max(0, int(found[2]) - int(found[1])) if found else 0


@dataclass(frozen=True)
class Measured:
    """What was measured of a case; None for a quantity that does not apply or could not be read."""

    parameters: int | None = None
    """Parameters of the model that ran, tied weights counted once."""
    trainable_parameters: int | None = None
    tokenizer: str | None = None
    """`own`, or `stand-in` for one trained on the dataset."""
    seconds: float | None = None
    """Wall time of the workload, device-synchronised, model loading excluded."""
    contradicted_seconds: float | None = None
    """What was published as `seconds` and is contradicted by its own raw data, which `seconds` then has."""
    seconds_each: tuple[float, ...] | None = None
    """Time of each step or prompt, warm-up included."""
    steady_median_seconds: float | None = None
    """Median time of a step or prompt after the warm-up."""
    steady_iqr_seconds: float | None = None
    """Its interquartile range."""
    tokens: int | None = None
    """Tokens trained on (padding excluded), or generated."""
    rows_cut: int | None = None
    """Rows trained on that are cut at the protocol's `max_row_tokens`, None for inference."""
    long_answers: int | None = None
    """Prompts whose own answer does not fit in the protocol's `max_length`, None for fine-tuning."""
    sampling: dict[str, float | int | bool | None] | None = None
    """By which settings of `generate` its answers were sampled, the makers' and transformers' own among them."""
    losses: tuple[float | None, ...] | None = None
    """Training loss of each step, nats a token; None for one that is not a finite number, or beyond all sense."""
    memory: MemoryReading = field(default_factory=MemoryReading)
    cap_mib: float | None = None
    """On a GPU larger than the budget: what the allocator's segments were capped at."""
    requested_mib: float | None = None
    """Out of memory: the request that did not fit."""
    leaked_mib: float | None = None
    """On a GPU: how much more was live after the case than before it."""
    card: CardReading = field(default_factory=CardReading)
    """How the GPU was meanwhile."""
    utilization: Utilization = field(default_factory=Utilization)
    """How near the GPU's limits the run came."""

    @property
    def has_diverged(self) -> bool:
        """Whether a step's loss was not a finite number."""
        return None in (self.losses or ())

    def with_run(self, measurement: Measurement[Answered | FineTuned], warm_up: int) -> Self:
        """The same with a run's figures."""
        settled = steady(measurement.seconds_each, warm_up)
        result, memory = measurement.result, measurement.memory
        losses, sampling = None, self.sampling
        if isinstance(result, FineTuned):
            losses = tuple(loss if abs(loss) < _LARGEST else None for loss in result.losses)
        else:  # the study read inference's figure before the first prompt
            sampling = result.sampling
            memory = replace(memory, allocated_after_mib=memory.allocated_before_mib)
        return replace(
            self,
            seconds=measurement.seconds,
            seconds_each=measurement.seconds_each,
            steady_median_seconds=settled.median_seconds if settled else None,
            steady_iqr_seconds=settled.iqr_seconds if settled else None,
            tokens=result.tokens,
            losses=losses,
            sampling=sampling,
            memory=memory,
            card=measurement.card or CardReading(),
        )


@dataclass(frozen=True)
class Assessment:
    """How good a case's model is; None for what was not judged."""

    score: float | None = None
    """How good the answers are, computed, 0 to 100; None at random weights."""
    each: tuple[float, ...] | None = None
    """What is left of each answer by its surface, 0 to 100, in the prompts' order."""
    interval: tuple[float, float] | None = None
    """95 % interval of the score over the prompts, lower and upper end."""
    grade: str | None = None
    """최상, 상, 중, 하 or 최하: the score's fifth."""
    parts: dict[str, float] | None = None
    """What the score is made of, each from 0 to 1; `expected` of an earlier version stands where `matched` does now."""
    trained_nats_per_character: float | None = None
    """Negative log-likelihood of the fine-tuning rows' answers a character, under the model as it is after the case."""
    held_out_nats_per_character: float | None = None
    """Likewise, of rows that it was not trained on."""
    held_out_loss: float | None = None
    """The same rows, in nats a token."""
    untuned_trained_nats_per_character: float | None = None
    """Fine-tuning: what `trained_nats_per_character` is before it."""
    untuned_held_out_nats_per_character: float | None = None
    """Likewise."""
    untuned_held_out_loss: float | None = None
    """Likewise."""
    is_overfitted: bool | None = None
    """Fine-tuning: whether the model has learned its rows by heart and not what they have in common with others."""
    not_judged: Message | None = None
    """Why there is no score."""


@dataclass(frozen=True)
class Record:
    """One case's result."""

    case: Case
    outcome: Outcome
    experiment: Experiment
    environment: Environment
    measured: Measured = field(default_factory=Measured)
    """What was measured; nothing in a plan's record."""
    plan: Plan | None = None
    """A plan's own; or of a case measured on a GPU at full size, made for the very lengths of the run."""
    quality: Assessment = field(default_factory=Assessment)
    answers: int | None = None
    """How many answers it has in `answers/<candidate>.csv`; None for none, and where an older record does not tell."""
    schema: int = SCHEMA

    @property
    def peak_device_mib(self) -> float | None:
        """What is taken of the card, MiB, as planned for a plan, which has room enough, and as measured otherwise."""
        if self.case.is_planned:
            return self.plan.peak_device_mib if self.plan else None
        return self.measured.memory.peak_device_mib

    @property
    def needs_device_mib(self) -> float | None:
        """What the card must have, MiB: a plan's own figure if it has one, else the peak."""
        planned = self.plan.needs_device_mib if self.case.is_planned and self.plan else None
        return self.peak_device_mib if planned is None else planned

    @property
    def limit_mib(self) -> float:
        """What it is held to: the budget, and for a plan never more than one process can have of the card."""
        budget_mib, usable_mib = self.experiment.budget_mib, self.environment.usable_mib
        return min(budget_mib, usable_mib) if usable_mib and usable_mib > 0 else budget_mib

    @property
    def taints(self) -> tuple[Message, ...]:
        """What makes its figures doubtful."""
        return self.measured.card.taints or ()

    @property
    def seconds_a_prompt(self) -> float | None:
        """Of an inference case: the median after the warm-up, or of all prompts if none is left; else the mean."""
        measured = self.measured
        if measured.steady_median_seconds is not None:
            return measured.steady_median_seconds
        if measured.seconds_each:
            return statistics.median(measured.seconds_each)
        prompts = self.experiment.row_count("prompt_rows")
        return measured.seconds / prompts if measured.seconds is not None and prompts else None

    @property
    def seconds(self) -> float | None:
        """The time that a case is compared by: of the whole fine-tuning run, or of one prompt; of a plan, planned."""
        if self.case.is_planned:
            return self.plan.seconds if self.plan else None
        return self.seconds_a_prompt if self.case.workload == INFERENCE else self.measured.seconds

    @property
    def contradicted_seconds(self) -> float | None:
        """The published time in place of `seconds`, where its own raw data contradict it."""
        published = self.measured.contradicted_seconds
        return published and replace(self, measured=replace(self.measured, seconds=published)).seconds

    @property
    def memory_mib(self) -> float | None:
        """The memory that a measured case is compared by, MiB: the device's, or what there is in its place."""
        memory = self.measured.memory
        figures = (memory.peak_device_mib, memory.peak_rss_growth_mib, memory.allocated_after_mib)
        return next((figure for figure in figures if figure is not None), None)

    def ended(self, outcome: Outcome, leaked_mib: float | None) -> Self:
        """The record once its case is torn down: a leak taints it, and a teardown that failed is the case's failure."""
        card = self.measured.card
        if leaked_mib is not None and is_leak(leaked_mib):
            card = replace(card, taints=(*self.taints, message("taint.leaked", mib=leaked_mib)))
        measured = replace(self.measured, leaked_mib=leaked_mib, card=card)
        return replace(self, outcome=self.outcome if self.outcome.kind != "passed" else outcome, measured=measured)

    def as_dict(self) -> dict[str, Any]:
        """The record in a form JSON can hold, with its case's id: it has no NaN and no infinity."""
        facts: dict[str, Any] = plain(self)
        return {"schema": facts.pop("schema"), **facts, "case": {"id": self.case.id, **facts["case"]}}

    def as_line(self) -> bytes:
        """The record's line in `records.jsonl`."""
        return safe_text.json_line(self.as_dict())


def record_of(facts: Mapping[str, Any]) -> Record:
    """The record that `as_dict` made such facts of; fields that this version does not know are left out.

    Raises TypeError for what is no record: what is there must be of its kind, and a figure finite.
    """
    figures = {name: value for name, value in facts.items() if name != "experiment"}  # settings may be of any size
    if not _are_showable(figures):  # asked first: some versions of msgspec fail on an int that no float can hold
        raise TypeError(facts)
    try:
        record = msgspec.convert(facts, Record)
    except (msgspec.ValidationError, KeyError) as error:
        raise TypeError(str(error)) from None
    if record.schema != SCHEMA or not 0 < record.experiment.budget_mib < _LARGEST:
        raise TypeError(facts)
    return record


def experiment_of(settings: Settings, case: Case) -> Experiment:
    """What the user asked of a case."""
    variant = next((each for each in settings.variants if each.name == case.variant), None)
    return Experiment(
        protocol=settings.protocol.as_dict(),
        protocol_hash=settings.protocol.hash(),
        protocol_changes=settings.protocol.changes(),
        dataset_sha256=settings.dialogues.sha256,
        budget_mib=settings.budget_mib,
        variant={name: value for name, value in variant.as_dict().items() if name != "name"} if variant else None,
        dataset_rows=None if settings.dialogues.path == OWN_DATASET else len(settings.dialogues.usable_train_rows),
    )


def plain(value: Any) -> Any:
    """A value in a form JSON can hold: dataclasses as objects with all their fields, and no NaN and no infinity."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):  # of thousands of figures, often
        return [each if type(each) is float and math.isfinite(each) else plain(each) for each in value]
    if names := _field_names(value.__class__):  # most of them None, often
        found = [(name, getattr(value, name)) for name in names]
        return {name: None if each is None else plain(each) for name, each in found}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


def _are_showable(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    if isinstance(value, (int, float)):
        return -_LARGEST < value < _LARGEST
    if isinstance(value, Mapping):
        return all(map(_are_showable, value.values()))
    if value and set(map(type, value)) == {float}:  # of thousands of figures, often; a sum has its parts' NaN
        return not math.isnan(sum(value)) and -_LARGEST < min(value) <= max(value) < _LARGEST
    return all(map(_are_showable, value))
