"""The notebook that students were given: which of its cells are answers, tests and questions, and their points."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from autograder.course import Course
from autograder.exercises.exercise import Assignment

MARKS = ("### BEGIN SOLUTION", "### END SOLUTION")
"""The lines around a solution in the notebook that students were not given."""

HEADING = re.compile(r"^#+ (?:Exercise \d+: )?(.+)$", re.MULTILINE)


class NotReleased(RuntimeError):
    """The assignment has no student notebook yet, or one that no longer fits its checks."""


@dataclasses.dataclass(frozen=True)
class Marked:
    """A cell of the released notebook that nbgrader knows by its id."""

    grade_id: str
    kind: str
    source: str
    marks: dict[str, Any]
    heading: str = ""

    @property
    def locked(self) -> bool:
        return not self.marks.get("solution")

    @property
    def is_test(self) -> bool:
        return bool(self.marks.get("grade")) and self.locked

    @property
    def is_question(self) -> bool:
        """A free-text answer that is graded by hand."""
        return bool(self.marks.get("grade")) and not self.locked


@dataclasses.dataclass(frozen=True)
class Handout:
    """The notebook that students were given."""

    assignment: str
    cells: dict[str, Marked]
    instructions: frozenset[str]

    @classmethod
    def of(cls, course: Course, assignment: Assignment) -> "Handout":
        """The released notebook; raises `NotReleased` where it is missing or does not fit the checks."""
        path = course.folder("release", assignment.name, f"{assignment.name}.ipynb")
        if not path.exists():
            raise NotReleased(f"{assignment.name} is not released; run: autograder release {assignment.name}")
        handout = cls.read(path, assignment.name)
        handout.fit(assignment)
        return handout

    @classmethod
    def read(cls, path: Path, name: str) -> "Handout":
        cells: dict[str, Marked] = {}
        instructions = set()
        heading = ""
        for cell in json.loads(path.read_text())["cells"]:
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if cell["cell_type"] == "markdown" and (found := HEADING.findall(source)):
                heading = found[-1]
            if marks := cell["metadata"].get("nbgrader"):
                cells[marks["grade_id"]] = Marked(
                    marks["grade_id"], cell["cell_type"], source, marks, heading
                )
            elif cell["cell_type"] == "markdown":
                instructions.add(source.strip())
        return cls(name, cells, frozenset(instructions))

    def fit(self, assignment: Assignment) -> None:
        """Every exercise must have a test cell worth its checks' points; raises `NotReleased`."""
        for exercise in assignment.exercises:
            tests = self.cells.get(tests_of(exercise.name))
            points = tests.marks.get("points") if tests else None
            if points != exercise.points:
                raise NotReleased(
                    f"the released {assignment.name} gives {exercise.name} {points or 0:g} points and its checks "
                    f"{exercise.points:g}; run: autograder release {assignment.name}"
                )

    @property
    def manual_points(self) -> float:
        """Points of the free-text answers."""
        return float(sum(cell.marks["points"] for cell in self.cells.values() if cell.is_question))


def tests_of(exercise: str) -> str:
    """The id of the cell that holds an exercise's visible tests and carries its points."""
    return f"{exercise}-tests"
