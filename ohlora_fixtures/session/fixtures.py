"""What a bench may ask for. Torch and transformers are imported by the first fixture that needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ..base.installation import versions
from ..base.messages import Message, message
from ..inputs.candidates import Candidate
from ..inputs.dataset import Dialogues
from ..inputs.protocol import Protocol
from ..inputs.settings import Settings
from ..inputs.templates import Example, count_cut, count_long, encode_all
from ..inputs.variants import Variant
from ..meters.memory import is_leak, leaked_mib
from ..planner.plan import Plan
from ..planner.planner import Planner
from ..results.environment import Environment
from ..workloads import models
from ..workloads.fine_tuning import attach_adapter, detach_adapter, trainable_parameters
from ..workloads.models import LoadedModel
from . import cases
from .devices import CUDA_CONTEXT, DEVICE, Device, opened_device
from .options import SETTINGS
from .progress import phases_on_terminal
from .records import CaseFailure, Draft, draft_of, told_in_one_sentence

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


PLANNER = pytest.StashKey[Planner]()
"""Where, on the config, the session's planner is."""

LEFT_BEHIND = pytest.StashKey[Message]()
"""Where, on the config, stands what a candidate has left on the card: it taints whatever is measured from then on."""


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
        pytestconfig.stash[DEVICE] = found.environment
        yield found


@pytest.fixture(scope="session")
def candidate(request: pytest.FixtureRequest) -> Candidate:
    """The candidate of a case."""
    found: Candidate = request.param
    return found


@pytest.fixture
def variant(request: pytest.FixtureRequest) -> Variant:
    """The variant of a case."""
    found: Variant = request.param
    return found


@pytest.fixture
def planned_variant(request: pytest.FixtureRequest) -> Variant | None:
    """The variant that a plan is for, None for inference."""
    found: Variant | None = request.param
    return found


@pytest.fixture
def training(protocol: Protocol, variant: Variant) -> Protocol:
    """The experiment with the variant's own training settings."""
    return variant.protocol(protocol)


@pytest.fixture
def draft(request: pytest.FixtureRequest) -> Draft:
    """What is known of the running case, for its record."""
    return draft_of(request.node)


@pytest.fixture
def plan(
    request: pytest.FixtureRequest, settings: Settings, draft: Draft
) -> Callable[[Candidate, Variant | None], Plan]:
    """Plans a candidate's fine-tuning in a variant, or its inference for None, on the session's GPU profile."""
    planner = request.config.stash[PLANNER]
    profile = settings.gpu_profile

    def make(candidate: Candidate, variant: Variant | None) -> Plan:
        draft.environment = Environment(
            dict(versions()),
            "full",
            device=profile.card[0],
            gpu_profile=profile.name,
            usable_mib=profile.usable_mib,
            usable_basis=profile.usable_basis,
            context_basis=profile.context_basis,
        )
        name = f"{candidate.name} {variant.name if variant else 'inference'}"
        with told_in_one_sentence(), phases_on_terminal(request.config, name) as watch:
            draft.plan = planner.plan(candidate, variant, watch=watch)
            draft.plan = replace(
                draft.plan,
                advice=planner.advice(candidate, variant, watch),
                changes=planner.changes(candidate, variant, watch),
            )
        return draft.plan

    return make


