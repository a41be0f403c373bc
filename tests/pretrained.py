"""Models that have learned something: replicas pretrained within seconds on the suite's own dialogues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.templates import whole_text

TEMPLATE = "### 질문: {input} ### 답변: {output}"
_ARCHITECTURE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": True,
    "max_position_embeddings": 256,
}
_FINE_TUNED = slice(120, 140)
"""Train rows that are left for the protocol. All others are learned from: models so small expect nothing of rows that
they have not seen, and those that the protocol holds out stand for what a good model has seen the like of."""


@dataclass(frozen=True)
class Pretrained:
    """What a session needs to run with them."""

    candidates: Path
    """A candidates file."""
    model_dir: Path
    """Their weights."""

    @property
    def options(self) -> list[str]:
        return ["--candidates", str(self.candidates), "--model-dir", str(self.model_dir), "--scale", "full"]


def pretrain(folder: Path, epochs_by_name: dict[str, int]) -> Pretrained:
    """Make a candidate for each name, alike but for how often it has seen the dialogues.

    In a process of its own: torch cannot be imported anew by one that has forgotten it, as pytester makes it do.
    """
    done = subprocess.run(
        [sys.executable, __file__, str(folder), json.dumps(epochs_by_name)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Pretrained(folder / "candidates.toml", folder)


def _pretrain(folder: Path, epochs_by_name: dict[str, int]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ohlora_fixtures.workloads.stand_ins import stand_in_tokenizer

    torch.set_num_threads(1)  # models so small gain nothing from more, and lose much on a busy machine
    dialogues = read_dialogues(DATA / "dialogues.csv")
    tokenizer = stand_in_tokenizer(dialogues.texts(TEMPLATE), 1.5)
    left = set(dialogues.usable_train_rows[_FINE_TUNED])
    seen = [row for row in (*dialogues.usable_train_rows, *dialogues.usable_valid_rows) if row not in left]
    texts = [whole_text(TEMPLATE, row) + tokenizer.eos_token for row in seen]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), tokenizer.eos_token_id)
    architecture = _ARCHITECTURE | {"vocab_size": len(tokenizer)} | ends
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "mini.json").write_text(json.dumps(architecture), encoding="utf-8")
    entries = []
    for name, epochs in epochs_by_name.items():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**architecture), dtype=torch.float32)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(epochs):
            for rows in torch.randperm(len(texts)).split(6):
                inputs = {key: value[rows] for key, value in batch.items() if key != "token_type_ids"}
                model(**inputs, labels=labels[rows]).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        model.to(torch.bfloat16).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        parameters = sum(each.numel() for each in model.parameters())
        entries.append(_entry(name, parameters))
    (folder / "candidates.toml").write_text("\n".join(entries), encoding="utf-8")


def _entry(name: str, parameters: int) -> str:
    facts = {
        "name": name,
        "group": "seed",
        "repo": f"nobody/{name}",
        "config": "configs/mini.json",
        "parameters": parameters,
        "card_license": "mit",
        "binding_license": "mit",
        "free_license": True,
        "korean": "specialised",
        "target_modules": ["q_proj", "v_proj", "down_proj"],
        "text_template": TEMPLATE,
    }
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()]
    return "\n".join(["[[candidate]]", *lines, ""])


if __name__ == "__main__":
    _pretrain(Path(sys.argv[1]), json.loads(sys.argv[2]))
