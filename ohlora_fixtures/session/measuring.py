"""What a bench measures, judges and enforces with: further fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ..base.errors import CandidateError
from ..base.messages import message
from ..inputs.dataset import Dialogues
from ..inputs.protocol import Protocol
from ..inputs.settings import Settings
from ..meters.meter import Measurement, Utilization, decoding_utilization, measure, timed, training_utilization
from ..planner.plan import with_seconds
from ..planner.planner import MeasuredTokenizer
from ..planner.seconds import mean
from ..quality.assessment import NOT_JUDGED, Assessor
from ..results.fit import above_budget
from ..results.flat import extra_info
from ..results.record import Assessment, Outcome
from ..workloads.fine_tuning import FineTuned
from ..workloads.inference import Answered, answer
from ..workloads.likelihood import in_training_scale
from ..workloads.models import LoadedModel
from ..workloads.refusals import is_out_of_memory
from . import cases
from .devices import Device
from .fixtures import LEFT_BEHIND, PLANNER
from .progress import progress_on_terminal
from .records import CaseFailure, Draft, told_in_one_sentence

if TYPE_CHECKING:
    from peft import PeftModel


@pytest.fixture
def meter(
    request: pytest.FixtureRequest,
    benchmark: Any,
    device: Device,
    draft: Draft,
    loaded_model: LoadedModel,
    returned_memory: None,
) -> Callable[..., Measurement[Any]]:
    """Runs a workload once, measured by the suite's own meters and by pytest-benchmark.

    `meter(work, *arguments, total=50, unit="steps", warm_up=5)` calls `work(*arguments, tick)`. On a GPU a full-size
    case is planned, too, with the tokenizer it is measured with: for the very same lengths.
    """
    has_plan = device.card is not None and device.source.scale == "full"
    planner = request.config.stash[PLANNER]
    tokenizer = MeasuredTokenizer(loaded_model.tokenizer, loaded_model.tokenizer_origin)
    planned = (loaded_model.candidate, cases.variant_of(request.node), tokenizer)

    def utilization(measurement: Measurement[Any], warm_up: int) -> Utilization:
        is_inference = isinstance(measurement.result, Answered)
        each = planner.work_each(*planned, measurement.result.lengths if is_inference else ())
        if is_inference and draft.plan:  # its answers are as long as they became
            draft.plan = with_seconds(replace(draft.plan, work=mean(each)), None, planner.pace)
        taken = measurement.seconds_each, warm_up, device.peaks
        if is_inference:
            return decoding_utilization([work.moved_bytes for work in each], *taken)
        return training_utilization([work.flops for work in each], *taken)

    def run(work: Callable[..., Any], *arguments: Any, total: int, unit: str, warm_up: int) -> Measurement[Any]:
        draft.measured = replace(
            draft.measured, parameters=loaded_model.parameters, tokenizer=loaded_model.tokenizer_origin
        )
        if has_plan:
            with suppress(CandidateError):  # of one that cannot be planned its own plan's case tells
                draft.plan = planner.plan(*planned)
        benchmark.group = cases.case_of(request.node).workload
        try:
            progress = progress_on_terminal(request.config, device.memory.now_mib, total, unit)
            with told_in_one_sentence(device, draft.plan), progress as watch:
                measurement: Measurement[Any] = benchmark.pedantic(
                    measure,
                    args=(lambda tick: work(*arguments, tick), device.clock, device.memory, device.card, watch),
                )
        except BaseException:  # pytest-benchmark looks for ordinary errors only, and trips over an interrupted case
            benchmark.has_error = True
            raise
        measured = replace(draft.measured.with_run(measurement, warm_up), cap_mib=device.cap_mib)
        left_behind = request.config.stash.get(LEFT_BEHIND, None)
        if measured.card.taints is not None and left_behind is not None:
            measured = replace(measured, card=replace(measured.card, taints=(*measured.card.taints, left_behind)))
        if has_plan:
            with suppress(CandidateError):  # its work cannot be counted
                measured = replace(measured, utilization=utilization(measurement, warm_up))
        draft.measured = measured
        benchmark.extra_info.update(extra_info(draft.record(request.node, Outcome("passed"))))
        if measured.has_diverged:
            raise CaseFailure("failed", message("reason.diverged"))
        return measurement

    return run


@pytest.fixture(scope="session")
def assessors() -> list[Assessor]:
    """The last case's assessor, which knows what the untuned model expects."""
    return []


@pytest.fixture
def assessor(
    assessors: list[Assessor], device: Device, loaded_model: LoadedModel, dialogues: Dialogues, protocol: Protocol
) -> Assessor:
    """Judges the candidate's answers."""
    if not assessors or not assessors[0].goes_on_with(loaded_model):
        assessors[:] = [Assessor(loaded_model, dialogues, protocol, is_random=device.source.weights == "random")]
    return assessors[0]


@pytest.fixture
def assess_untuned(device: Device, draft: Draft, assessor: Assessor) -> Callable[[Measurement[Answered]], None]:
    """Keeps an inference case's answers for `answers/<candidate>.csv`, and judges them and the model."""

    def assess(measurement: Measurement[Answered]) -> None:
        draft.answers = assessor.given(measurement.result, measurement.seconds_each)
        if _has_nothing_to_judge(device):
            draft.quality = NOT_JUDGED
            return
        with _memory_may_run_out(draft):
            draft.quality = assessor.untuned(draft.answers)

    return assess


@pytest.fixture
def assess_tuned(
    request: pytest.FixtureRequest, device: Device, draft: Draft, assessor: Assessor, protocol: Protocol
) -> Callable[[PeftModel, Measurement[FineTuned]], None]:
    """Lets a fine-tuned model answer the protocol's prompts, keeps what it says, and judges it and the model.

    It is asked after its case's figures have been taken, which stay what they are, whatever happens here.
    """

    def assess(model: PeftModel, measurement: Measurement[FineTuned]) -> None:
        if _has_nothing_to_judge(device):
            draft.quality = NOT_JUDGED
            return
        measurement.result.end()
        prompts = assessor.prompts_of_tuned
        with _memory_may_run_out(draft), in_training_scale(model), told_in_one_sentence():
            with progress_on_terminal(request.config, device.memory.now_mib, len(prompts), "prompts") as watch:
                answered, seconds_each = timed(
                    lambda tick: answer(model, assessor.loaded.tokenizer, prompts, protocol, tick), device.clock, watch
                )
            draft.answers = assessor.given(answered, seconds_each)
            draft.measured = replace(draft.measured, sampling=answered.sampling)
            draft.quality = assessor.tuned(model, draft.answers)

    return assess


@pytest.fixture
def enforce_budget(settings: Settings, draft: Draft) -> Callable[[float | None], None]:
    """Fails the case if its memory on the device, MiB, exceeds the VRAM budget; None, as on the CPU, is not judged.

    A plan fails, too, if one process cannot have that much of the card.
    """

    def enforce(device_mib: float | None) -> None:
        usable_mib = draft.environment.usable_mib if draft.environment else None
        if device_mib is not None and (above := above_budget(device_mib, settings.budget_mib, usable_mib)):
            raise CaseFailure("over_budget", above)

    return enforce


def _has_nothing_to_judge(device: Device) -> bool:
    """Whether random weights are measured for their time and memory; a rehearsal goes through all there is."""
    return device.source.weights == "random" and device.source.scale == "full"


@contextmanager
def _memory_may_run_out(draft: Draft) -> Iterator[None]:
    """A card that is too full to judge the model leaves the case's figures, which are taken before, as they are."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        draft.quality = Assessment(not_judged=message("not_judged.out_of_memory"))
