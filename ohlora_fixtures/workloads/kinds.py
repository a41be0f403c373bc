"""What a candidate's config.json says that it is, and what of that is refused before anything is built."""

from ..base.errors import CandidateError
from ..base.messages import message
from ..inputs.candidates import Candidate, other_head


def check_kind(candidate: Candidate) -> None:
    """Raises CandidateError for what is not a causal language model in weights of bfloat16."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    settings = candidate.architecture()
    if quantization := settings.get("quantization_config"):
        method = quantization.get("quant_method", "") if isinstance(quantization, dict) else quantization
        raise CandidateError(message("reason.quantized", candidate=candidate.name, method=str(method)))
    kind = settings["model_type"]
    is_encoder = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not settings.get("is_decoder")
    if found := other_head(settings.get("architectures")) or (is_encoder and kind):
        raise CandidateError(message("reason.writes_no_text", candidate=candidate.name, architecture=found))


def check_known(candidate: Candidate) -> None:
    """Raises CandidateError for a kind that transformers does not have: without weights only its own are built."""
    from transformers import CONFIG_MAPPING, __version__

    settings = candidate.architecture()
    kind, needs_code = settings["model_type"], candidate.remote_code or "auto_map" in settings
    if kind not in CONFIG_MAPPING:
        key = "reason.own_code" if needs_code else "reason.unknown_kind"
        raise CandidateError(message(key, candidate=candidate.name, kind=kind, version=__version__))
