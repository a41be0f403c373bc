"""Cases as pytest's items: which candidates and variants a bench runs with, and in which order."""

import contextlib
import os
from collections.abc import Collection
from fnmatch import filter as fnmatch_filter
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ..inputs.candidates import Candidate
from ..inputs.cases import BENCH, FINE_TUNING, INFERENCE, PLAN, Case
from ..inputs.settings import Settings
from ..inputs.variants import Variant
from ..planner.planner import Planner
from .options import SETTINGS

_FILES = f"{BENCH}*.py"
_ORDER = (PLAN, INFERENCE, FINE_TUNING)
"""In running order: a plan is known first, and inference wants the untouched model."""


def are_asked_for(config: pytest.Config) -> bool:
    """Whether there is a bench file at or under any path, or with `--pyargs` any module, that pytest was given."""
    paths = [_path_of(argument.partition("::")[0], config) for argument in config.args]
    return any(fnmatch(path.name, _FILES) or _holds_bench(path, config.getini("norecursedirs")) for path in paths)


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
    """Run a bench once for each candidate and, if it asks for a variant, each variant.

    Ids are `[gemma-2-2b-it]` and `[gemma-2-2b-it-r16]`; a plan's are `[gemma-2-2b-it-inference]` and the latter. One
    candidate's cases form an xdist group, so that with `--dist loadgroup` one worker loads its model, once.
    """
    settings = metafunc.config.stash.get(SETTINGS, None)
    is_bench = metafunc.function.__name__.startswith(BENCH) and "candidate" in metafunc.fixturenames
    if settings is None or not is_bench:
        return
    candidates = [
        pytest.param(candidate, id=candidate.name, marks=pytest.mark.xdist_group(candidate.name))
        for candidate in settings.candidates
    ]
    metafunc.parametrize("candidate", candidates, indirect=True, scope="session")
    variants = [pytest.param(variant, id=variant.name) for variant in settings.variants]
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", variants, indirect=True)
    if "planned_variant" in metafunc.fixturenames:
        metafunc.parametrize("planned_variant", [pytest.param(None, id=INFERENCE), *variants], indirect=True)


def is_case(item: pytest.Item) -> bool:
    """Whether an item is one of the suite's cases."""
    return isinstance(item, pytest.Function) and item.name.startswith(BENCH) and _param(item, "candidate") is not None


def case_of(item: pytest.Item) -> Case:
    """Which case an item is."""
    assert isinstance(item, pytest.Function)
    variant = variant_of(item)
    return Case.of_bench(
        item.originalname.removeprefix(BENCH), candidate_of(item).name, variant.name if variant else None
    )


def candidate_of(item: pytest.Item) -> Candidate:
    """The candidate of a case."""
    candidate: Candidate = _param(item, "candidate")
    return candidate


def variant_of(item: pytest.Item) -> Variant | None:
    """The variant of a case, measured or planned; None for the untuned model."""
    variant: Variant | None = _param(item, "variant") or _param(item, "planned_variant")
    return variant


def are_planned(items: Collection[pytest.Item], planner: Planner) -> bool:
    """Whether all of these cases are plans that are at hand, which take no heavy library any more."""
    return all(case_of(item).is_planned for item in items) and all(
        planner.is_kept(candidate_of(item), variant_of(item)) for item in items
    )


def parsed(node_id: str, settings: Settings) -> Case | None:
    """The session's case with a node id; None if it is no case's."""
    candidates, variants = ([each.name for each in those] for those in (settings.candidates, settings.variants))
    return Case.parse(node_id, candidates, variants)


def leave_out(items: list[pytest.Item], ids: set[str]) -> None:
    """Deselect, in place, the cases with these ids."""
    left_out = dict.fromkeys(item for item in items if is_case(item) and item.name in ids)
    if left_out:
        items[0].config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]


def sort(items: list[pytest.Item]) -> None:
    """Put each candidate's cases next to each other, in place, so that its model is loaded once.

    A plan is known first, and inference wants the untouched model. Items that are no cases stay where they are.
    """
    places = [index for index, item in enumerate(items) if is_case(item)]
    if not places:
        return
    settings = items[places[0]].config.stash[SETTINGS]
    candidates = {candidate.name: index for index, candidate in enumerate(settings.candidates)}
    variants = {variant.name: index for index, variant in enumerate(settings.variants, 1)}

    def key(item: pytest.Item) -> tuple[int, int, int]:
        case = case_of(item)
        kind = PLAN if case.is_planned else case.workload
        position = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
        return candidates[case.candidate], position, variants[case.variant] if case.variant else 0

    for place, item in zip(places, sorted((items[place] for place in places), key=key), strict=True):
        items[place] = item


def _param(item: pytest.Item, name: str) -> Any:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get(name)
