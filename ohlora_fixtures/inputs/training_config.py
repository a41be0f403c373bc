"""Somebody's own training set-up, as it stands in their files, as a protocol and a variant.

Read are `TrainingArguments` and TRL's `SFTConfig`, peft's `adapter_config.json`, axolotl's common keys, and what
`recipe` writes. What such a file leaves out is what its library takes by default, so that the run is theirs.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import is_folder, read_bytes
from ..base.yaml_files import MOST_YAML_BYTES, read_yaml
from .protocol import Protocol, with_settings
from .variants import Variant

NAME = "config"
"""The variant's."""

_SAME = ("gradient_accumulation_steps", "learning_rate", "max_grad_norm", "gradient_checkpointing", "seed")
_COMMON = {name: name for name in _SAME}
_TRAINER = _COMMON | {
    "per_device_train_batch_size": "batch_size",
    "num_train_epochs": "epochs",
    "optim": "optimizer",
    "activation_checkpointing": "gradient_checkpointing",
    "torch_empty_cache_steps": "empty_cache_steps",
}
_SFT = _TRAINER | {"max_length": "max_row_tokens", "max_seq_length": "max_row_tokens"}
_AXOLOTL = _COMMON | {
    "micro_batch_size": "batch_size",
    "num_epochs": "epochs",
    "optimizer": "optimizer",
    "sequence_len": "max_row_tokens",
}
"""By a library's key, the protocol's setting."""
_BY_DEFAULT = {
    "batch_size": 8,
    "epochs": 3,
    "gradient_accumulation_steps": 1,
    "learning_rate": 5e-5,
    "optimizer": "adamw_torch_fused",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
}
"""`transformers/training_args.py` (5.23), as `TrainingArguments` has them."""
_SFT_BY_DEFAULT = _BY_DEFAULT | {"learning_rate": 2e-5, "gradient_checkpointing": True, "max_row_tokens": 1024}
"""`trl/trainer/sft_config.py` (1.x), "These parameters have default values different from TrainingArguments"."""
_AXOLOTL_BY_DEFAULT = _BY_DEFAULT | {"batch_size": 1, "epochs": 1, "max_row_tokens": 512}
"""`axolotl/utils/schemas/training.py` and `config.py`; it has no default for the learning rate."""
_LORA_BY_DEFAULT = {"r": 8, "lora_alpha": 8, "lora_dropout": 0.0, "init_lora_weights": True}
"""`peft/tuners/lora/config.py`."""
_NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"}
"""How TRL quantises in 4 bits (`trl/trainer/utils.py`); axolotl doubly (`axolotl/loaders/model.py`)."""

_ONLY_SFT = {
    *("max_length", "max_seq_length", "packing", "padding_free", "assistant_only_loss", "completion_only_loss"),
    *("dataset_text_field", "dataset_num_proc", "loss_type", "eos_token", "chat_template_path", "use_peft"),
}
_ONLY_AXOLOTL = {"base_model", "adapter", "micro_batch_size", "sequence_len", "num_epochs"}
_OF_PEFT_FILES = {"base_model_name_or_path", "revision", "inference_mode", "task_type", "auto_mapping", "peft_version"}
"""Keys of `adapter_config.json` that say what an adapter was made on, and with."""
_LORA_KEYS = {
    "lora_r": "r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "lora_target_modules": "target_modules",
    "lora_modules_to_save": "modules_to_save",
    "peft_use_dora": "use_dora",
    "use_dora": "use_dora",
    "peft_use_rslora": "use_rslora",
    "use_rslora": "use_rslora",
}
"""Of axolotl and of TRL's `ModelConfig`, those of peft's `LoraConfig`."""
_WITHOUT_EFFECT = re.compile(
    r"(output|run|report|do|eval|save|logging|log|hub|push|wandb|mlflow|comet|dataset|dataloader|adam|lr_scheduler|warmup|"
    r"val|test|early|load_best|metric|greater)_.*|overwrite_output_dir|disable_tqdm|datasets|weight_decay|lr_scheduler|"
    r"evals_per_epoch|saves_per_epoch|special_tokens|chat_template|model_type|tokenizer_type|debug|strict"
)
"""Keys that change neither memory nor, beyond little, time."""
_IN_BF16 = {
    **dict.fromkeys(("bf16", "bfloat16"), (True, "true", "auto")),
    **dict.fromkeys(("torch_dtype", "dtype"), ("bfloat16", "auto")),
}
"""Keys with the values that ask for what runs here are anyway."""


@dataclass(frozen=True)
class TrainingConfig:
    """A set-up, read."""

    protocol: Mapping[str, Any] = field(default_factory=dict)
    """The protocol's settings by their names."""
    variant: Variant | None = None
    """None where no file says what is trained."""
    told: tuple[str, ...] = ()
    """What was understood, and what not, in a line each."""


