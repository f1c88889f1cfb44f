"""A small course with a toy assignment, in a folder of its own."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from autograder.authoring.release import publish
from autograder.classroom.batch import Row, grade
from autograder.classroom.gradebook import address
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named

CHECKS = Path(__file__).parent / "toy_checks"
ROOT = Path(__file__).parents[2]

SETTINGS = f"""\
name = "Energy-based models"
id = "ebm"
solutions = "{ROOT}/solutions"
checks = "{ROOT}/autograder/checks"
wheels = ["{ROOT}"]
points = 100
"""
"""Those of this course but for the packages: a sandbox that imports none beforehand starts in half the time."""

RIGHT = {"double": "def double(x):\n    return 2 * x", "add": "def add(x, y):\n    return x + y"}


def toy_notebook() -> Any:
    """The solution of the toy assignment, with nbgrader's metadata."""
    cells = [
        nbformat.v4.new_markdown_cell("# Toy\n\nSolve everything.", id="toy-00"),
        nbformat.v4.new_code_cell("import numpy as np", id="toy-01"),
        code("double", solution=True, source=solved("def double(x):\n", "    return 2 * x")),
        code("double-tests", points=40.0, source="assert double(1) == 2"),
        code("add", solution=True, source=solved("def add(x, y):\n", "    return x + y")),
        code("add-tests", points=40.0, source="assert add(1, 2) == 3"),
        nbformat.v4.new_markdown_cell(
            "Why two?\n\n### BEGIN SOLUTION\nBecause.\n### END SOLUTION",
            id="toy-06",
            metadata={"nbgrader": marks("why", points=20.0, solution=True)},
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


def solved(head: str, body: str) -> str:
    return f"{head}    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION"


def marks(grade_id: str, points: float = 0.0, solution: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"schema_version": 3, "grade_id": grade_id, "solution": solution, "task": False}
    found |= {"grade": points > 0, "locked": not solution}
    return found | ({"points": points} if points else {})


def code(grade_id: str, points: float = 0.0, solution: bool = False, source: str = "") -> Any:
    return nbformat.v4.new_code_cell(
        source, id=grade_id, metadata={"nbgrader": marks(grade_id, points, solution)}
    )


class Classroom:
    """A course on disk with shorthands for what its instructor and students do."""

    def __init__(self, root: Path) -> None:
        shutil.copy(ROOT / "nbgrader_config.py", root)
        (root / "course.toml").write_text(SETTINGS)
        with (root / "nbgrader_config.py").open("a") as file:  # most tests are not about isolation
            file.write('\nc.JudgeNotebook.isolation_floor = "none"\n')
        self.course = Course(root)

    def publish(self) -> "Classroom":
        publish(self.course, assignment_named("toy"), toy_notebook())
        return self

    def released(self) -> Any:
        return json.loads(self.course.folder("release", "toy", "toy.ipynb").read_text())

    def answered(self, sources: dict[str, str]) -> bytes:
        """The released notebook with some of its marked cells filled in."""
        notebook = self.released()
        for cell in notebook["cells"]:
            grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", cell["id"])
            cell["source"] = sources.get(grade_id, cell["source"])
        return json.dumps(notebook).encode()

    def submit(self, student: str, what: bytes | dict[str, str], name: str = "toy.ipynb") -> Path:
        path = self.course.folder("submitted", student, "toy", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.answered(what) if isinstance(what, dict) else what)
        return path

    def grade(self, *students: str, **options: Any) -> dict[str, Row]:
        options = {"isolation": "none", "jobs": 1} | options
        rows = grade(self.course, "toy", list(students) or None, **options)
        return {row.student: row for row in rows}

    def page(self, student: str) -> str:
        return self.course.folder("feedback", student, "toy", "toy.html").read_text()

    def autograded(self, student: str) -> Any:
        return nbformat.read(self.course.folder("autograded", student, "toy", "toy.ipynb"), as_version=4)

    def book(self) -> Any:
        from nbgrader.api import Gradebook

        return Gradebook(address(self.course), "ebm")

    def entries(self, student: str) -> SimpleNamespace:
        """What the gradebook holds for a student: grades and comments by cell."""
        with self.book() as book:
            notebook = book.find_submission_notebook("toy", "toy", student)
            return SimpleNamespace(
                auto={g.name: g.auto_score for g in notebook.grades},
                score={g.name: g.score for g in notebook.grades},
                manual={g.name: g.manual_score for g in notebook.grades},
                waiting={g.name: g.needs_manual_grade for g in notebook.grades},
                comment={c.name: c.auto_comment for c in notebook.comments},
                shown={c.name: c.comment for c in notebook.comments},
            )


def enter(root: Path, patch: pytest.MonkeyPatch) -> Classroom:
    patch.setenv("EBM_CHECKS", str(CHECKS))
    patch.setenv("EBM_COURSE", str(root))
    patch.delenv("EBM_GRADEBOOK", raising=False)
    return Classroom(root)
