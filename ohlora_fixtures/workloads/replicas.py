"""A replica of an architecture, small enough to train on a CPU: the same class, narrow, a layer of each kind."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MOST_PARAMETERS = 5_000_000
"""Of a replica; an architecture that cannot be shrunk below it has none."""

_FEWEST_LAYERS, _MOST_LAYERS = 2, 6
_WIDTH, _INNER, _HEADS, _HEAD_DIM = 32, 64, 2, 16
"""Of a hidden state, of a feed-forward layer or state space, of attention, and of each head."""

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers", "depth")
_WIDTHS = ("hidden_size", "n_embd", "n_embed", "d_model", "embed_dim", "embedding_dim", "dim")
_QUERY_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "linear_num_key_heads")
_KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads")

_EXACT: tuple[tuple[str, int], ...] = (
    ("num_kv_shared_layers|num_nextn_predict_layers|.*mtp.*layers", 0),
    (".*groups?|num_mem_blocks|rescale_every", 1),
    ("(attn|expert)_layer_period", 2),
    ("(attn|expert)_layer_offset|first_k_dense_replace|num_dense_layers|moe_layer_start_index", 1),
    (".*mamba.*heads", _INNER // _HEAD_DIM),
    (".*_heads|n_head", _HEADS),
    (".*head_?dim|.*d_head|kv_channels|query_pre_attn_scalar|hidden_size_per_layer_input|rotary_dim", _HEAD_DIM),
    (".*intermediate_size.*|n_inner|d_ff|dff|d_inner|.*ffn_(dim|hidden_size|embed_dim)|inner_dim|mamba_d_ssm", _INNER),
    ("|".join(_WIDTHS), _WIDTH),
    (".*_embed_proj_dim|embedding_size|lru_width|projection_dim|output_dim", _WIDTH),
)
_AT_MOST: tuple[tuple[str, int], ...] = (
    (".*experts_per_tok(en)?|.*top_?k|moe_k|n_shared_experts|moe_num_shared_experts", 2),
    (".*experts?", 4),
    (".*_rank|.*d_state|.*state_size|.*rms_dim|.*chunk_size", _HEAD_DIM),
)
"""Patterns of settings' names, and the value that a replica has of each, or the most; the first that fits counts, and a
setting of 0 stays.
"""


def mini_architecture(architecture: Mapping[str, Any], vocabulary: int, special_token_id: int) -> dict[str, Any]:
    """The same architecture at a size that trains in seconds on a CPU.

    The ratio of query to key-value heads is kept as far as two heads allow, and of the layers the first of each kind.
    An architecture within it, such as `text_config`, is shrunk likewise.
    """
    count = _first(architecture, _LAYERS)
    kept = _kept_layers(architecture, count)
    mini = {key: _of_layers(key, value, count, kept) for key, value in architecture.items()}
    for key, value in mini.items():
        if key.endswith("_token_id"):
            mini[key] = special_token_id
        elif key.startswith("rope_") and isinstance(value, Mapping):
            mini[key] = _plain_rope(value)
        elif isinstance(value, Mapping) and "model_type" in value:
            mini[key] = mini_architecture(value, vocabulary, special_token_id)
        elif isinstance(value, (list, tuple)):
            mini[key] = [_size(key, each, architecture, vocabulary) for each in value]
        else:
            mini[key] = _size(key, value, architecture, vocabulary)
    layers = len(kept)
    if per_stack := architecture.get("num_layers_per_stack"):  # stacks that a step goes through again and again
        mini["num_layers_per_stack"], layers = 1, count // per_stack
    mini |= {key: layers for key in _LAYERS if type(architecture.get(key)) is int}
    mini |= _heads(architecture)
    ids = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {**mini, **dict.fromkeys(ids, special_token_id), "vocab_size": vocabulary}


def _size(key: str, value: Any, architecture: Mapping[str, Any], vocabulary: int) -> Any:
    """What a replica has of a setting that is a size; anything else as it is."""
    if type(value) is not int or value == 0:
        return value
    if "vocab" in key:
        return min(value, vocabulary)
    if re.fullmatch(".+_hidden_size", key) and (width := _first(architecture, _WIDTHS)):
        return max(1, round(_WIDTH * value / width))  # Zamba's attention is twice as wide as its hidden state
    exact = next((size for name, size in _EXACT if re.fullmatch(name, key)), None)
    if exact is not None:
        return exact
    return min(value, next((most for name, most in _AT_MOST if re.fullmatch(name, key)), value))


def _first(architecture: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of these settings that is a number; 0 for none."""
    return next((architecture[name] for name in names if type(architecture.get(name)) is int), 0)


