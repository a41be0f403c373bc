"""What a bench may ask for. Torch and transformers are imported by the first fixture that needs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from . import cases, models
from .assessment import OUT_OF_MEMORY, RANDOM_WEIGHTS, Assessor
from .budget import Verdict
from .devices import Device, opened_device
from .dialogues import encode_all, prompt_text
from .errors import CandidateError
from .expectation import Expectation
from .meters.memory import is_leak, leaked_mib
from .meters.meter import Measurement, Tick, measure, timed
from .outcomes import CaseFailure, OutOfMemory, requested_mib
from .planner.plan import Plan
from .planner.planner import OfMeasured
from .records import compact, facts_of, facts_of_expected, facts_of_memory, facts_of_plan
from .report.progress import progress_on_terminal
from .session import ANSWERS, CASE_FACTS, CUDA_CONTEXT, LEFT_BEHIND, PLANNER, SESSION_FACTS
from .settings import SETTINGS, Settings
from .workloads.fine_tuning import FineTuned, attach_adapter, detach_adapter, trainable_parameters
from .workloads.inference import Answered, answer
from .workloads.likelihood import in_training_scale

if TYPE_CHECKING:
    from peft import PeftModel

    from .candidates import Candidate
    from .dialogues import Dialogues, Example
    from .models import LoadedModel
    from .protocol import Protocol


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
def device(pytestconfig: pytest.Config, settings: Settings) -> Iterator[Device]:
    """The device all cases run on, and its instruments."""
    with opened_device(settings, pytestconfig.stash[CUDA_CONTEXT]) as found:
        facts = {"device": found.name, "scale": found.source.scale, "weights": found.source.weights, **found.facts}
        pytestconfig.stash[SESSION_FACTS] = facts
        yield found


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


@pytest.fixture
def planned_rank(request: pytest.FixtureRequest) -> int | None:
    """The LoRA rank that a plan is for, None for inference."""
    rank: int | None = request.param
    return rank


@pytest.fixture
def plan(request: pytest.FixtureRequest, settings: Settings) -> Callable[[Candidate, int | None], Plan]:
    """Plans a candidate's fine-tuning at a rank, or its inference for None, on the session's GPU profile."""
    planner = request.config.stash[PLANNER]
    profile = settings.gpu_profile

    def make(candidate: Candidate, lora_rank: int | None) -> Plan:
        _note(request, device=profile.card[0], gpu_profile=profile.name, scale="full")
        with _told_in_one_sentence():
            found: Plan = planner.plan(candidate, lora_rank)
            _note(request, **facts_of_plan(found))
            _note(request, advice=planner.advice(candidate, lora_rank))
        return found

    return make


@pytest.fixture(scope="session")
def loaded_model(
    pytestconfig: pytest.Config, device: Device, candidate: Candidate, dialogues: Dialogues
) -> Iterator[LoadedModel]:
    """The candidate's model and tokenizer, loaded once for all its cases and let go before the next candidate's."""
    before_mib = device.memory.start()
    with _told_in_one_sentence(device):
        loaded = models.load(candidate, device.source, dialogues.texts(candidate.text_template))
    yield loaded
    models.release(loaded)
    left_mib = leaked_mib(before_mib, device.memory.settle())
    if is_leak(left_mib):
        pytestconfig.stash[LEFT_BEHIND] = f"{left_mib:.0f} MiB of {candidate.name} had stayed on the card"


@pytest.fixture
def returned_memory(
    request: pytest.FixtureRequest, settings: Settings, device: Device, loaded_model: LoadedModel
) -> Iterator[None]:
    """Sees that a case gives back what it has taken; whatever puts something on the device asks for this first."""
    before_mib = device.memory.settle()
    yield
    left_mib = leaked_mib(before_mib, device.memory.settle())
    _note(request, leaked_mib=left_mib)
    if settings.strict_gpu and is_leak(left_mib):
        raise CaseFailure("failed", f"the case has left {left_mib:.0f} MiB on the card")


@pytest.fixture
def adapted_model(
    request: pytest.FixtureRequest,
    device: Device,
    loaded_model: LoadedModel,
    lora_rank: int,
    protocol: Protocol,
    returned_memory: None,
) -> Iterator[PeftModel]:
    """The candidate's model with a fresh adapter; afterwards its base is as it was."""
    device.memory.start()
    with _told_in_one_sentence(device):
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
    with _told_in_one_sentence():
        return encode_all(loaded_model.tokenizer, template, rows, protocol.max_row_tokens)


