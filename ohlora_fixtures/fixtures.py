"""What a bench may ask for. Torch and transformers are imported by the first fixture that needs them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from . import cases, models
from .budget import Verdict
from .dialogues import encode_all, prompt_text
from .errors import CandidateError, one_line
from .meters.clock import Clock, CudaClock, WallClock
from .meters.device import CudaContext, Nvml, available_cores, describe_cpu
from .meters.memory import CudaMemory, HostMemory, Memory
from .meters.meter import Measurement, measure, steady
from .outcomes import CaseFailure
from .preflight import model_source
from .report.progress import progress_on_terminal
from .session import ANSWERS, CASE_FACTS, SESSION_FACTS
from .settings import SETTINGS, Settings
from .workloads.fine_tuning import FineTuned, attach_adapter, detach_adapter, trainable_parameters
from .workloads.inference import Answered

if TYPE_CHECKING:
    from peft import PeftModel

    from .candidates import Candidate
    from .dialogues import Dialogues, Example
    from .models import LoadedModel, ModelSource
    from .protocol import Protocol


@dataclass(frozen=True)
class Device:
    """The session's device and the instruments for it."""

    name: str
    """What records call it."""
    source: ModelSource
    """Where models come from, and onto which device they go."""
    clock: Clock
    """Times a run."""
    memory: Memory
    """Reads a run's memory."""


@pytest.fixture(scope="session")
def settings(pytestconfig: pytest.Config) -> Settings:
    """What the user asked for."""
    return pytestconfig.stash[SETTINGS]


@pytest.fixture(scope="session")
def protocol(settings: Settings) -> Protocol:
    """The experiment's settings."""
    return settings.protocol