@dataclass
class _Found:
    """What one file says."""

    path: Path
    kind: str
    protocol: dict[str, Any] = field(default_factory=dict)
    by_default: Mapping[str, Any] = field(default_factory=dict)
    adapter: dict[str, Any] | None = None
    """None where the file does not say whether there is one."""
    base: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    unused: list[str] = field(default_factory=list)


def read_training_config(paths: Sequence[Path]) -> TrainingConfig:
    """What files say together; of a folder, those that `recipe` or peft leaves there.

    Raises InputError for what is no such file, for a value that cannot be, and where two files contradict each other.
    """
    found = [_read(path) for given in paths for path in _files(given)]
    protocol: dict[str, Any] = {}
    for each in found:
        for name, value in each.protocol.items():
            if protocol.setdefault(name, value) != value:
                _contradict(name, [(other.path, other.protocol[name]) for other in found if name in other.protocol])
    by_default = {name: value for each in found for name, value in each.by_default.items() if name not in protocol}
    variant = _variant(found)
    told = [_understood(found, protocol, by_default, variant)] if found else []
    if unused := [key for each in found for key in each.unused]:
        idle = [key for key in unused if _WITHOUT_EFFECT.fullmatch(key)]
        parts = [", ".join(key for key in unused if key not in idle)]
        parts += [f"without effect on memory: {', '.join(idle)}"] if idle else []
        told.append(f"training config, not used: {'; '.join(filter(None, parts))}")
    if model := next((each.model for each in found if each.model), None):
        told.append(f"training config: it was made for {model}, which --model {model} runs")
    return TrainingConfig(by_default | protocol, variant, tuple(told))


def _files(given: Path) -> list[Path]:
    if not is_folder(given):
        return [given]
    names = ("adapter_config.json", "training_arguments.yaml", "recipe.json")
    there = [given / name for name in names if (given / name).is_file()]
    if not there:
        raise InputError(f"training config {given} is a folder without {', '.join(names)}: give it one of these files")
    return there


def _read(path: Path) -> _Found:
    facts = _facts(path)
    keys = facts.keys()
    if "peft_type" in keys:
        found = _of_peft(path, facts)
    elif {"text_template", "max_row_tokens"} <= keys:
        found = _Found(path, "recipe", {"max_row_tokens": facts["max_row_tokens"]}, model=_text(facts.get("model")))
        found.base = _table(facts.get("quantization"), path, "quantization")
    elif keys & _ONLY_AXOLOTL:
        found = _of_axolotl(path, facts)
    elif keys & (_TRAINER.keys() | _ONLY_SFT):
        found = _of_trainer(path, facts)
    else:
        raise InputError(
            f"training config {path} is none of TrainingArguments, SFTConfig, adapter_config.json and axolotl: it has "
            f"{', '.join(map(repr, list(keys)[:5])) or 'no key'}"
        )
    try:
        with_settings(Protocol(), found.protocol)
    except InputError as error:
        raise InputError(f"training config {path} cannot be run: {error}") from None
    return found


def _facts(path: Path) -> dict[str, Any]:
    try:
        text = read_bytes(path, MOST_YAML_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"training config {path} cannot be read ({error.strerror}): give a YAML or JSON file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"training config {path} is not UTF-8: give a YAML or JSON file") from None
    try:  # YAML has JSON, but not its numbers, such as 2e-05
        facts = json.loads(text) if text.lstrip().startswith("{") else read_yaml(text)
        json.dumps(facts)  # no dates, no bytes: records could not keep them
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"training config {path} is not valid YAML or JSON: {error}") from None
    if not isinstance(facts, dict) or not all(isinstance(key, str) for key in facts):
        raise InputError(
            f"training config {path} is no table of settings: give a YAML or JSON file with keys and values"
        )
    return facts


def _of_peft(path: Path, facts: Mapping[str, Any]) -> _Found:
    kept = {name: value for name, value in facts.items() if name not in _OF_PEFT_FILES and value not in (None, {})}
    if isinstance(kept.get("target_modules"), list):  # a set, saved in any order
        kept["target_modules"] = sorted(map(str, kept["target_modules"]))
    if kept.get("peft_type") == "LORA":
        kept = {**_LORA_BY_DEFAULT, **kept}
    return _Found(path, "peft", adapter=kept, model=_text(facts.get("base_model_name_or_path")))


