"""Reads `solutions/ASSIGNMENT.py`, the only source of an assignment: jupytext's py:percent text.

    # %% exercise="energy"                            the answer; its solution stands between two marks
    # %% tests="energy" points=15                     directly after it: the tests that students see
    # %% [markdown] question="why" points=10          free text, graded by hand

An answer's exercise, its function and its hidden checks share one name.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.course import Course
from autograder.judging.handout import HEADING

if TYPE_CHECKING:
    from nbformat import NotebookNode


def stub(exercise: str) -> str:
    """What stands in place of an answer; the error that a student meets names the exercise."""
    return f'raise NotImplementedError("{exercise} is not solved yet: replace this line with your answer")'


STUB = stub("this exercise")
POINTS_BY_HAND = re.compile(r"^\|[^\n]*\bpoints *\|", re.M)
TEXT_STUB = "*Replace this line with your answer.*"

_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*$", re.M | re.S)


def solution_of(name: str) -> Path:
    """Where the solution of an assignment lies, or would."""
    return Course.here().settings.solutions / f"{name}.py"


def read(name: str) -> "NotebookNode":
    """The notebook of an assignment, solved, with its metadata `exercise`, `tests`, `question`, `points`.

    Raises `FileNotFoundError` if there is no such solution, and `ValueError` naming the cell if an exercise
    lacks its tests, its marks or its points.
    """
    import jupytext  # slow to import, and every command reads this module's constants

    path = solution_of(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.py"))) or "none"
        raise FileNotFoundError(f"no solution {path}; there are: {known}")
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata.pop("jupytext", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{index:02d}"  # the same for everybody, whenever it is derived
    _validate(notebook, name)
    return notebook


def _validate(notebook: "NotebookNode", name: str) -> None:
    from nbformat import NotebookNode

    cells = notebook.cells
    followers = [*cells[1:], NotebookNode(metadata={})]
    for cell, follower in zip(cells, followers):
        marked = cell.metadata.get("exercise") or cell.metadata.get("question")
        if marked and not _SOLUTION.search(cell.source):
            raise ValueError(f"{name}: the cell of {marked!r} has no ### BEGIN SOLUTION … ### END SOLUTION")
        if "exercise" in cell.metadata and follower.metadata.get("tests") != cell.metadata.exercise:
            raise ValueError(
                f"{name}: the cell after exercise {cell.metadata.exercise!r} must be its tests, "
                f'# %% tests="{cell.metadata.exercise}" points=…'
            )
        if {"tests", "question"} & set(cell.metadata) and not cell.metadata.get("points"):
            raise ValueError(
                f"{name}: the tests or question {marked or cell.metadata.tests!r} carry no points"
            )
    if cells and cells[0].cell_type == "markdown" and POINTS_BY_HAND.search(cells[0].source):
        raise ValueError(
            f"{name}: the first cell holds a table of points; remove it: one is made from the cells' points"
        )


def nbgrader_notebook(name: str) -> "NotebookNode":
    """The solved notebook with nbgrader's metadata in place of ours: what goes to `course/source`."""
    import nbformat
    from nbformat import NotebookNode

    notebook = read(name)
    _state_limits_and_points(notebook, name)
    for cell in notebook.cells:
        if marks := _marks(cell.metadata):
            cell.metadata = NotebookNode(nbgrader=NotebookNode(marks))
        else:
            cell.metadata = NotebookNode()
    nbformat.validate(notebook)
    return notebook


RULE = (
    "**Arguments.** A function leaves what it is given as it is: arrays, tensors, lists and what they hold.\n"
    "Work on copies. Only a random generator moves on. Who breaks this rule loses the exercise's last hidden test."
)
"""What holds in every exercise, and `Exercise.run` demands."""

WAYS = (
    "**Any way counts.** What is judged is what a function returns, within the limits; of a sampler, its law.\n"
    "Where an exercise needs a certain way, it says so, and has inputs for which a list of all states takes years."
)


def _state_limits_and_points(notebook: "NotebookNode", name: str) -> None:
    """Say at the end of the first cell what grading allows and what each exercise gives, by the same numbers."""
    first = notebook.cells[0]
    if first.cell_type == "markdown":
        first.source = (
            f"{first.source}\n\n{RULE}\n\n{WAYS}\n\n{limits_in_words(name)}\n\n{_table_of_points(notebook)}"
        )


def _table_of_points(notebook: "NotebookNode") -> str:
    """The exercises and questions in their order, each by the heading above it."""
    rows, heading = ["| exercise | points |", "|---|---|"], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := HEADING.findall(without_solution(cell.source))):
            heading = found[-1]
        if "points" in cell.metadata:
            words = ", in words" if "question" in cell.metadata and not heading.endswith("in words") else ""
            rows.append(f"| {len(rows) - 1}. {heading}{words} | {float(cell.metadata.points):g} |")
    return "\n".join(rows)


def limits_in_words(name: str) -> str:
    """The limits on an assignment's submissions: seconds of processor time, sleep, memory."""
    from autograder.exercises.catalogue import assignment_named
    from autograder.sandbox.limits import PATIENCE, Limits
    from autograder.sandbox.worker.codec import MAX_PAYLOAD

    assignment = assignment_named(name)
    limits = Limits.set_by(assignment.limits)
    shortest = {e.name: min(c.seconds for c in e.checks) for e in assignment.exercises if e.checks}
    usual = min(shortest.values(), default=10.0)
    longer = [f"`{exercise}` {seconds:g}" for exercise, seconds in shortest.items() if seconds > usual]
    each = f"each hidden test {usual:g}" + (f" (of {', '.join(longer)})" if longer else "")
    memory = limits.memory / (1 << 30)
    return (
        f"**Limits.** While your work is graded, a cell may use {limits.cell_seconds:g} seconds of processor time, "
        f"all cells\ntogether {limits.notebook_seconds:g}, and {each}.\n"
        "What counts is the work of your code, on one processor; how busy the grader is does not count.\n"
        f"Code that sleeps or waits may take {PATIENCE[0]:g} times as long and {PATIENCE[1]:g} seconds more.\n"
        f"Memory is limited to {memory:g} GB, and what a function returns to {MAX_PAYLOAD >> 20} MB."
    )


def _marks(metadata: Any) -> dict[str, Any] | None:
    common = {"schema_version": 3, "task": False}
    if exercise := metadata.get("exercise"):
        return common | {"grade_id": exercise, "solution": True, "grade": False, "locked": False}
    points = float(metadata.get("points", 0))
    if tests := metadata.get("tests"):
        marks = {"grade_id": f"{tests}-tests", "solution": False, "grade": True, "locked": True}
        return common | marks | {"points": points}
    if question := metadata.get("question"):
        marks = {"grade_id": question, "solution": True, "grade": True, "locked": False}
        return common | marks | {"points": points}
    return None


def without_solution(source: str, stub: str = STUB) -> str:
    """`source` with everything between its solution marks, marks included, replaced by `stub`."""
    return _SOLUTION.sub(lambda found: found[1] + stub, source)


def exercise_points(name: str) -> dict[str, float]:
    """The points of each exercise and question, as the solution's cells state them."""
    cells = read(name).cells
    points = (
        (c.metadata.get("tests") or c.metadata.get("question"), c.metadata.get("points")) for c in cells
    )
    return {what: float(number) for what, number in points if what}
