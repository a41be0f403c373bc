"""Options and ini settings, read once into frozen dataclasses."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest

from ..base.errors import InputError
from ..base.files import exists, is_folder
from ..base.installation import DATA
from ..base.messages import Language, report_language
from ..base.units import parse_size_mib
from ..choice.selection import Choosing, parse_weights
from ..inputs.candidates import DEFAULT_GROUP, Candidate, read_candidates, select_group, select_names
from ..inputs.cases import INFERENCE
from ..inputs.dataset import OWN_DATASET, Dialogues, read_dialogues
from ..inputs.dataset_files import is_id
from ..inputs.gpu_profiles import GpuProfile, choose_profile, read_profiles
from ..inputs.judge_settings import judge_settings
from ..inputs.named_models import parse_name
from ..inputs.protocol import Protocol, parse_protocol, with_settings
from ..inputs.settings import OPTIONS, SCALES, SWITCHES, WEIGHTS, Settings, option_named
from ..inputs.training_config import TrainingConfig, read_training_config
from ..inputs.variants import DEFAULT, Variant, read_variants, select_variants, variants_of_ranks
from ..meters.nvml import Nvml
from ..quality.grades import asked_grades
from ..report import digits
from ..report.layout import Column, aligned, figures, in_mib, words
from ..results.memory_growth import Limit, parse_limits
from .named_models import named_candidates


@dataclass(frozen=True)
class Reporting:
    """What is made of a session's results."""

    memory_limits: tuple[Limit, ...]
    """How far memory may grow over a stored run's; empty where nothing is to be held against one."""
    language: Language
    choosing: Choosing


SETTINGS = pytest.StashKey[Settings]()
"""Where a session's settings are kept on its `pytest.Config`."""

_SELECTING = ("model", "candidates", "candidate", "candidate_group")


def add_options(parser: pytest.Parser) -> None:
    """Declare every option for command line and ini files; any default but None would hide the ini setting."""
    group = parser.getgroup("ohlora", "which LLM to LoRA-fine-tune on this GPU")
    for option in OPTIONS:
        action = "append" if option.repeatable else "store"
        help_text = option.help.replace("%", "%%")  # argparse formats it
        group.addoption(
            option.flag, dest=option.name, metavar=option.metavar, help=help_text, action=action, default=None
        )
        ini_type: Literal["linelist", "string"] = "linelist" if option.repeatable else "string"
        parser.addini(option.name, option.help, type=ini_type, default=None)
    for switch in SWITCHES:
        group.addoption(switch.flag, dest=switch.name, action="store_true", default=None, help=switch.help)
        parser.addini(switch.name, switch.help, type="bool", default=False)


def read_settings(config: pytest.Config) -> tuple[Settings, Reporting]:
    """Read all that can be checked without a model; raises InputError for the first thing that cannot be used."""
    dialogues = read_dialogues(_dataset(config), _value(config, "columns") or "")
    training_config = read_training_config(_paths(config, "training_config", separator=","))
    protocol = _protocol(config, dialogues, training_config)
    for rows in (protocol.fine_tuning_rows, protocol.prompt_rows):
        dialogues.rows(rows)
    scale = _choice(config, "scale", SCALES) or "auto"
    weights = _choice(config, "weights", WEIGHTS)
    model_dir = _path(config, "model_dir")
    if model_dir is not None and not is_folder(model_dir):
        raise InputError(
            f"model folder {model_dir} is not a folder: give --model-dir a folder with one folder per candidate"
        )
    if weights == "hub" and scale == "mini":
        raise InputError("--weights hub needs full size: mini replicas have random weights only; add --scale full")
    known_profiles = read_profiles(DATA / "gpus.toml")
    gpu_profile = _gpu_profile(config, known_profiles)
    ours = read_candidates(DATA / "candidates.toml")
    file = _path(config, "candidates")
    listed = read_candidates(file) if file else ours
    models, (_, folder) = _selection(config).get("model", ()), _asked(config, "model")
    named = named_candidates([parse_name(text, folder) for text in models], (*listed, *ours))
    candidates, variants = _chosen(config, listed, named), _variants(config, training_config.variant)
    _check_ids(candidates, variants)
    resumed_dir, budget = _resumed_dir(config), _value(config, "vram_budget")
    settings = Settings(
        candidates=candidates,
        dialogues=dialogues,
        variants=variants,
        scale=scale,
        weights=weights,
        model_dir=model_dir,
        budget_mib=parse_size_mib("12GB" if budget is None else budget),
        gpu_profile=gpu_profile,
        known_profiles=(gpu_profile, *known_profiles),
        results_dir=resumed_dir or _results_dir(config),
        is_resumed=resumed_dir is not None,
        protocol=protocol,
        **{name: _is_on(config, name) for name in ("allow_remote_code", "resume_anyway", "strict_gpu")},
        named=tuple(candidate.name for candidate in named),
        told=training_config.told,
    )
    return settings, Reporting(
        memory_limits=_memory_limits(config),
        language=report_language(_value(config, "report_lang"), os.environ),
        choosing=_choosing(config, (*named, *listed), dialogues),
    )