class Shelf:
    """Holds the one model that the running case works with: loaded once for all cases that want it as it is."""

    def __init__(self, config: pytest.Config, device: Device, dialogues: Dialogues) -> None:
        self._config = config
        self._device = device
        self._dialogues = dialogues
        self._held: LoadedModel | None = None
        self._before_mib: float | None = None
        self._failed: tuple[Candidate, Mapping[str, Any], CaseFailure] | None = None

    def take(self, candidate: Candidate, base: Mapping[str, Any]) -> LoadedModel:
        """A candidate's model, its weights quantised as `base` says; another is let go of first."""
        if self._held is not None and (self._held.candidate, self._held.base) == (candidate, base):
            return self._held
        self.clear()
        if self._failed is not None and self._failed[:2] == (candidate, base):
            raise self._failed[2].with_traceback(None)
        self._before_mib = self._device.memory.start()
        try:
            with told_in_one_sentence(self._device):
                texts = self._dialogues.texts(candidate.text_template)
                self._held = models.load(candidate, self._device.source, texts, base)
        except CaseFailure as failure:
            self._failed = candidate, base, failure
            raise
        return self._held

    def clear(self) -> None:
        """Let go of the model, and see that it leaves nothing on the card."""
        if self._held is None:
            return
        candidate = self._held.candidate
        models.release(self._held)
        self._held = None
        left_mib = leaked_mib(self._before_mib, self._device.memory.settle())
        if is_leak(left_mib):
            self._config.stash[LEFT_BEHIND] = message("taint.left_behind", count=left_mib, candidate=candidate.name)


@pytest.fixture(scope="session")
def model_shelf(pytestconfig: pytest.Config, device: Device, dialogues: Dialogues) -> Iterator[Shelf]:
    """Where `loaded_model` comes from."""
    shelf = Shelf(pytestconfig, device, dialogues)
    yield shelf
    shelf.clear()


@pytest.fixture
def loaded_model(request: pytest.FixtureRequest, model_shelf: Shelf, candidate: Candidate) -> LoadedModel:
    """The candidate's model and tokenizer, as the case's variant wants it: loaded once for cases that want the same."""
    variant = cases.variant_of(request.node)
    return model_shelf.take(candidate, variant.base if variant else {})


@pytest.fixture
def returned_memory(settings: Settings, device: Device, draft: Draft, loaded_model: LoadedModel) -> Iterator[None]:
    """Sees that a case gives back what it has taken; whatever puts something on the device asks for this first."""
    before_mib = device.memory.settle()
    yield
    draft.leaked_mib = left_mib = leaked_mib(before_mib, device.memory.settle())
    if settings.strict_gpu and is_leak(left_mib):
        raise CaseFailure("failed", message("reason.left_behind", mib=left_mib))


@pytest.fixture
def adapted_model(
    device: Device,
    draft: Draft,
    loaded_model: LoadedModel,
    model_shelf: Shelf,
    variant: Variant,
    training: Protocol,
    returned_memory: None,
) -> Iterator[PeftModel | PreTrainedModel]:
    """The candidate's model with a fresh adapter; afterwards its base is as it was, or will be loaded anew."""
    device.memory.start()
    with told_in_one_sentence(device):
        adapted = attach_adapter(loaded_model.model, variant, loaded_model.candidate.target_modules, training)
    draft.measured = replace(draft.measured, trainable_parameters=trainable_parameters(adapted))
    yield adapted
    detach_adapter(adapted)
    if not variant.adapter:  # its weights are what they have been trained to
        del adapted
        model_shelf.clear()
    models.collect_garbage()


@pytest.fixture
def examples(draft: Draft, loaded_model: LoadedModel, dialogues: Dialogues, protocol: Protocol) -> list[Example]:
    """The protocol's training rows, encoded with the candidate's tokenizer."""
    rows = dialogues.rows(protocol.fine_tuning_rows)
    with told_in_one_sentence():
        found = encode_all(loaded_model.template, rows, protocol.max_row_tokens)
    rows_cut = count_cut(found, loaded_model.template, protocol.max_row_tokens)
    draft.measured = replace(draft.measured, rows_cut=rows_cut)
    return found


@pytest.fixture
def prompts(draft: Draft, loaded_model: LoadedModel, dialogues: Dialogues, protocol: Protocol) -> list[list[int]]:
    """The protocol's prompts in the candidate's template, in its tokens."""
    with told_in_one_sentence():
        rows = loaded_model.template.encoded(dialogues.rows(protocol.prompt_rows))
    long_answers = count_long(rows, loaded_model.template, protocol.max_length)
    draft.measured = replace(draft.measured, long_answers=long_answers)
    return [prompt for prompt, _ in rows]