@pytest.fixture
def prompts(candidate: Candidate, dialogues: Dialogues, protocol: Protocol) -> list[str]:
    """The protocol's prompts, put into the candidate's template."""
    return [prompt_text(candidate.text_template, row.prompt) for row in dialogues.rows(protocol.prompt_rows)]


@pytest.fixture
def expectation(
    request: pytest.FixtureRequest, settings: Settings, device: Device, candidate: Candidate, loaded_model: LoadedModel
) -> Expectation | None:
    """What is known of the case beforehand, for a full-size model on a GPU."""
    if device.card is None or device.source.scale != "full":
        return None
    measured = OfMeasured(loaded_model.tokenizer, loaded_model.tokenizer_origin)
    planner = request.config.stash[PLANNER]
    return Expectation(planner, candidate, cases.lora_rank_of(request.node), measured, device.peaks)


@pytest.fixture
def meter(
    request: pytest.FixtureRequest,
    benchmark: Any,
    device: Device,
    loaded_model: LoadedModel,
    protocol: Protocol,
    dialogues: Dialogues,
    returned_memory: None,
    expectation: Expectation | None,
) -> Callable[..., Measurement[Any]]:
    """Runs a workload once, measured by the suite's own meters and by pytest-benchmark.

    `meter(work, *arguments, total=50, unit="steps", warm_up=5)` calls `work(*arguments, tick)`.
    """

    def run(work: Callable[..., Any], *arguments: Any, total: int, unit: str, warm_up: int) -> Measurement[Any]:
        _note(request, parameters=loaded_model.parameters, tokenizer=loaded_model.tokenizer_origin)
        plan = expectation.plan() if expectation else None
        _note(request, **facts_of_expected(plan))
        benchmark.group = cases.workload_of(request.node)
        try:
            with _told_in_one_sentence(device, plan), _progress(request, device, total, unit) as watch:
                measurement: Measurement[Any] = benchmark.pedantic(
                    measure,
                    args=(lambda tick: work(*arguments, tick), device.clock, device.memory, device.card, watch),
                )
        except BaseException:  # pytest-benchmark looks for ordinary errors only, and trips over an interrupted case
            benchmark.has_error = True
            raise
        facts = facts_of(measurement, warm_up)
        _note(request, **facts, cap_mib=device.cap_mib)
        if measurement.card is not None:
            left_behind = request.config.stash.get(LEFT_BEHIND, None)
            _note(request, taints=[*measurement.card.taints, *([left_behind] if left_behind else [])])
        if expectation is not None:
            _note(request, **asdict(expectation.utilization(measurement, warm_up)))
        benchmark.extra_info.update(
            compact(request.config.stash[SESSION_FACTS] | _facts_so_far(request))
            | {"protocol_hash": protocol.hash(), "dataset_sha256": dialogues.sha256}
        )
        if not all(map(math.isfinite, facts["losses"] or ())):
            raise CaseFailure("failed", "training diverged: a step's loss is not a finite number")
        return measurement

    return run


@pytest.fixture(scope="session")
def assessor(device: Device, loaded_model: LoadedModel, dialogues: Dialogues, protocol: Protocol) -> Assessor:
    """Judges the candidate's answers."""
    return Assessor(loaded_model, dialogues, protocol, is_random=device.source.weights == "random")


@pytest.fixture
def assess_untuned(
    request: pytest.FixtureRequest, device: Device, assessor: Assessor
) -> Callable[[Measurement[Answered]], None]:
    """Keeps an inference case's answers for `answers/<candidate>.csv`, and judges them and the model."""

    def assess(measurement: Measurement[Answered]) -> None:
        given = assessor.given(measurement.result, measurement.seconds_each)
        request.node.stash[ANSWERS] = given
        if _has_nothing_to_judge(device):
            _note(request, not_judged=RANDOM_WEIGHTS)
            return
        with _memory_may_run_out(request):
            _note(request, **assessor.untuned(given))

    return assess