def _dataset(config: pytest.Config) -> Path | str:
    """The dataset's file; its id on the Hub, if there is no such file and it reads as one."""
    path, asked = _path(config, "dataset"), _value(config, "dataset") or ""
    return asked if path is not None and not path.exists() and is_id(asked) else path or OWN_DATASET


def _protocol(config: pytest.Config, dialogues: Dialogues, training_config: TrainingConfig) -> Protocol:
    """The study's, with the settings of an ini file, of a training config, and of the command line, each over those."""
    in_ini, given = config.getini("protocol") or (), config.getoption("protocol") or ()
    if (asked := _value(config, "rows")) is not None:
        if any(setting.partition("=")[0].strip() == "fine_tuning_rows" for setting in (*in_ini, *given)):
            raise InputError("--rows and the protocol's fine_tuning_rows both choose rows: give one of them")
        in_ini = (*dialogues.settings_for(asked), *in_ini)
    return parse_protocol(given, over=with_settings(parse_protocol(in_ini), training_config.protocol))


def _selection(config: pytest.Config) -> dict[str, Any]:
    """What chooses candidates: the options on the command line, if one of them is there, else the ini settings."""
    asked = {name: config.getoption(name) for name in _SELECTING if config.getoption(name) is not None}
    if asked.keys() - {"candidates"}:
        return asked
    return {name: value for name in _SELECTING if (value := asked.get(name) or config.getini(name))}


