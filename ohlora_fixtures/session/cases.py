"""Cases: which candidates and ranks a bench runs with, what they are called, in which order they run."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable
from fnmatch import filter as fnmatch_filter
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .asked import SETTINGS

if TYPE_CHECKING:
    from ..inputs.candidates import Candidate

_BENCH = "bench_"
_FILES = f"{_BENCH}*.py"
_ID = re.compile(rf"::{_BENCH}(\w+)\[(.+)\](?:@|$)")
_RANK = re.compile(r"-r[0-9]+$")
PLAN = "plan"
_WORKLOADS = (PLAN, "inference", "fine_tuning")
"""In running order: a plan is known first, and inference wants the untouched model."""


def are_asked_for(config: pytest.Config) -> bool:
    """Whether there is a bench file at or under any path, or with `--pyargs` any module, that pytest was given."""
    for argument in config.args:
        path = _path_of(argument.partition("::")[0], config)
        if fnmatch(path.name, _FILES) or _holds_bench(path, config.getini("norecursedirs")):
            return True
    return False


def _path_of(argument: str, config: pytest.Config) -> Path:
    if config.option.pyargs:
        with contextlib.suppress(AttributeError, ImportError, ValueError):  # what find_spec raises for a path
            spec = find_spec(argument)
            if spec is not None and spec.origin is not None:
                file = Path(spec.origin)
                return file if spec.submodule_search_locations is None else file.parent
    return config.invocation_params.dir / argument


def _holds_bench(folder: Path, passed_over: list[str]) -> bool:
    for parent, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files and Path(parent) != folder:
            folders.clear()  # pytest passes over a virtual environment, in which our own benches may be installed
            continue
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in passed_over)]
        if fnmatch_filter(files, _FILES):
            return True
    return False


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a bench once for each candidate and, if it asks for a LoRA rank, each rank.

    Ids are `[gemma-2-2b-it]` and `[gemma-2-2b-it-r16]`; a plan's are `[gemma-2-2b-it-inference]` and the latter. One
    candidate's cases form an xdist group, so that
    with `--dist loadgroup` one worker loads its model, once.
    """
    settings = metafunc.config.stash.get(SETTINGS, None)
    is_bench = metafunc.function.__name__.startswith(_BENCH) and "candidate" in metafunc.fixturenames
    if settings is None or not is_bench:
        return
    candidates = [
        pytest.param(candidate, id=candidate.name, marks=pytest.mark.xdist_group(candidate.name))
        for candidate in settings.candidates
    ]
    metafunc.parametrize("candidate", candidates, indirect=True, scope="session")
    if "lora_rank" in metafunc.fixturenames:
        ranks = [pytest.param(rank, id=f"r{rank}") for rank in settings.lora_ranks]
        metafunc.parametrize("lora_rank", ranks, indirect=True)
    if "planned_rank" in metafunc.fixturenames:
        ranks = [pytest.param(rank, id=f"r{rank}") for rank in settings.lora_ranks]
        metafunc.parametrize("planned_rank", [pytest.param(None, id="inference"), *ranks], indirect=True)


def is_case(item: pytest.Item) -> bool:
    """Whether an item is one of the suite's cases."""
    return isinstance(item, pytest.Function) and item.name.startswith(_BENCH) and _param(item, "candidate") is not None


def candidate_of(item: pytest.Item) -> Candidate:
    """The candidate of a case."""
    candidate: Candidate = _param(item, "candidate")
    return candidate


def lora_rank_of(item: pytest.Item) -> int | None:
    """The LoRA rank of a case, measured or planned; None for inference."""
    rank: int | None = _param(item, "planned_rank" if workload_of(item) == PLAN else "lora_rank")
    return rank


def planned_workload_of(item: pytest.Item) -> str | None:
    """What a plan is the plan of; None for what is measured."""
    if workload_of(item) != PLAN:
        return None
    return "inference" if lora_rank_of(item) is None else "fine_tuning"


def workload_of(item: pytest.Item) -> str:
    """The workload of a case: its bench's name without the prefix."""
    assert isinstance(item, pytest.Function)
    return item.originalname.removeprefix(_BENCH)


def by_kind(items: Iterable[pytest.Item]) -> tuple[set[Candidate], list[tuple[Candidate, int | None]]]:
    """The candidates that are measured, and what is planned: candidates with their ranks."""
    measured, planned = set(), []
    for item in items:
        if planned_workload_of(item) is None:
            measured.add(candidate_of(item))
        else:
            planned.append((candidate_of(item), lora_rank_of(item)))
    return measured, planned


def measured_names(items: Iterable[pytest.Item]) -> list[str]:
    """The ids of the measured cases among items."""
    return [item.name for item in items if is_case(item) and planned_workload_of(item) is None]


def chosen_in(ids: Iterable[str], candidates: Iterable[Candidate]) -> tuple[set[Candidate], set[Candidate]]:
    """The candidates that the cases with these node ids are about, and those among them that are measured."""
    by_name = {candidate.name: candidate for candidate in candidates}
    chosen, measured = set(), set()
    for found in filter(None, map(_ID.search, ids)):
        name = found[2].removesuffix("-inference") if found[1] == PLAN else found[2]
        candidate = by_name.get(_RANK.sub("", name))
        if candidate is not None:
            chosen.add(candidate)
            if found[1] != PLAN:
                measured.add(candidate)
    return chosen, measured


def are_among(ids: Iterable[str]) -> bool:
    """Whether any of these node ids is a case's."""
    return any(map(_ID.search, ids))


def described(nodeid: str, candidates: Iterable[Candidate]) -> dict[str, Any] | None:
    """What a case's node id tells of it, by the record's field names; None if it is no case's."""
    found = _ID.search(nodeid)
    if found is None:
        return None
    workload, name = found[1], found[2]
    stem = name.removesuffix("-inference") if workload == PLAN else name
    rank = None if workload == "inference" else _RANK.search(stem)
    stem = stem[: rank.start()] if rank else stem
    candidate = next((each for each in candidates if each.name == stem), None)
    planned = None if workload != PLAN else "inference" if rank is None else "fine_tuning"
    if candidate is None:
        return None
    return {
        "case": f"{_BENCH}{workload}[{name}]",
        "candidate": candidate.name,
        "workload": workload,
        "planned_workload": planned,
        "lora_rank": int(rank[0].removeprefix("-r")) if rank else None,
    }


def leave_out(items: list[pytest.Item], names: Collection[str]) -> None:
    """Deselect, in place, the cases with these ids."""
    left_out = [item for item in items if is_case(item) and item.name in names]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        left_out[0].config.hook.pytest_deselected(items=left_out)


def sort(items: list[pytest.Item]) -> None:
    """Put each candidate's cases next to each other, in place, so that its model is loaded once.

    Items that are no cases stay where they are.
    """
    places = [index for index, item in enumerate(items) if is_case(item)]
    if not places:
        return
    settings = items[places[0]].config.stash[SETTINGS]
    order = {candidate.name: index for index, candidate in enumerate(settings.candidates)}

    def key(item: pytest.Item) -> tuple[int, int, int]:
        workload = workload_of(item)
        position = _WORKLOADS.index(workload) if workload in _WORKLOADS else len(_WORKLOADS)
        rank = lora_rank_of(item)
        return order[candidate_of(item).name], position, settings.lora_ranks.index(rank) if rank else 0

    for place, item in zip(places, sorted((items[place] for place in places), key=key), strict=True):
        items[place] = item


def _param(item: pytest.Item, name: str) -> Any:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get(name)
