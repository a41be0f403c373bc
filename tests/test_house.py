"""The house: a room imports only from rooms above it (CONTRIBUTING.md)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ohlora_fixtures"
ROOMS = (
    "base",
    "inputs",
    "meters",
    "workloads",
    "planner",
    "results",
    "quality",
    "choice",
    "report",
    "session",
    "validation",
    "commands",
)


def imported_rooms(file):
    """The rooms whose names a file imports, at its top or in a function, for types or for use."""
    package = file.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = (*base, *(node.module or "").split(".")) if node.module else base
            yield from [module[0]] if module else [alias.name for alias in node.names]


def test_the_rooms_are_those_of_the_design():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room):
    below = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        str(file.relative_to(PACKAGE)): found
        for file in (PACKAGE / room).rglob("*.py")
        if (found := below.intersection(imported_rooms(file)))
    }
    assert wrong == {}


def test_names_from_before_the_rooms_are_those_of_today():
    from ohlora_fixtures import dialogues, errors
    from ohlora_fixtures.base.errors import CandidateError, InputError
    from ohlora_fixtures.inputs.dataset import Dialogues, read_dialogues

    assert (dialogues.Dialogues, dialogues.read_dialogues) == (Dialogues, read_dialogues)
    assert (errors.CandidateError, errors.InputError) == (CandidateError, InputError)
