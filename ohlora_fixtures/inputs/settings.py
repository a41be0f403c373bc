"""What can be asked for, each option an ini setting too, and what one session works with of it."""

from dataclasses import dataclass
from pathlib import Path

from .candidates import Candidate
from .dataset import Dialogues
from .gpu_profiles import GpuProfile
from .protocol import Protocol
from .variants import Variant


@dataclass(frozen=True)
class Option:
    """A command-line option that is an ini setting too."""

    name: str
    """Its name in an ini file; with dashes, on the command line."""
    metavar: str
    help: str
    repeatable: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")


OPTIONS = (
    Option("candidates", "PATH", "candidates file (default: the suite's data/candidates.toml)"),
    Option("candidate", "NAME,NAME,...", "only these candidates, by exact name, whatever their group"),
    Option("candidate_group", "NAME", "group of candidates: seed (default), modern, all, or one of your file's"),
    Option(
        "model",
        "ID_OR_FOLDER",
        "a model as a candidate: an id on the Hub, with @revision or without, or a folder; repeatable",
        repeatable=True,
    ),
    Option(
        "dataset",
        "PATH|ID",
        "dialogues: CSV, JSON, JSON lines, Parquet, or a dataset on the Hub (default: the suite's data/dialogues.csv)",
    ),
    Option("columns", "ROLE=COLUMN,...", "the dataset's own columns, such as prompt=question,answer=reply"),
    Option("rows", "all|first N|random N", "train rows to train on (default: the protocol's fine_tuning_rows)"),
    Option("variants", "NAME,NAME,...", "ways to fine-tune, by name (default: r16,r32,r64)"),
    Option(
        "variants_file", "PATH", "variants file, all of which runs without --variants (default: data/variants.toml)"
    ),
    Option(
        "training_config",
        "FILE",
        "your training set-up: a TrainingArguments, SFTConfig, peft or axolotl file, or a recipe's folder; repeatable",
        repeatable=True,
    ),
    Option("lora_ranks", "R,R,...", "short for --variants: 16,32 stands for r16,r32"),
    Option("scale", "auto|full|mini", "full size, or mini replicas; auto (default) is full with a CUDA GPU, else mini"),
    Option("weights", "hub|random", "pretrained, or random ones of the same shape (default: hub at full scale)"),
    Option("model_dir", "DIR", "take weights from DIR/<candidate name> instead of the Hub"),
    Option("vram_budget", "SIZE", "most memory a case may need on the device (default: 12GB)"),
    Option(
        "gpu_profile",
        "NAME|PATH",
        "card to plan for, or a TOML file with its data (default: the GPU present, else m6000)",
    ),
    Option("results_dir", "DIR", "where the session's files go (default: results/<UTC time>-<short id>)"),
    Option("resume", "DIR", "resume the interrupted session in this results folder"),
    Option(
        "memory_compare_fail",
        "QUANTITY:LIMIT,...",
        "with --benchmark-compare, fail if memory grew more, such as peak:5% or reserved:200MiB (default: off)",
    ),
    Option("choice_weights", "NAME=WEIGHT,...", "what counts for the choice (default: quality=5, all else 1)"),
    Option(
        "grades",
        "PATH",
        "a person's grades: a filled-in answers file, or a folder of them; `published` for the study's; repeatable",
        repeatable=True,
    ),
    Option("judge", "URL", "have an LLM grade the answers: an endpoint that speaks OpenAI's chat completions"),
    Option("judge_model", "NAME", "the judge's model"),
    Option("judge_tokens", "N", "most tokens the judge may use (default: 1000000)"),
    Option("report_lang", "ko|en", "language of report.html (default: the locale's)"),
    Option(
        "protocol", "NAME=VALUE", "change one setting of the experiment, such as epochs=1; repeatable", repeatable=True
    ),
)

SWITCHES = (
    Option("allow_remote_code", "", "let candidates marked remote_code run their repository's code"),
    Option("resume_anyway", "", "with --resume, resume even if versions, protocol, data, candidates or device differ"),
    Option("any_license", "", "also choose among candidates whose licence is not free"),
    Option("strict_gpu", "", "fail a case whose measurement is tainted: other processes, throttled clocks, ECC errors"),
)
"""Options that are on or off; off by default."""

SCALES = ("auto", "full", "mini")
WEIGHTS = ("hub", "random")


@dataclass(frozen=True)
class Settings:
    """What one session works with."""

    candidates: tuple[Candidate, ...]
    """The chosen group's candidates, in their file's order."""
    dialogues: Dialogues
    variants: tuple[Variant, ...]
    """Ways to fine-tune, in the given order."""
    scale: str
    """`auto`, `full` or `mini`; auto is settled when the first case runs."""
    weights: str | None
    """`hub`, `random`, or None for the scale's default."""
    model_dir: Path | None
    budget_mib: float
    gpu_profile: GpuProfile
    known_profiles: tuple[GpuProfile, ...]
    """Every card of which something is known, the one planned for first."""
    results_dir: Path
    """The session's own folder; made when its first file is written."""
    is_resumed: bool
    """Whether that folder is an interrupted session's, with which this one goes on."""
    protocol: Protocol
    allow_remote_code: bool
    resume_anyway: bool
    strict_gpu: bool
    named: tuple[str, ...] = ()
    """The names of the candidates that `--model` gave."""
    told: tuple[str, ...] = ()
    """What was understood of other files, for the first lines."""


def option_named(name: str) -> Option:
    """An option, by its name in an ini file."""
    return next(option for option in (*OPTIONS, *SWITCHES) if option.name == name)
