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
template = recipe["text_template"] or (not tokenizer.chat_template and "### 질문: {input} ### 답변: {output}")
ends = {number for number, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}


def chat(question, *answers):
    """The tokenizer's own chat template, left open for an answer where there is none."""
    turns = [{"role": "user", "content": question}, *({"role": "assistant", "content": each} for each in answers)]
    return tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=not answers, enable_thinking=False
    )


def parts(question):
    """What is asked, the space before the answer, and what the template has after it."""
    if template:
        before, _, after = template.partition("{output}")
        prompt, rest = "", before.replace("{input}", question)
    else:
        prompt = chat(question)
        before, _, after = chat(question, "0answer0").rpartition("0answer0")
        rest = before[len(prompt) :] if before.startswith(prompt) else ""
    text = rest.rstrip(" ")
    return prompt + text, rest[len(text) :], after.rstrip("\n")


def tokens(text):
    """A text left open: it begins as the tokenizer has it, but never twice, and is not closed."""
    has_begun = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    ids = tokenizer(text, add_special_tokens=not has_begun)["input_ids"]
    is_closed = ids[-1:] == [tokenizer.eos_token_id] and not text.endswith(tokenizer.eos_token)
    return ids[:-1] if is_closed else ids


def encode(row):
    """Only the answer, closed by the token that ends a turn, or the sequence, is learned."""
    prompt, space, after = parts(row["input_data"])
    asked, whole = tokens(prompt), tokens(prompt + space + row["output_data"])
    learned = whole[len(asked) :]
    if whole[: len(asked)] != asked or (template and space):
        learned = tokenizer(space + row["output_data"], add_special_tokens=False)["input_ids"]
    learned += tokenizer(after, add_special_tokens=False)["input_ids"]
    ids = [*asked, *learned, *([] if learned[-1] in ends else [tokenizer.eos_token_id])][: recipe["max_row_tokens"]]
    labels = [-100] * len(asked[: len(ids)]) + ids[len(asked) :]
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
    rows = [row for row in csv.DictReader(file) if row.get("data_type", "train") == "train"]
rows = [encode(row) for row in rows if row["input_data"] and row["output_data"]]
trainer = Trainer(model, arguments, DataCollatorForSeq2Seq(tokenizer), rows)
trainer.train()
trainer.save_model()
tokenizer.save_pretrained(arguments.output_dir)