def _kept_layers(architecture: Mapping[str, Any], count: int) -> list[int]:
    """The numbers of the layers that a replica has: the first of each kind, in their order."""
    first: dict[str, int] = {}
    for layer in range(count):
        kind = [value[layer] for value in architecture.values() if _is_by_layer(value, count)]
        numbers = [layer in value for key, value in architecture.items() if _are_layers(key, value, count)]
        first.setdefault(repr((kind, numbers)), layer)
    kinds = [*first.values()][:_MOST_LAYERS]
    others = [layer for layer in range(count) if layer not in kinds]
    fewest = max(_FEWEST_LAYERS, len(architecture.get("block_types", ())))  # kinds that take turns
    return sorted(kinds + others[: max(0, fewest - len(kinds))])


def _is_by_layer(value: Any, count: int) -> bool:
    """Whether a setting has an item for each layer: a list, or a pattern of letters."""
    return count > 1 and isinstance(value, (list, tuple, str)) and len(value) == count


def _are_layers(key: str, value: Any, count: int) -> bool:
    """Whether a setting lists numbers of layers."""
    is_list = isinstance(value, (list, tuple)) and re.search("layer|idx|indices", key) is not None
    return is_list and len(value) < count and all(type(each) is int and 0 <= each < count for each in value)


def _of_layers(key: str, value: Any, count: int, kept: Sequence[int]) -> Any:
    """What a setting says of the kept layers, which are numbered anew."""
    if _is_by_layer(value, count):
        found = [value[layer] for layer in kept]
        return "".join(found) if isinstance(value, str) else found
    if _are_layers(key, value, count):
        return [number for number, layer in enumerate(kept) if layer in value]
    if key == "per_layer_config" and isinstance(value, Mapping):
        return {
            str(number): value[name] for number, layer in enumerate(kept) for name in value if str(layer) == str(name)
        }
    return value


def _heads(architecture: Mapping[str, Any]) -> dict[str, int]:
    """Key-value heads in their ratio to query heads, and what else of heads must fit a width."""
    queries, found = _first(architecture, _QUERY_HEADS), {}
    for key in _KEY_HEADS:
        if key in architecture:  # null stands for as many as query heads
            found[key] = max(1, _HEADS // max(1, queries // (architecture[key] or queries or 1)))
    if "state_size" in architecture and "num_heads" in architecture:  # Mamba-2, whose heads share the inner width
        found["num_heads"] = _INNER // _HEAD_DIM
    if "attention_head_dim" in architecture and (wide := architecture.get("attention_hidden_size")):
        width = _size("attention_hidden_size", wide, architecture, 0)
        found["attention_head_dim"] = width // _HEADS
    if {"qk_head_dim", "qk_nope_head_dim", "qk_rope_head_dim"} <= architecture.keys():  # one is the sum of the others
        found["qk_head_dim"] = 2 * _HEAD_DIM
    return found


def _plain_rope(rope: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary embeddings without what is stretched over long texts by factors, one for each half of a head."""
    if not any(isinstance(value, (list, tuple, Mapping)) for value in rope.values()):
        return dict(rope)
    if any(isinstance(value, Mapping) for value in rope.values()):  # by kind of layer, None for one without any
        return {name: _plain_rope(value) if isinstance(value, Mapping) else value for name, value in rope.items()}
    kept = {name: rope[name] for name in ("rope_theta", "partial_rotary_factor") if name in rope}
    return kept | {"rope_type": "default"}
