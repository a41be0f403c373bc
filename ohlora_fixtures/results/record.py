"""One result a case."""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..base import safe_text
from ..base.versions import versions
from ..meters.memory import is_leak
from ..meters.meter import steady
from ..workloads.fine_tuning import FineTuned
from ..workloads.inference import Answered

if TYPE_CHECKING:
    from ..inputs.settings import Settings
    from ..meters.memory import MemoryReading
    from ..meters.meter import Measurement
    from ..planner.plan import Plan


@dataclass(frozen=True)
class Record:
    """One case's result; None for a quantity that does not apply or could not be read."""

    case: str
    """The case's id, such as `bench_fine_tuning[gemma-2-2b-it-r16]`."""
    candidate: str
    """The candidate's name."""
    workload: str
    """`plan`, `inference` or `fine_tuning`."""
    lora_rank: int | None
    """The LoRA rank of a fine-tuning case or of its plan."""
    outcome: str
    """`passed`, `failed`, `over_budget`, `out_of_memory`, `error` or `skipped`."""
    reason: str | None
    """Why the case did not pass, in one line."""
    protocol: dict[str, Any]
    """The experiment's settings."""
    protocol_hash: str
    """Twelve hex digits of them: records with the same hash ran the same experiment."""
    protocol_changes: list[str]
    """What differs from the study's protocol; empty if nothing does."""
    dataset_sha256: str
    """Digest of the dataset's bytes."""
    budget_mib: float
    """The VRAM budget in force."""
    versions: dict[str, str]
    """Python's and the libraries' versions."""
    planned_workload: str | None = None
    """What a plan is the plan of."""
    scale: str | None = None
    """`full` or `mini`."""
    weights: str | None = None
    """`hub` or `random`."""
    tokenizer: str | None = None
    """`own`, or `stand-in` for one trained on the dataset; a plan's lengths can be `estimated`."""
    device: str | None = None
    """The device's name; a plan's is the card planned for."""
    gpu_profile: str | None = None
    """Plan: the name of the card's profile."""
    parameters: int | None = None
    """Parameters of the model that ran, tied weights counted once."""
    trainable_parameters: int | None = None
    """Parameters of the adapter."""
    seconds: float | None = None
    """Wall time of the workload, device-synchronised, model loading excluded."""
    seconds_each: list[float] | None = None
    """Time of each step or prompt, warm-up included."""
    steady_median_seconds: float | None = None
    """Median time of a step or prompt after the warm-up."""
    steady_iqr_seconds: float | None = None
    """Its interquartile range."""
    tokens: int | None = None
    """Tokens trained on (padding excluded), or generated."""
    allocated_after_mib: float | None = None
    """CUDA: bytes in live blocks after loading (inference) or training, the study's "max memory"."""
    peak_allocated_mib: float | None = None
    """CUDA: most bytes in live blocks."""
    peak_reserved_mib: float | None = None
    """CUDA: most bytes in the caching allocator's segments."""
    peak_device_mib: float | None = None
    """CUDA: what the card must have, reserved and context; the budget is enforced on it."""
    peak_rss_growth_mib: float | None = None
    """CPU: growth of the process's resident set."""
    context_mib: float | None = None
    """The CUDA context: measured, or a plan's from the GPU profile; `peak_device_mib` is reserved and context."""
    breakdown_mib: dict[str, float] | None = None
    """Plan: what the live blocks held when most was allocated; adds up to `peak_allocated_mib`."""
    longest_tokens: int | None = None
    """Plan: tokens that the longest batch is padded to, or of the longest prompt."""
    advice: dict[str, Any] | None = None
    """Plan at the first rank: the largest batch and rank that fit, and what gradient checkpointing saves."""
    planned_allocated_after_mib: float | None = None
    """On a GPU at full size: what the case's plan says, made for the very lengths of the run."""
    planned_peak_allocated_mib: float | None = None
    """Likewise."""
    planned_peak_reserved_mib: float | None = None
    """Likewise."""
    planned_peak_device_mib: float | None = None
    """Likewise, with the GPU profile's CUDA context."""
    cap_mib: float | None = None
    """On a GPU larger than the budget: what the allocator's segments were capped at."""
    requested_mib: float | None = None
    """Out of memory: the request that did not fit."""
    leaked_mib: float | None = None
    """On a GPU: how much more was live after the case than before it."""
    taints: list[str] | None = None
    """On a GPU: what makes the figures doubtful, a phrase each; empty if nothing was seen."""
    highest_temperature_c: int | None = None
    """On a GPU: the hottest sample."""
    lowest_sm_clock_mhz: int | None = None
    """On a GPU: the slowest sample within the run."""
    native_bf16: bool | None = None
    """On a GPU: whether it computes in bf16 itself; otherwise PyTorch emulates it, slowly."""
    allocator_settings: str | None = None
    """PYTORCH_ALLOC_CONF or PYTORCH_CUDA_ALLOC_CONF; reserved memory depends on it."""
    cublas_workspace_config: str | None = None
    """CUBLAS_WORKSPACE_CONFIG; None for PyTorch's default."""
    attention_backends: list[str] | None = None
    """On a GPU: the backends of scaled dot product attention that PyTorch may take."""
    flops: int | None = None
    """Fine-tuning on a GPU: floating-point operations of all steps, matrix products and attention alone."""
    tflops_per_second: float | None = None
    """Fine-tuning on a GPU: 10^12 of them a second after the warm-up."""
    matrix_peak_tflops: float | None = None
    """Fine-tuning on a GPU: the card's peak of matrix products, by its profile."""
    flops_utilization: float | None = None
    """Fine-tuning on a GPU: the share of it that was reached."""
    moved_bytes: int | None = None
    """Inference on a GPU: bytes that matrix products and attention moved at least."""
    gb_per_second: float | None = None
    """Inference on a GPU: 10^9 of them a second after the warm-up."""
    bandwidth_peak_gb_per_second: float | None = None
    """Inference on a GPU: the bandwidth of the card's memory, by its profile."""
    bandwidth_utilization: float | None = None
    """Inference on a GPU: the share of it that was reached."""
    losses: list[float | None] | None = None
    """Training loss of each step, nats a token; None for one that is not a finite number."""
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
    quality_score: float | None = None
    """How good the answers are, computed, 0 to 100; None at random weights."""
    quality_each: list[float] | None = None
    """What is left of each answer by its surface, 0 to 100, in the prompts' order."""
    quality_interval: list[float] | None = None
    """Its 95 % interval over the prompts, lower and upper end."""
    quality_grade: str | None = None
    """최상, 상, 중, 하 or 최하: the score's fifth."""
    quality_parts: dict[str, float] | None = None
    """What the score is made of: shares of the answers, or of their characters, from 0 to 1."""
    not_judged: str | None = None
    """Why there is no score."""

    def as_dict(self) -> dict[str, Any]:
        """The fields in a form JSON can hold: it has no NaN and no infinity."""
        facts = {name: _finite(value) for name, value in vars(self).items()}  # copying lists would take longer
        if self.losses is not None:
            facts["losses"] = list(map(_finite, self.losses))
        return facts


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def seconds_a_prompt(record: Record) -> float | None:
    """Of an inference case: the median after the warm-up, or of all prompts if none is left; else the mean."""
    if record.steady_median_seconds is not None:
        return record.steady_median_seconds
    if record.seconds_each:
        return statistics.median(record.seconds_each)
    rows = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", str(record.protocol.get("prompt_rows")))
    prompts = int(rows[2]) - int(rows[1]) if rows else 0
    return record.seconds / prompts if record.seconds is not None and prompts > 0 else None


