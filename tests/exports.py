"""Exports as leaderboards write them, for tests."""

import csv

KO_HEADS = [
    *("T", "Model", "Average ⬆️", "Ko-GPQA", "Ko-Winogrande", "Ko-GSM8k", "Ko-EQ Bench", "Ko-IFEval", "KorNAT-CKA"),
    *("KorNAT-SVA", "Ko-Harmlessness", "Ko-Helpfulness", "Type", "Architecture", "Weight type", "Precision"),
    *("Hub License", "#Params (B)", "Hub ❤️", "Available on the hub", "Model sha", "Merged"),
]
"""The columns of the Open Ko-LLM Leaderboard."""
_STYLE = 'style="color: var(--link-text-color); text-decoration: underline;text-decoration-style: dotted;"'


def anchor(repo):
    """A model as the leaderboards show it, with a link to the details."""
    details = f"https://huggingface.co/datasets/open-llm-leaderboard/{repo.replace('/', '__')}-details"
    link = f'<a target="_blank" href="https://huggingface.co/{repo}" {_STYLE}>{repo}</a>'
    return f'{link}  <a target="_blank" href="{details}" {_STYLE}>📑</a>'


def ko_row(repo, average, billions=1.3, card_license="apache-2.0", **more):
    """A row of the Open Ko-LLM Leaderboard."""
    row = dict.fromkeys(KO_HEADS, "")
    facts = {"T": "⭕", "Model": anchor(repo), "Average ⬆️": average, "#Params (B)": billions}
    return row | facts | {"Hub License": card_license} | more


def open_llm_row(repo, average, billions, card_license="apache-2.0", **more):
    """A row of the Open LLM Leaderboard's `contents`."""
    row = {
        "eval_name": f"{repo.replace('/', '_')}_bfloat16",
        "Precision": "bfloat16",
        "Type": "💬 chat models (RLHF, DPO, IFT, ...)",
        "T": "💬",
        "Weight type": "Original",
        "Architecture": "Qwen2ForCausalLM",
        "Model": anchor(repo),
        "fullname": repo,
        "Model sha": "0123abc",
        "Average ⬆️": average,
        "Hub License": card_license,
        "Hub ❤️": 17,
        "#Params (B)": billions,
        "Available on the hub": "True",
        "MoE": "False",
        "Flagged": "False",
        "Chat Template": "True",
        "IFEval": 31.5,
        "Base Model": "",
    }
    return row | more


def write_csv(folder, heads, rows, name="board.csv"):
    """Write rows under heads."""
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, heads, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path
