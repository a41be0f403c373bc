"""Fine-tunes recipe.json's model on a CSV file with the columns input_data and output_data.

python train.py ROWS.csv [MODEL]: MODEL is a folder or a Hub id, in place of the recipe's.
"""

import csv
import json
import sys
from pathlib import Path

import torch
from peft import PeftConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DataCollatorForSeq2Seq,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
    set_seed,
)

HERE = Path(__file__).parent
recipe = json.loads((HERE / "recipe.json").read_text(encoding="utf-8"))
(arguments,) = HfArgumentParser(TrainingArguments).parse_yaml_file(str(HERE / "training_arguments.yaml"))
where = {"pretrained_model_name_or_path": recipe["model"], "revision": recipe["revision"] or "main"}
if len(sys.argv) > 2:
    where = {"pretrained_model_name_or_path": sys.argv[2]}
tokenizer = AutoTokenizer.from_pretrained(**where)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
quantization = BitsAndBytesConfig(**recipe["quantization"]) if recipe["quantization"] else None
model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16, quantization_config=quantization)
set_seed(arguments.seed)
if (HERE / "adapter_config.json").exists():
    model = get_peft_model(model, PeftConfig.from_pretrained(str(HERE)))
before, _, after = recipe["text_template"].partition("{output}")
prompt, gap = before.rstrip(), before[len(before.rstrip()) :]


def encode(row):
    """Only the answer, closed by the end-of-sequence token, is learned."""
    asked = tokenizer(prompt.replace("{input}", row["input_data"]))["input_ids"]
    asked = asked[:-1] if asked[-1] == tokenizer.eos_token_id else asked
    answer = tokenizer(gap + row["output_data"] + after, add_special_tokens=False)["input_ids"]
    ids = [*asked, *answer, tokenizer.eos_token_id][: recipe["max_row_tokens"]]
    labels = [-100] * len(asked[: len(ids)]) + ids[len(asked) :]
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
    rows = [row for row in csv.DictReader(file) if row.get("data_type", "train") == "train"]
rows = [encode(row) for row in rows if row["input_data"] and row["output_data"]]
trainer = Trainer(model, arguments, DataCollatorForSeq2Seq(tokenizer), rows)
trainer.train()
trainer.save_model()
tokenizer.save_pretrained(arguments.output_dir)