@pytest.fixture(scope="session")
def dialogues(settings: Settings) -> Dialogues:
    """The dataset."""
    return settings.dialogues


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config, settings: Settings) -> Device:
    """The device, with threads pinned on the CPU and CUDA's context measured on a GPU."""
    context = CudaContext(Nvml())  # before CUDA is initialised
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gc.freeze()  # the libraries' own objects stay: looking through them again would cost every case 0.4 s
    source = model_source(settings)
    if source.device == "cpu":
        # A replica's operations are too small to share, and at full size two threads on one physical core
        # (or on a core that another process holds) wait for each other: half of the logical cores is safe.
        torch.set_num_threads(1 if source.scale == "mini" else max(1, available_cores() // 2))
        found = Device(describe_cpu(), source, WallClock(), HostMemory())
    else:
        properties = torch.cuda.get_device_properties(0)
        context.bind(f"GPU-{properties.uuid}")
        memory = CudaMemory(torch.cuda, context, torch._C._cuda_clearCublasWorkspaces)  # noqa: SLF001 - has no public name
        found = Device(properties.name, source, CudaClock(torch.cuda), memory)
    pytestconfig.stash[SESSION_FACTS] = {"device": found.name, "scale": source.scale, "weights": source.weights}
    return found


@pytest.fixture(scope="session")
def candidate(request: pytest.FixtureRequest) -> Candidate:
    """The candidate of a case."""
    found: Candidate = request.param
    return found


@pytest.fixture
def lora_rank(request: pytest.FixtureRequest) -> int:
    """The LoRA rank of a case."""
    rank: int = request.param
    return rank


@pytest.fixture(scope="session")
def loaded_model(device: Device, candidate: Candidate, dialogues: Dialogues) -> Iterator[LoadedModel]:
    """The candidate's model and tokenizer, loaded once for all its cases and let go before the next candidate's."""
    with _told_in_one_sentence():
        loaded = models.load(candidate, device.source, dialogues.texts(candidate.text_template))
    yield loaded
    models.release(loaded)


@pytest.fixture
def adapted_model(
    request: pytest.FixtureRequest, loaded_model: LoadedModel, lora_rank: int, protocol: Protocol
) -> Iterator[PeftModel]:
    """The candidate's model with a fresh adapter; afterwards its base is as it was."""
    with _told_in_one_sentence():
        adapted = attach_adapter(loaded_model.model, lora_rank, loaded_model.candidate.target_modules, protocol)
    _note(request, trainable_parameters=trainable_parameters(adapted))
    yield adapted
    detach_adapter(adapted)
    models.collect_garbage()


@pytest.fixture
def examples(loaded_model: LoadedModel, dialogues: Dialogues, protocol: Protocol) -> list[Example]:
    """The protocol's training rows, encoded with the candidate's tokenizer."""
    rows = dialogues.rows(protocol.fine_tuning_rows)
    template = loaded_model.candidate.text_template
    return encode_all(loaded_model.tokenizer, template, rows, protocol.max_row_tokens)


@pytest.fixture
def prompts(candidate: Candidate, dialogues: Dialogues, protocol: Protocol) -> list[str]:
    """The protocol's prompts, put into the candidate's template."""
    return [prompt_text(candidate.text_template, row.prompt) for row in dialogues.rows(protocol.prompt_rows)]


@pytest.fixture
def meter(
    request: pytest.FixtureRequest, benchmark: Any, device: Device, loaded_model: LoadedModel
) -> Callable[..., Measurement[Any]]:
    """Runs a workload once, measured by the suite's own meters and by pytest-benchmark.

    `meter(work, *arguments, total=50, unit="steps", warm_up=5)` calls `work(*arguments, tick)`.
    """

    def run(work: Callable[..., Any], *arguments: Any, total: int, unit: str, warm_up: int) -> Measurement[Any]:
        _note(request, parameters=loaded_model.parameters, tokenizer=loaded_model.tokenizer_origin)
        progress = progress_on_terminal(request.config, device.memory.now_mib, total, unit)
        watch = progress.tick if progress else None
        benchmark.group = cases.workload_of(request.node)
        try:
            with _told_in_one_sentence():
                measurement: Measurement[Any] = benchmark.pedantic(
                    measure, args=(lambda tick: work(*arguments, tick), device.clock, device.memory, watch)
                )
        finally:
            if progress:
                progress.stop()
        facts = _facts(measurement, warm_up)
        _note(request, **facts)
        kept = ("scale", "weights", "device", "parameters", "trainable_parameters", "tokens")
        known: dict[str, Any] = request.config.stash[SESSION_FACTS] | _facts_so_far(request)
        benchmark.extra_info.update({name: known.get(name) for name in (*kept, *_memory_facts(measurement))})
        return measurement

    return run


@pytest.fixture
def keep_answers(request: pytest.FixtureRequest, prompts: list[str]) -> Callable[[Answered], None]:
    """Keeps an inference case's answers for the session's `answers/<candidate>.csv`."""

    def keep(answered: Answered) -> None:
        request.node.stash[ANSWERS] = list(zip(prompts, answered.answers, strict=True))

    return keep


@pytest.fixture
def enforce_budget(settings: Settings) -> Callable[[Measurement[Any]], None]:
    """Fails the case, in one sentence, if its peak on the device exceeds the VRAM budget.

    Without a figure for the device, as on the CPU, there is nothing to judge.
    """

    def enforce(measurement: Measurement[Any]) -> None:
        if measurement.memory.peak_device_mib is None:
            return
        verdict = Verdict(measurement.memory.peak_device_mib, settings.budget_mib)
        if not verdict.within:
            raise CaseFailure("over_budget", verdict.sentence())

    return enforce


@contextmanager
def _told_in_one_sentence() -> Iterator[None]:
    try:
        yield
    except CandidateError as error:
        raise CaseFailure("error", str(error)) from None
    except Exception as error:
        if models.is_out_of_memory(error):
            raise CaseFailure("out_of_memory", one_line(error)) from None
        raise


def _note(request: pytest.FixtureRequest, **facts: Any) -> None:
    _facts_so_far(request).update(facts)


def _facts_so_far(request: pytest.FixtureRequest) -> dict[str, Any]:
    case: pytest.Item = request.node
    return case.stash.setdefault(CASE_FACTS, {})


def _facts(measurement: Measurement[Any], warm_up: int) -> dict[str, Any]:
    settled = steady(measurement.seconds_each, warm_up)
    result = measurement.result
    return {
        "seconds": measurement.seconds,
        "seconds_each": list(measurement.seconds_each),
        "steady_median_seconds": settled and settled.median_seconds,
        "steady_iqr_seconds": settled and settled.iqr_seconds,
        "tokens": result.tokens,
        "losses": list(result.losses) if isinstance(result, FineTuned) else None,
        **_memory_facts(measurement),
    }


def _memory_facts(measurement: Measurement[Any]) -> dict[str, float | None]:
    """The record's memory figures; the study read inference's before the first prompt."""
    facts = asdict(measurement.memory)
    before_mib = facts.pop("allocated_before_mib")
    if isinstance(measurement.result, Answered):
        facts["allocated_after_mib"] = before_mib
    return facts