def _chosen(config: pytest.Config, listed: Sequence[Candidate], named: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The candidates to run: the named models, and those of the file where they are asked for, or nothing else is."""
    asked = _selection(config)
    if named and asked.keys() == {"model"}:
        return named
    if "candidate" in asked:
        chosen = select_names(tuple(dict.fromkeys((*named, *listed))), asked["candidate"])
    else:
        chosen = select_group(listed, asked.get("candidate_group", DEFAULT_GROUP))
    return tuple(dict.fromkeys((*named, *chosen)))


def _check_ids(candidates: Iterable[Candidate], variants: Iterable[Variant]) -> None:
    """See that no two cases have the same id, by which whatever is known of a case is found."""
    ends = (f"-{INFERENCE}", *(f"-{variant.name}" for variant in variants))
    ids = Counter(candidate.name + end for candidate in candidates for end in ends)
    if repeated := next((name for name, count in ids.items() if count > 1), None):
        raise InputError(
            f"two candidates would both have a case {repeated!r}: leave one out, or rename it in a candidates file"
        )


def _variants(config: pytest.Config, own: Variant | None) -> tuple[Variant, ...]:
    """Those that are asked for; where none is on the command line, `own`, a training config's, if there is one."""
    file = _path(config, "variants_file")
    known = read_variants(file or DATA / "variants.toml")
    if own is not None:
        known = (*known, own)
        if config.getoption("variants") is None and config.getoption("lora_ranks") is None:
            return (own,)
    if None not in (config.getoption("variants"), config.getoption("lora_ranks")):
        raise InputError("--lora-ranks is short for --variants: give one of them, such as --variants r8,r16-dora")
    option, value = _first_given(config, "variants", "lora_ranks")
    if option == "lora_ranks":
        return variants_of_ranks(known, value)
    if option is None and file:
        return known
    return select_variants(known, value if option else ",".join(DEFAULT))


def _choosing(config: pytest.Config, candidates: Iterable[Candidate], dialogues: Dialogues) -> Choosing:
    grades, published = asked_grades(_paths(config, "grades"))
    if grades:
        rows = (*dialogues.usable_train_rows, *dialogues.usable_valid_rows)
        grades.check({candidate.name for candidate in candidates}, [row.prompt for row in rows])
    judge = judge_settings(_value(config, "judge"), _value(config, "judge_model"), _value(config, "judge_tokens"))
    weights = parse_weights(_value(config, "choice_weights") or "")
    return Choosing(weights, _is_on(config, "any_license"), grades, judge, published)


def _memory_limits(config: pytest.Config) -> tuple[Limit, ...]:
    """The limits in force: those of an ini file wait for a session that compares."""
    asked = _value(config, "memory_compare_fail")
    limits = () if asked is None else parse_limits(asked)
    if config.getoption("benchmark_compare", None):
        return limits
    if config.getoption("memory_compare_fail") is not None:
        raise InputError(
            "--memory-compare-fail needs a stored run to compare with: add --benchmark-compare, "
            "or --benchmark-compare=NUMBER for an older run"
        )
    return ()


def _gpu_profile(config: pytest.Config, known: tuple[GpuProfile, ...]) -> GpuProfile:
    present = Nvml().gpu(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return choose_profile(_value(config, "gpu_profile"), known, present, folder=_asked(config, "gpu_profile")[1])


def gpu_profiles_listed() -> str:
    """Every card that `--gpu-profile` knows, a line each."""
    known = read_profiles(DATA / "gpus.toml")

    def sizes(head: str, name: str) -> Column:
        found = ((getattr(each, f"{name}_mib"), getattr(each, f"{name}_basis")) for each in known)
        return figures(head, (("" if basis == "measured" else "~") + digits.mib(mib) for mib, basis in found))

    columns = [
        words("name", (each.name for each in known)),
        words("card", (each.card[0] for each in known)),
        in_mib("memory\nMiB", (each.memory_mib for each in known)),
        sizes("usable\nMiB", "usable"),
        sizes("context\nMiB", "context"),
    ]
    usable = "usable: what one process can have, the CUDA context included; ~: estimated, or as of another card"
    return f"{aligned(columns)}\n\n{usable}"


def _resumed_dir(config: pytest.Config) -> Path | None:
    if None not in (config.getoption("resume"), config.getoption("results_dir")):
        raise InputError("--resume writes to the folder it names: leave --results-dir out")
    if config.getoption("resume_anyway") and _value(config, "resume") is None:
        raise InputError("--resume-anyway needs a session to resume: add --resume DIR")
    option, _ = _first_given(config, "resume", "results_dir")
    folder = _path(config, "resume") if option == "resume" else None
    if folder is not None and not is_folder(folder):
        raise InputError(f"results folder {folder} is not a folder: give --resume that of an interrupted session")
    return folder


def _results_dir(config: pytest.Config) -> Path:
    session = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}"
    folder = _path(config, "results_dir") or config.rootpath / "results" / session
    if hasattr(config, "workerinput"):  # a pytest-xdist worker writes nothing there
        return folder
    if exists(folder / "records.jsonl"):
        raise InputError(f"results folder {folder} already holds a session's records: give --results-dir another one")
    there = next(parent for parent in (folder, *folder.parents) if exists(parent))
    if not is_folder(there) or not os.access(there, os.W_OK):
        raise InputError(f"results folder {folder} cannot be written: give --results-dir a folder that can")
    return folder


def _first_given(config: pytest.Config, *names: str) -> tuple[str | None, str]:
    """The option that counts, and its value: the command line before an ini file, an earlier name before a later."""
    given = [(name, config.getoption(name)) for name in names] + [(name, config.getini(name) or None) for name in names]
    return next(((name, value) for name, value in given if value is not None), (None, ""))


def _value(config: pytest.Config, name: str) -> str | None:
    option, value = _first_given(config, name)
    return value if option else None


def _path(config: pytest.Config, name: str) -> Path | None:
    found = _paths(config, name)
    return found[0] if found else None


def _paths(config: pytest.Config, name: str, separator: str | None = None) -> list[Path]:
    """The paths that an option names; with a separator, one value may name several."""
    asked, folder = _asked(config, name)
    if "" in asked:
        raise InputError(f"{option_named(name).flag} is empty: give it a path")
    parts = asked if separator is None else [part for value in asked for part in value.split(separator)]
    return [folder / part for part in parts]


def _asked(config: pytest.Config, name: str) -> tuple[list[str], Path]:
    """An option's values, and the folder its paths are from: of the command line, or else of an ini file."""
    given = config.getoption(name)
    if given is not None:
        return [given] if isinstance(given, str) else given, config.invocation_params.dir
    in_ini = config.getini(name) or []
    folder = config.inipath.parent if config.inipath else config.rootpath
    return [in_ini] if isinstance(in_ini, str) else in_ini, folder


def _is_on(config: pytest.Config, name: str) -> bool:
    return bool(config.getoption(name) or config.getini(name))


def _choice(config: pytest.Config, name: str, choices: tuple[str, ...]) -> str | None:
    value = _value(config, name)
    if value is not None and value not in choices:
        raise InputError(f"{option_named(name).flag} {value!r} is not one of {', '.join(choices)}")
    return value
