"""The folder that a sandbox gets as `/opt/course`: the worker, and of ebmkit only what is provided."""

import importlib.util
import pkgutil
import shutil
from pathlib import Path

from autograder.sandbox import view

WORKERS = (
    "account",
    "codec",
    "environment",
    "isolation",
    "materialize",
    "meaning",
    "notebook",
    "priority",
    "warm",
    "zygote",
)
WORKER = Path(__file__).parent / "worker"
COMMON = ("_checks",)
"""Modules of ebmkit that hold no answer, and that others import."""


def stock(course: Path, provided: tuple[str, ...]) -> None:
    """Make the folder `course`; of ebmkit it has the modules in `provided`, and the others say why not."""
    course.mkdir()
    (course / "pyvenv.cfg").write_text(view.configuration())
    for name in WORKERS:
        shutil.copy(WORKER / f"{name}.py", course)
    spec = importlib.util.find_spec("ebmkit")
    if spec is None or spec.origin is None:  # another course, which does without
        return
    source = Path(spec.origin).parent
    package = course / "ebmkit"
    package.mkdir()
    shutil.copy(source / "__init__.py", package)
    for module in pkgutil.iter_modules([str(source)]):
        name = module.name
        if name not in (*provided, *COMMON):
            (package / f"{name}.py").write_text(WITHHELD.format(name=name))
        elif module.ispkg:
            shutil.copytree(
                source / name, package / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
            )
        else:
            shutil.copy(source / f"{name}.py", package)


WITHHELD = '''"""Not available while this assignment is graded."""

raise ImportError("ebmkit.{name} is not available while this assignment is graded: write it yourself")
'''
