"""A candidate's model and tokenizer: pretrained, random or mini; and letting go of it."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from ..base.errors import CandidateError
from ..base.messages import message
from ..inputs.candidates import Candidate
from ..inputs.templates import Template, template_of
from .inference import prepare_to_answer, prepare_to_answer_in_full
from .kinds import check_kind, check_known
from .refusals import refusals_told
from .replicas import MOST_PARAMETERS, mini_architecture
from .stand_ins import stand_in_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")


@dataclass(frozen=True)
class ModelSource:
    """Where models come from in this session."""

    scale: str
    """`full` for the candidate's own size, `mini` for a replica."""
    weights: str
    model_dir: Path | None
    """Folder that holds `<candidate name>/` with weights and tokenizer, instead of the Hub."""
    allow_remote_code: bool
    device: str
    seed: int


@dataclass
class LoadedModel:
    """A candidate ready to work."""

    candidate: Candidate
    model: PreTrainedModel
    """The base model, in bfloat16 or quantised, on the session's device."""
    tokenizer: PreTrainedTokenizerBase
    tokenizer_origin: str
    """`own`, or `stand-in` for one trained on the dataset."""
    parameters: int
    """Parameters of the model as loaded, tied weights counted once."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """`BitsAndBytesConfig`'s settings by which its weights are quantised; none in bfloat16."""

    @cached_property
    def template(self) -> Template:
        """How it is asked and answers; raises CandidateError as `template_of` does."""
        return template_of(self.candidate.text_template, self.tokenizer)


@dataclass(frozen=True)
class Outline:
    """What an architecture at full size has, found out without any weights."""

    parameters: int
    """Parameters, tied weights counted once."""
    module_names: frozenset[str]
    """The last part of each module's name, as LoRA targets are given."""
    linear_names: frozenset[str]
    """Those of the linear modules, the head that predicts tokens and the routers to experts left out."""


def quieten_libraries() -> None:
    """Import transformers, without its warnings and bars, and keep what it has made out of the garbage collector.

    Its objects stay: looking through them again would cost every case 0.4 s.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gc.freeze()


def outline(candidate: Candidate) -> Outline:
    """Look at the candidate's architecture at full size, on no device; raises CandidateError if it cannot be built."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    model = build_on_meta(candidate)
    modules = [(name.rpartition(".")[2], module) for name, module in model.named_modules()]
    apart = [model.get_output_embeddings(), *(each for _, each in modules if "Router" in type(each).__name__)]
    linear = {name for name, each in modules if isinstance(each, (Linear, Conv1D)) and each not in apart}
    return Outline(count_parameters(model), frozenset(name for name, _ in modules), frozenset(linear))


def accepted_by_peft(candidate: Candidate, names: Collection[str]) -> list[str]:
    """Those of a full-size model's linear modules that peft puts LoRA on, sorted.

    A module that only a number names is left out, as the number is a layer's name, too. What peft refuses, such as
    Mamba's `out_proj`, or with dropout the weights of experts, it says when asked for it.
    """
    from peft import LoraConfig, inject_adapter_in_model

    def are_accepted(targets: list[str]) -> bool:
        try:
            inject_adapter_in_model(LoraConfig(target_modules=targets, lora_dropout=0.1), build_on_meta(candidate))
        except CandidateError:
            raise
        except Exception:  # noqa: BLE001 - whatever is in the way of it
            return False
        return True

    named = sorted(name for name in names if not name.isdigit())
    return named if are_accepted(named) else [name for name in named if are_accepted([name])]


def build_on_meta(candidate: Candidate) -> PreTrainedModel:
    """The full-size model in bfloat16, with shapes and no weights; raises CandidateError if it cannot be built."""
    import torch

    check_kind(candidate)
    check_known(candidate)
    with refusals_told("reason.not_built", candidate=candidate.name), torch.device("meta"):
        return _from_architecture(candidate.architecture())


def load(
    candidate: Candidate, source: ModelSource, texts: Sequence[str], base: Mapping[str, Any] = MappingProxyType({})
) -> LoadedModel:
    """Build or load a candidate; `texts` train a stand-in tokenizer where the candidate's own is not at hand.

    `base` are `BitsAndBytesConfig`'s settings, by which it is quantised while it is loaded; without any it is not.
    Raises CandidateError with the library's reason in one line.
    """
    from transformers import set_seed

    set_seed(source.seed)
    check_kind(candidate)
    if source.weights == "random" and not candidate.remote_code:
        outline(candidate)  # a replica of what cannot be built at full size would promise too much
    with refusals_told("reason.not_loaded", candidate=candidate.name):
        if source.weights == "hub":
            loaded = _load_pretrained(candidate, source, base)
        else:
            loaded = _build_random(candidate, source, texts, base)
        _leave_4bit_weights(loaded.model)
    return loaded


def tokenizer_at_hand(candidate: Candidate, model_dir: Path | None) -> Path | None:
    """The folder that holds the candidate's own tokenizer on this machine; None if a download would be needed."""
    if candidate.remote_code:
        return None
    if (folder := candidate.folder(model_dir)) is not None:
        return folder if any((folder / name).is_file() for name in _TOKENIZER_FILES) else None
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(candidate.repo, name, revision=candidate.revision) for name in _TOKENIZER_FILES)
    return next((Path(path).parent for path in found if isinstance(path, str)), None)


