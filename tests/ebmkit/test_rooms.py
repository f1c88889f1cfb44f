"""The rooms of the library: what each may import, that nothing climbs or goes round, and one home for a name."""

import ast
import graphlib
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ebmkit

ROOT = Path(ebmkit.__file__).parent
FLOORS = [
    {"_checks", "_chance_kernels", "_threads"},
    {"chance", "energy"},
    {"_models"},
    {"conditioning", "enumeration", "kernel", "saving"},
    {
        "applications",
        "boltzmann_machines",
        "data",
        "exponential_families",
        "graphs",
        "mcmc",
        "normalization",
        "score_matching",
    },
    {"annealing", "contrastive_divergence", "ising", "product_of_experts"},
    {"partition", "testing"},
]
"""From the ground up: a room imports rooms below its own floor, and no other."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def module_of(path: Path) -> str:
    parts = ("ebmkit", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def mentioned(node: ast.AST) -> Iterator[str]:
    """The modules that a piece of code imports, or names in a string so as to import them later."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else str(node.module)
    elif isinstance(node, ast.Constant) and re.fullmatch(r"ebmkit(\.\w+)+", str(node.value)):
        yield str(node.value)


def imports(module: str) -> set[str]:
    """What a file of the library takes from the others, also inside functions."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return {name for node in ast.walk(tree) for name in mentioned(node) if name in MODULES} - {
        "ebmkit",
        module,
    }


def room(module: str) -> str:
    return module.split(".")[1]


INSIDE = [module for module in MODULES if module != "ebmkit"]


@pytest.mark.parametrize("module", INSIDE)
def test_imports_go_down(module: str) -> None:
    for other in imports(module):
        if room(other) != room(module):
            assert FLOOR[room(other)] < FLOOR[room(module)], f"{module} imports {other}"


@pytest.mark.parametrize("module", INSIDE)
def test_a_folder_is_entered_by_its_door(module: str) -> None:
    for other in imports(module):
        assert room(other) == room(module) or other.count(".") == 1, f"{module} reaches into {other}"


def test_no_import_goes_round() -> None:
    # A file of a folder may mention the folder itself only to take another file from it.
    graph = {module: imports(module) for module in INSIDE}
    assert sum(map(len, graph.values())) > 100
    list(graphlib.TopologicalSorter(graph).static_order())


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in INSIDE} == set(FLOOR)
    assert set(ebmkit._MODULES) == {name for name in FLOOR if not name.startswith("_")}


def test_a_public_name_has_one_home() -> None:
    homes: dict[str, str] = {}
    for name in ebmkit._MODULES:
        module = importlib.import_module(f"ebmkit.{name}")
        for key in module.__all__:
            thing = getattr(module, key)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                origin = inspect.unwrap(thing).__module__
                assert origin == module.__name__ or origin.startswith(f"{module.__name__}._"), (name, key)
                assert homes.setdefault(f"{origin}.{key}", name) == name
    assert len(homes) > 150


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_long(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 530, f"{module} has {lines} lines; give a subject of it a file of its own"


def test_tests_lie_as_what_they_test() -> None:
    tests = Path(__file__).parent
    for path in tests.rglob("test_*.py"):
        place, subject = path.parent.relative_to(tests).as_posix(), path.stem.removeprefix("test_")
        if place == ".":
            assert f"ebmkit.{subject}" in MODULES or subject in {
                "rooms",
                "gpu",
                "every_model",
                "bad_input",
                "examples",
                "every_door",
                "every_public_name",
            }, path
        else:  # the tests of a folder: of one of its files, or of every thing of a kind that lies there
            assert f"ebmkit.{place}._{subject}" in MODULES or subject.startswith("every_"), path
    for module in INSIDE:
        if module.count(".") == 1 and not room(module).startswith("_") and module != "ebmkit.kernel":
            assert (tests / room(module)).is_dir() or (tests / f"test_{room(module)}.py").is_file(), module
