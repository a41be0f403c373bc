"""Which architectures of transformers the suite plans and rehearses: `python overhead/architectures.py --into PATH`.

Each class that writes text is tried with its default settings, shrunk to a replica: one fine-tuning case and one
inference case are planned, and then really run on the CPU. Each is tried in a process of its own, with a limit of time
and memory, so that one that crashes costs one row.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

from ohlora_fixtures.base.errors import CandidateError, one_line
from ohlora_fixtures.base.installation import DATA, versions
from ohlora_fixtures.base.safe_text import markdown
from ohlora_fixtures.inputs.candidates import Candidate
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import parse_protocol
from ohlora_fixtures.inputs.templates import encode_all
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.planner.plan import PlanStore
from ohlora_fixtures.planner.planner import Planner
from ohlora_fixtures.workloads import models
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter, fine_tune
from ohlora_fixtures.workloads.inference import answer
from ohlora_fixtures.workloads.kernels import kernels_of
from ohlora_fixtures.workloads.replicas import mini_architecture

MOST_SECONDS, MOST_GIB = 300, 12
PROTOCOL = parse_protocol(["epochs=1", "fine_tuning_rows=0:8", "prompt_rows=0:1", "max_length=56", "warm_up_steps=0"])
VOCABULARY = 2000
TARGETS_SHOWN = 4
SETTINGS = {
    "bamba": {"attn_layer_indices": [9, 18, 27]},
    "deepseek_v2": {"num_experts_per_tok": 6},
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6},
    "granitemoehybrid": {"layer_types": [*["mamba"] * 5, "attention", "mamba", "mamba"] * 4},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention"] * 8, "num_hidden_layers": 24},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
}
"""By kind, what its published models say and its defaults lack."""
_BEFORE_EACH = ["torch", "transformers", "peft", "ohlora_fixtures.planner.candidate_planner"]


@dataclass(frozen=True)
class Tried:
    """What came of one architecture."""

    kind: str
    """Its `model_type`."""
    parameters: int | None = None
    """Of the replica."""
    targets: tuple[str, ...] = ()
    """The linear modules that get an adapter."""
    kernels: tuple[str, ...] = ()
    """Packages whose kernels its classes take where they are installed; without them PyTorch's own operators."""
    planned: str = ""
    """Why it cannot be planned."""
    rehearsed: str = ""
    """Why it cannot be rehearsed."""


def tried(kind: str, folder: Path) -> Tried:
    """Plan and rehearse one architecture."""
    models.quieten_libraries()
    from transformers import AutoConfig

    candidate = Candidate(
        name=kind,
        group="tried",
        repo="none/none",
        config=folder / f"{kind}.json",
        parameters=1,
        card_license="",
        binding_license="",
        free_license=True,
        korean="supported",
        target_modules=(),
        text_template="### 질문: {input} ### 답변: {output}",
    )
    found = Tried(kind)
    try:
        settings = {"model_type": kind, **SETTINGS.get(kind, {})}
        candidate.config.write_text(json.dumps(settings))
        models.outline(candidate)  # refused by its kind, or for what cannot be built at full size
        small = replace(candidate, config=folder / f"{kind}-mini.json")
        whole = AutoConfig.for_model(**settings).to_dict()
        small.config.write_text(json.dumps(mini_architecture(whole, VOCABULARY, 0), default=str))
        outline = models.outline(small)
        targets = tuple(models.accepted_by_peft(small, outline.linear_names))
        found = replace(found, parameters=outline.parameters, targets=targets)
        found = replace(found, kernels=kernels_of(models.build_on_meta(small)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this row's
        return replace(found, planned=told(kind, error), rehearsed=told(kind, error))
    candidate, small = (replace(each, target_modules=targets) for each in (candidate, small))
    for what, work in (("planned", lambda: plan(small)), ("rehearsed", lambda: rehearse(candidate))):
        try:
            work()
        except Exception as error:  # noqa: BLE001
            found = replace(found, **{what: told(kind, error)})
    return found


def plan(candidate: Candidate) -> None:
    """Plan its inference, and its fine-tuning at rank 8."""
    settings = SimpleNamespace(
        candidates=(candidate,),
        dialogues=read_dialogues(DATA / "dialogues.csv"),
        protocol=PROTOCOL,
        variants=(lora(8),),
        model_dir=None,
        budget_mib=12288.0,
        gpu_profile=read_profiles(DATA / "gpus.toml")[0],
    )
    planner = Planner(settings, PlanStore(None))
    for variant in (lora(8), None):
        planner.plan(candidate, variant)


def rehearse(candidate: Candidate) -> None:
    """Train its replica for two steps, and have it answer a prompt before and after."""
    dialogues = read_dialogues(DATA / "dialogues.csv")
    template = candidate.text_template
    source = models.ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=0)
    loaded = models.load(candidate, source, dialogues.texts(template))
    examples = encode_all(loaded.template, dialogues.rows(PROTOCOL.fine_tuning_rows), 64)
    prompts = loaded.template.prompts(dialogues.rows(PROTOCOL.prompt_rows))
    answer(loaded.model, loaded.tokenizer, prompts, PROTOCOL, lambda: None)
    adapted = attach_adapter(loaded.model, lora(8), candidate.target_modules, PROTOCOL)
    fine_tune(adapted, loaded.tokenizer, examples, PROTOCOL, lambda: None).end()
    answer(adapted, loaded.tokenizer, prompts, PROTOCOL, lambda: None)
    detach_adapter(adapted)


def told(kind: str, error: Exception) -> str:
    """An error in one line."""
    said = str(error) if isinstance(error, CandidateError) else one_line(error)
    return said.removeprefix(f"{kind} cannot be planned: ").removeprefix(f"{kind} cannot be built: ")


def _work(kind: str, folder: str, result: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_GIB * 2**30,) * 2)
    result.send(tried(kind, Path(folder)))