def load_tokenizer(candidate: Candidate, where: str, **origin: Any) -> PreTrainedTokenizerBase:
    """The candidate's own tokenizer, ready to pad training rows; raises CandidateError if it cannot end a text."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(where, **{"trust_remote_code": False, **origin})
    if tokenizer.eos_token_id is None:
        raise CandidateError(message("reason.no_end_token", candidate=candidate.name))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def release(loaded: LoadedModel) -> None:
    """Let go of a model and give its memory back to the device."""
    del loaded.model
    collect_garbage()


def collect_garbage() -> None:
    """Free what only reference cycles still hold, and empty PyTorch's cache."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def quantise(
    kind: type[PreTrainedModel], config: Any, weights: Mapping[str, Any], base: Mapping[str, Any], device: str
) -> PreTrainedModel:
    """A model of given weights, quantised one after the other on the device, as `from_pretrained` does it."""
    import torch
    from transformers import BitsAndBytesConfig

    with _no_kernels_from_the_hub():
        model: PreTrainedModel = kind.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=torch.bfloat16,
            quantization_config=BitsAndBytesConfig(**base),
            device_map={"": device},
        )
    return model


def _build_random(
    candidate: Candidate, source: ModelSource, texts: Sequence[str], base: Mapping[str, Any]
) -> LoadedModel:
    import torch

    check_known(candidate)
    tokenizer = stand_in_tokenizer(texts, candidate.chars_per_token)
    architecture = candidate.architecture()
    if source.scale == "mini":
        architecture = _replica(candidate, len(tokenizer), tokenizer.eos_token_id)
    with torch.device(source.device):  # where filling billions of weights is quick
        model = _from_architecture(architecture)
    if base:
        model.cpu()
        collect_garbage()
        model = quantise(type(model), model.config, untied_weights(model), base, source.device)
    else:
        _place(model, source.device)
    prepare_to_answer_in_full(model, tokenizer)
    return LoadedModel(candidate, model, tokenizer, "stand-in", count_parameters(model), base)


def untied_weights(model: PreTrainedModel) -> dict[str, Any]:
    """A model's weights by name, tied ones once: as a file has them."""
    tied = model.all_tied_weights_keys
    return {name: weight for name, weight in model.state_dict().items() if name not in tied}


def _replica(candidate: Candidate, vocabulary: int, special_token_id: int) -> dict[str, Any]:
    """The architecture of a candidate's replica; raises CandidateError if it is not small."""
    import torch
    from transformers import AutoConfig

    whole = AutoConfig.for_model(**candidate.architecture()).to_dict()  # with what a config.json leaves to defaults
    architecture = mini_architecture(whole, vocabulary, special_token_id)
    with torch.device("meta"):
        parameters = count_parameters(_from_architecture(architecture))
    if parameters > MOST_PARAMETERS:
        raise CandidateError(message("reason.no_replica", candidate=candidate.name, count=parameters))
    return architecture


def _load_pretrained(candidate: Candidate, source: ModelSource, base: Mapping[str, Any]) -> LoadedModel:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    if candidate.remote_code and not source.allow_remote_code:
        raise CandidateError(message("reason.remote_code", candidate=candidate.name))
    origin: dict[str, Any] = {"trust_remote_code": candidate.remote_code and source.allow_remote_code}
    if (folder := candidate.folder(source.model_dir)) is None:
        where = candidate.repo
        origin["revision"] = candidate.revision or "main"
    else:
        where = str(folder)
        origin["local_files_only"] = True
    tokenizer = load_tokenizer(candidate, where, **origin)
    origin["dtype"] = torch.bfloat16
    if base:
        origin |= {"quantization_config": BitsAndBytesConfig(**base), "device_map": {"": source.device}}
    with _no_kernels_from_the_hub():
        try:
            model = AutoModelForCausalLM.from_pretrained(where, use_safetensors=True, **origin)
        except OSError:  # the repository has no safetensors; older files are read without unpickling code
            model = AutoModelForCausalLM.from_pretrained(where, use_safetensors=False, **origin)
    if not base:
        _place(model, source.device)
    parameters, expected = count_parameters(model), candidate.parameters
    if parameters != expected:
        raise CandidateError(
            message("reason.parameters", candidate=candidate.name, where=where, count1=parameters, count2=expected)
        )
    prepare_to_answer(model, template_of(candidate.text_template, tokenizer))
    return LoadedModel(candidate, model.eval(), tokenizer, "own", parameters, base)


def count_parameters(model: PreTrainedModel) -> int:
    """Parameters, tied weights counted once, whatever a quantised one is packed into."""
    packed = ((each, getattr(each, "quant_state", None)) for each in model.parameters())
    return sum(each.numel() if state is None else state.shape.numel() for each, state in packed)


def _leave_4bit_weights(model: Any) -> None:
    """Keep bitsandbytes from packing 4-bit weights for answers, on CPUs with AVX512-BF16: none could be trained on."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _place(model: Any, device: str) -> None:
    """Put a model onto the device from the host, as a user's script does: the order of the moves fills the blocks."""
    model.to("cpu")
    collect_garbage()
    model.to(device)


def _from_architecture(architecture: dict[str, Any]) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = {key: value for key, value in architecture.items() if key not in ("torch_dtype", "dtype")}
    with _no_kernels_from_the_hub():
        config = AutoConfig.for_model(**settings)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model


@contextmanager
def _no_kernels_from_the_hub() -> Iterator[None]:
    """Keep RWKV to the code that transformers ships.

    On a machine with a GPU, ninja and the library `kernels` its class would fetch a compiled kernel from the Hub and
    run it: code that nobody has allowed, and another workload than the one that is planned.
    """
    from transformers.models.rwkv import modeling_rwkv

    with patch.object(modeling_rwkv, "is_ninja_available", lambda: False):
        yield
