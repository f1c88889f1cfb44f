"""Which assignments there are: a module of checks that lies where checks lie is one.

Checks lie in `autograder/checks/`, and in the folder that `EBM_CHECKS` names, which comes first. A module (or a
package) `NAME` there defines `assignment`; what starts with an underscore is shared by several and is none.
"""

import importlib
import importlib.util
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from autograder.exercises.exercise import Assignment

OURS = Path(__file__).parent.parent / "checks"


def available_assignments() -> list[str]:
    """The names of all assignments, in alphabetical order."""
    return sorted({*_names(OURS), *(_names(folder) if (folder := chosen_folder()) else ())})


def assignment_named(name: str) -> Assignment:
    """The hidden checks of `name`; raises `ValueError` naming the assignments that there are."""
    folder = chosen_folder()
    if folder is not None and name in _names(folder):
        module = _loaded(folder, name)
    elif name in _names(OURS):
        module = importlib.import_module(f"autograder.checks.{name}")
    else:
        raise ValueError(f"no assignment is called {name!r}; there are {', '.join(available_assignments())}")
    assignment: Assignment = module.assignment
    return assignment


def sources_of(assignment: Assignment) -> set[Path]:
    """The files that an assignment's checks are made of, those that they share with others included."""
    folder = chosen_folder()
    place = folder if folder is not None and assignment.name in _names(folder) else OURS
    package = place / assignment.name
    own = set(package.glob("*.py")) if package.is_dir() else {place / f"{assignment.name}.py"}
    return own | set(place.glob("_*.py"))


def chosen_folder() -> Path | None:
    """The folder that `EBM_CHECKS` names, if it is set."""
    named = os.environ.get("EBM_CHECKS")
    return Path(named).resolve() if named else None


def _names(folder: Path) -> list[str]:
    return [found.name for found in pkgutil.iter_modules([str(folder)]) if not found.name.startswith("_")]


def _loaded(folder: Path, name: str) -> ModuleType:
    """The module in a folder that is no package; read again each time, as its author may be at work on it."""
    path = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"ebm_checks_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a package's own modules are imported by this name
    spec.loader.exec_module(module)
    return module