@pytest.fixture
def assess_tuned(
    request: pytest.FixtureRequest, device: Device, assessor: Assessor, protocol: Protocol
) -> Callable[[PeftModel, Measurement[FineTuned]], None]:
    """Lets a fine-tuned model answer the protocol's prompts, keeps what it says, and judges it and the model.

    It is asked after its case's figures have been taken, which stay what they are, whatever happens here.
    """

    def assess(model: PeftModel, measurement: Measurement[FineTuned]) -> None:
        if _has_nothing_to_judge(device):
            _note(request, not_judged=RANDOM_WEIGHTS)
            return
        measurement.result.end()
        prompts = assessor.prompts_of_tuned
        with _memory_may_run_out(request), in_training_scale(model), _told_in_one_sentence():
            with _progress(request, device, len(prompts), "prompts") as watch:
                answered, seconds_each = timed(
                    lambda tick: answer(model, assessor.loaded.tokenizer, prompts, protocol, tick), device.clock, watch
                )
            given = assessor.given(answered, seconds_each)
            request.node.stash[ANSWERS] = given
            _note(request, **assessor.tuned(model, given))

    return assess


@pytest.fixture
def enforce_budget(settings: Settings) -> Callable[[float | None], None]:
    """Fails the case, in one sentence, if its peak on the device, in MiB, exceeds the VRAM budget.

    Without a figure for the device, as on the CPU, there is nothing to judge.
    """

    def enforce(peak_device_mib: float | None) -> None:
        if peak_device_mib is None:
            return
        verdict = Verdict(peak_device_mib, settings.budget_mib)
        if not verdict.within:
            raise CaseFailure("over_budget", verdict.sentence())

    return enforce


@contextmanager
def _told_in_one_sentence(device: Device | None = None, plan: Plan | None = None) -> Iterator[None]:
    try:
        yield
    except CandidateError as error:
        raise CaseFailure("error", str(error)) from None
    except Exception as error:
        if device is not None and models.is_out_of_memory(error):
            reached = device.memory.stop()
            ending = OutOfMemory(
                requested_mib=requested_mib(error),
                peak_allocated_mib=reached.peak_allocated_mib,
                peak_reserved_mib=reached.peak_reserved_mib,
                cap_mib=device.cap_mib,
                planned_peak_reserved_mib=plan.peak_reserved_mib if plan else None,
            )
            facts = facts_of_memory(reached) | {"allocated_after_mib": None}  # there was no end
            facts |= {"requested_mib": ending.requested_mib, "cap_mib": ending.cap_mib}
            raise CaseFailure("out_of_memory", ending.sentence(), facts) from None
        raise


@contextmanager
def _progress(request: pytest.FixtureRequest, device: Device, total: int, unit: str) -> Iterator[Tick | None]:
    """What to call after each of a running case's steps or prompts, while somebody watches."""
    progress = progress_on_terminal(request.config, device.memory.now_mib, total, unit)
    try:
        yield progress.tick if progress else None
    finally:
        if progress:
            progress.stop()


def _has_nothing_to_judge(device: Device) -> bool:
    """Whether random weights are measured for their time and memory; a rehearsal goes through all there is."""
    return device.source.weights == "random" and device.source.scale == "full"


@contextmanager
def _memory_may_run_out(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a model is judged: a card that is too full for that leaves the case's figures, which are taken, alone."""
    try:
        yield
    except Exception as error:
        if not models.is_out_of_memory(error):
            raise
        _note(request, not_judged=OUT_OF_MEMORY)


def _note(request: pytest.FixtureRequest, **facts: Any) -> None:
    _facts_so_far(request).update(facts)


def _facts_so_far(request: pytest.FixtureRequest) -> dict[str, Any]:
    case: pytest.Item = request.node
    return case.stash.setdefault(CASE_FACTS, {})