def in_a_process(kind: str, folder: str) -> Tried:
    """Try one architecture in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_BEFORE_EACH)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(kind, folder, sender))
    process.start()
    sender.close()
    try:
        if receiver.poll(MOST_SECONDS):
            return receiver.recv()
        why = f"not done within {MOST_SECONDS} s"
    except EOFError:
        process.join()
        why = f"the process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return Tried(kind, planned=why, rehearsed=why)


def page(rows: list[Tried]) -> str:
    """The rows as a Markdown page."""
    known = versions()
    refused = [row for row in rows if row.planned and row.rehearsed]
    ends = Counter((not row.planned, not row.rehearsed) for row in rows)
    both, planned, rehearsed = (ends[each] for each in ((True, True), (True, False), (False, True)))
    return "\n".join(
        [
            "# Architectures",
            "",
            "<!-- made by: python overhead/architectures.py --into docs/architectures.md -->",
            "",
            f"Every kind of which transformers {known['transformers']} has a causal language model, its defaults",
            "shrunk to a replica that has a layer of each kind. *Planned*: fine-tuning at rank 8, and inference, on",
            "tensors without data. *Rehearsed*: the replica really trained and answered on a CPU. With peft",
            f"{known['peft']} and torch {known['torch'].partition('+')[0]}:",
            "",
            f"Of {len(rows)}, {both} are planned and rehearsed, {planned} only planned, {rehearsed} only rehearsed,",
            f"and {len(refused)} neither.",
            "",
            "*Kernels*: packages whose kernels the class takes on a GPU where they are installed. Without them, and in",
            "a plan, it takes PyTorch's own operators, whose memory is another.",
            "",
            "```sh",
            "python overhead/architectures.py --into docs/architectures.md",
            "```",
            "",
            "| `model_type` | planned | rehearsed | replica, parameters | LoRA targets | kernels |",
            "|---|---|---|---:|---|---|",
            *(_line(row) for row in rows if row not in refused),
            "",
            "## Neither planned nor rehearsed",
            "",
            "| `model_type` | why |",
            "|---|---|",
            *(f"| {row.kind} | {markdown(row.planned)} |" for row in refused),
            "",
        ]
    )


def _line(row: Tried) -> str:
    more = len(row.targets) - TARGETS_SHOWN
    targets = ", ".join(row.targets[:TARGETS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    cells = [row.kind, row.planned or "yes", row.rehearsed or "yes", f"{row.parameters:,}", targets]
    return f"| {' | '.join(map(markdown, [*cells, ', '.join(row.kernels)]))} |"


def main() -> None:
    """Try every architecture, or those that are named, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="MODEL_TYPE", help="only these (default: every one)")
    parser.add_argument("--into", type=Path, metavar="PATH", help="the page to write (default: the terminal)")
    given = parser.parse_args()
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kinds or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
            rows.append(in_a_process(kind, folder))
            print(rows[-1], file=sys.stderr, flush=True)
    if given.into:
        given.into.write_text(page(rows), encoding="utf-8")
    else:
        print(page(rows))


if __name__ == "__main__":
    main()