def ended(record: Record, outcome: str, reason: str | None, leaked_mib: float | None) -> Record:
    """A case's record once it is torn down: a leak taints it, and a teardown that failed is the case's failure."""
    taints = record.taints
    if is_leak(leaked_mib):
        taints = [*(taints or ()), f"the case has left {leaked_mib:.0f} MiB on the card"]
    if record.outcome != "passed":
        outcome, reason = record.outcome, record.reason
    return replace(record, outcome=outcome, reason=reason, leaked_mib=leaked_mib, taints=taints)


def as_line(record: Record) -> bytes:
    """A record's line in `records.jsonl`."""
    return safe_text.json_line(record.as_dict())


def facts_of_settings(settings: Settings) -> dict[str, Any]:
    """What the user asked for tells every record, by the record's field names."""
    return {
        "protocol": settings.protocol.as_dict(),
        "protocol_hash": settings.protocol.hash(),
        "protocol_changes": settings.protocol.changes(),
        "dataset_sha256": settings.dialogues.sha256,
        "budget_mib": settings.budget_mib,
        "versions": dict(versions()),
    }


def facts_of(measurement: Measurement[Any], warm_up: int) -> dict[str, Any]:
    """What a measured workload tells a record, by the record's field names."""
    settled = steady(measurement.seconds_each, warm_up)
    result = measurement.result
    memory = facts_of_memory(measurement.memory)
    if isinstance(result, Answered):  # the study read inference's figure before the first prompt
        memory["allocated_after_mib"] = measurement.memory.allocated_before_mib
    return {
        "seconds": measurement.seconds,
        "seconds_each": list(measurement.seconds_each),
        "steady_median_seconds": settled and settled.median_seconds,
        "steady_iqr_seconds": settled and settled.iqr_seconds,
        "tokens": result.tokens,
        "losses": list(result.losses) if isinstance(result, FineTuned) else None,
        **memory,
        **(asdict(measurement.card) if measurement.card else {}),
    }


def facts_of_memory(reading: MemoryReading) -> dict[str, Any]:
    """What was read of a run's memory, by the record's field names."""
    facts = asdict(reading)
    del facts["allocated_before_mib"]
    return facts


def facts_of_expected(plan: Plan | None) -> dict[str, Any]:
    """What its plan tells a measured case's record, by the record's field names."""
    names = ("allocated_after_mib", "peak_allocated_mib", "peak_reserved_mib", "peak_device_mib")
    return {f"planned_{name}": getattr(plan, name, None) for name in names}


def facts_of_plan(plan: Plan) -> dict[str, Any]:
    """What a plan tells a record, by the record's field names."""
    return plan.as_dict() | {"peak_device_mib": plan.peak_device_mib}


def compact(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts for pytest-benchmark's `extra_info`: without the lists, and without the time it measures itself."""
    return {name: value for name, value in facts.items() if name not in ("seconds", "seconds_each", "losses")}
