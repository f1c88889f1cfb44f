"""Which assignments there are: a module of checks that lies where checks lie is one.

Checks lie in the folder that `course.toml` names, and in the one that `EBM_CHECKS` names, which comes first. A
module (or a package) `NAME` there defines `assignment`; what starts with an underscore is shared by several, which
write `from ._shared import …`, and is none.
"""

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from autograder.course import Course
from autograder.exercises.exercise import Assignment

OURS = Path(__file__).parent.parent / "checks"


def available_assignments() -> list[str]:
    """The names of all assignments, in alphabetical order."""
    return sorted({name for folder in folders() for name in _names(folder)})


def assignment_named(name: str) -> Assignment:
    """The hidden checks of `name`; raises `ValueError` naming the assignments that there are."""
    folder = next((folder for folder in folders() if name in _names(folder)), None)
    if folder is None:
        there = ", ".join(available_assignments()) or "none yet; write one with: autograder new NAME"
        raise ValueError(f"no assignment is called {name!r}; there are {there}")
    module = importlib.import_module(f"autograder.checks.{name}") if folder == OURS else _loaded(folder, name)
    assignment = getattr(module, "assignment", None)
    if not isinstance(assignment, Assignment):
        raise ValueError(f'{module.__file__} must define: assignment = Assignment("{name}", (…,))')
    if assignment.name != name:
        raise ValueError(f"{module.__file__} calls its assignment {assignment.name!r}; it must be {name!r}")
    return _in_course(assignment)


def _in_course(assignment: Assignment) -> Assignment:
    """The assignment with what its course sets: packages to import beforehand, and limits."""
    settings = Course.here().settings
    imports = tuple(dict.fromkeys((*assignment.imports, *settings.packages)))
    return dataclasses.replace(assignment, imports=imports, limits=settings.limits)


def sources_of(assignment: Assignment) -> set[Path]:
    """The files that an assignment's checks are made of: its own, what is shared, and what any of these imports."""
    place = folder_of(assignment.name)
    package = place / assignment.name
    own = set(package.rglob("*.py")) if package.is_dir() else {place / f"{assignment.name}.py"}
    found: set[Path] = set()
    waiting = own | set(place.glob("_*.py"))
    while waiting:
        found |= waiting
        waiting = {path for source in waiting for path in _imported(source, place)} - found
    return found


def _imported(source: Path, place: Path) -> Iterator[Path]:
    """The files of checks that a file imports, wherever in it: from beside it, or from ours by their full name."""
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            modules = [module, *([*module, alias.name] for alias in node.names)]
        else:
            continue
        above = source.parents[node.level - 1] if isinstance(node, ast.ImportFrom) and node.level else None
        for parts in modules:
            if above is not None and above.is_relative_to(place):
                yield from _files_of(above.joinpath(*parts))
            elif above is None and parts[:2] == ["autograder", "checks"]:
                yield from _files_of(OURS.joinpath(*parts[2:]))


def _files_of(module: Path) -> Iterator[Path]:
    """The file of a module, and all of a package's."""
    if module.with_suffix(".py").is_file():
        yield module.with_suffix(".py")
    elif module.is_dir():
        yield from module.glob("*.py")


def folder_of(name: str) -> Path:
    """The folder in which the checks of `name` lie."""
    return next((folder for folder in folders() if name in _names(folder)), OURS)


def folders() -> tuple[Path, ...]:
    """Where checks are looked for, in this order."""
    named = os.environ.get("EBM_CHECKS")
    return (*([Path(named).resolve()] if named else []), Course.here().settings.checks)


def _names(folder: Path) -> list[str]:
    return [found.name for found in pkgutil.iter_modules([str(folder)]) if not found.name.startswith("_")]


def _loaded(folder: Path, name: str) -> ModuleType:
    """The module in a folder that is no package; read again each time, as its author may be at work on it."""
    package = _package(folder)
    path = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{package}.{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a package's own modules are imported by this name
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the author's own code, whatever it raises
        raise ValueError(f"{_where(error, folder, path)}: {type(error).__name__}: {_said(error)}") from error
    return module


def _where(error: Exception, folder: Path, path: Path) -> str:
    """The line of the checks in which an error arose; the file where nobody can say."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else str(path)


def _said(error: Exception) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _package(folder: Path) -> str:
    """The name of a package made of the folder, so that its modules can import what they share."""
    name = f"checks_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name
