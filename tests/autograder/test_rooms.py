"""The autograder's rooms: imports run down the floors, never up, never in a circle; the worker imports nothing."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import autograder

HOUSE = Path(autograder.__file__).parent
FLOORS = [
    {"settings"},
    {"atomic", "course", "sandbox.worker"},
    {"sandbox"},
    {"exercises"},
    {"checks", "judging"},
    {"pages"},
    {"classroom"},
    {"authoring"},
    {"ways"},
    {"terminal"},
    {"making"},
    {"command"},
    {"tour"},
]
"""From the ground up. Rooms on one floor do not import each other; `autograder/__init__.py` is the front door."""

MODULES = {
    ".".join(path.relative_to(HOUSE).with_suffix("").parts): path
    for path in HOUSE.rglob("*.py")
    if path.name != "__init__.py" or "checks" in path.parts
}


def room(module: str) -> str:
    """The room of a module: its folder, or its own name where it lies in the hall."""
    return "sandbox.worker" if module.startswith("sandbox.worker.") else module.split(".")[0]


def imported(path: Path) -> Iterator[str]:
    """The modules of the autograder that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 or "checks" in path.parts, f"{path}: import by the full name"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            module = name.removeprefix("autograder.")
            if name.startswith("autograder.") and module in MODULES:
                yield module


ARROWS = {module: set(imported(path)) - {module} for module, path in MODULES.items()}


def test_every_room_has_a_floor():
    rooms = {room(module) for module in MODULES}
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("module", ARROWS)
def test_imports_run_down(module):
    floor = {name: height for height, rooms in enumerate(FLOORS) for name in rooms}
    here = room(module)
    climbing = {
        other for other in ARROWS[module] if room(other) != here and floor[room(other)] >= floor[here]
    }
    assert not climbing, f"{module} on floor {floor[here]} imports {', '.join(sorted(climbing))}"


def test_no_modules_import_each_other_in_a_circle():
    tuple(TopologicalSorter(ARROWS).static_order())  # raises CycleError, which names the circle


def test_the_worker_imports_nothing_of_the_rest():
    for module in MODULES:
        if module.startswith("sandbox.worker."):
            assert {room(other) for other in ARROWS[module]} <= {"sandbox.worker"}, module


def test_an_import_that_climbs_is_found(tmp_path):
    path = tmp_path / "low.py"
    path.write_text("def late():\n    from autograder.classroom.batch import grade\n    return grade\n")
    assert set(imported(path)) == {"classroom.batch"}