def _of_trainer(path: Path, facts: Mapping[str, Any]) -> _Found:
    is_sft = bool(facts.keys() & _ONLY_SFT)
    used = _SFT if is_sft else _TRAINER
    by_default = _SFT_BY_DEFAULT if is_sft else _BY_DEFAULT
    found = _Found(path, "SFTConfig" if is_sft else "TrainingArguments", _protocol(facts, used), by_default)
    used_keys = {*used, "model_name_or_path", "use_peft"}
    if facts.get("use_peft") is True:  # TRL's ModelConfig and its defaults
        usual = {"lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
        found.adapter = _lora(usual | {name: value for name, value in facts.items() if value is not None}, path)
        found.base = _quantised(facts, _NF4)
        used_keys |= {*_LORA_KEYS, "load_in_4bit", "load_in_8bit"}
    elif facts.get("use_peft") is False:
        found.adapter = {}
    if is_sft and "max_length" in facts and facts["max_length"] is None:
        found.protocol["max_row_tokens"] = 10**6
    found.model = _text(facts.get("model_name_or_path"))
    found.unused = _unused(facts, used_keys)
    return found


def _of_axolotl(path: Path, facts: Mapping[str, Any]) -> _Found:
    found = _Found(
        path, "axolotl", _protocol(facts, _AXOLOTL), _AXOLOTL_BY_DEFAULT, model=_text(facts.get("base_model"))
    )
    kind = facts.get("adapter") or ""
    if kind not in ("", "lora", "qlora"):
        raise InputError(f"training config {path} has adapter = {kind!r}, which must be lora, qlora or empty")
    if (kind == "qlora") is not bool(facts.get("load_in_4bit")):
        raise InputError(
            f"training config {path} must have both adapter: qlora and load_in_4bit: true, or none of them"
        )
    found.adapter = _lora(facts, path) if kind else {}
    found.base = _quantised(facts, _NF4 | {"bnb_4bit_use_double_quant": True})
    used = {*_AXOLOTL, "base_model", "adapter"}
    if kind:
        used |= {*_LORA_KEYS, "load_in_4bit", "load_in_8bit", "lora_target_linear"}
    found.unused = _unused(facts, used)
    return found


def _protocol(facts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    given = {names[key]: value for key, value in facts.items() if key in names and value is not None}
    counts = {name: int(value) for name, value in given.items() if isinstance(value, float) and value.is_integer()}
    return given | counts


def _lora(facts: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if not facts.get("lora_r"):
        raise InputError(f"training config {path} has a LoRA adapter and no lora_r: add its rank")
    kept = {_LORA_KEYS[key]: value for key, value in facts.items() if key in _LORA_KEYS and value not in (None, [])}
    if facts.get("lora_target_linear"):
        kept["target_modules"] = "all-linear"
    return {"peft_type": "LORA", **_LORA_BY_DEFAULT, **kept}


def _quantised(facts: Mapping[str, Any], four_bit: Mapping[str, Any]) -> dict[str, Any]:
    if facts.get("load_in_4bit"):
        return dict(four_bit)
    return {"load_in_8bit": True} if facts.get("load_in_8bit") else {}


def _unused(facts: Mapping[str, Any], used: Collection[str]) -> list[str]:
    """The keys that ask for something that is not done here: what is off or empty is not asked for."""
    rest = {key: value for key, value in facts.items() if key not in used}
    return [key for key, value in rest.items() if value not in (None, False, "", [], {}, *_IN_BF16.get(key, ()))]


def _variant(found: Sequence[_Found]) -> Variant | None:
    adapters = [(each.path, each.adapter) for each in found if each.adapter is not None]
    bases = [(each.path, each.base) for each in found if each.base]
    for name, said in (("adapter", adapters), ("base", bases)):
        if any(value != said[0][1] for _, value in said):
            _contradict(name, said)
    is_recipe = any(each.kind == "recipe" for each in found)
    if not adapters and not bases and not is_recipe:
        return None
    try:
        return Variant(NAME, adapters[0][1] or {} if adapters else {}, bases[0][1] if bases else {})
    except ValueError as error:
        raise InputError(f"training config {found[0].path} has {error}") from None


def _contradict(name: str, said: Sequence[tuple[Path, Any]]) -> None:
    (one, first), (other, second) = said[0], next(each for each in said if each[1] != said[0][1])
    raise InputError(f"training configs {one} and {other} have {name} {first!r} and {second!r}: leave one of them")


def _understood(
    found: Sequence[_Found], protocol: Mapping[str, Any], by_default: Mapping[str, Any], variant: Variant | None
) -> str:
    files = ", ".join(f"{each.path.name} ({each.kind})" for each in found)
    settings = [f"{name} {value}" for name, value in protocol.items()]
    settings += [f"{name} {value} (default)" for name, value in by_default.items()]
    if variant is not None:
        kind, rank = variant.adapter.get("peft_type", "every weight"), variant.adapter.get("r")
        bits = {"load_in_4bit": "4 bits", "load_in_8bit": "8 bits"}
        on = "".join(f" on a base in {bits[key]}" for key in bits if variant.base.get(key))
        settings.append(f"variant {variant.name}: {kind}{f' r {rank}' if rank else ''}{on}")
    return f"training config: {files}: {'; '.join(settings)}"


def _table(value: Any, path: Path, name: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InputError(f"training config {path} has {name} = {value!r}, which must be a table")
    return dict(value or {})


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
