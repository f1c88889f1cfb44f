"""Reads `solutions/ASSIGNMENT.py`, the only source of an assignment: jupytext's py:percent text.

    # %% exercise="energy"                            the answer; its solution stands between two marks
    # %% tests="energy" points=15                     directly after it: the tests that students see
    # %% [markdown] question="why" points=10          free text, graded by hand

An answer's exercise, its function and its hidden checks share one name.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autograder

if TYPE_CHECKING:
    from nbformat import NotebookNode

SOLUTIONS = Path(autograder.__file__).parent.parent / "solutions"


def stub(exercise: str) -> str:
    """What stands in place of an answer; the error that a student meets names the exercise."""
    return f'raise NotImplementedError("{exercise} is not solved yet: replace this line with your answer")'


STUB = stub("this exercise")
TEXT_STUB = "*Replace this line with your answer.*"

_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*$", re.M | re.S)


def read(name: str) -> "NotebookNode":
    """The notebook of `solutions/NAME.py`, solved, with its metadata `exercise`, `tests`, `question`, `points`.

    Raises `FileNotFoundError` if there is no such solution, and `ValueError` naming the cell if an exercise
    lacks its tests, its marks or its points.
    """
    import jupytext  # slow to import, and every command reads this module's constants

    path = SOLUTIONS / f"{name}.py"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SOLUTIONS.glob("*.py"))) or "none"
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


def nbgrader_notebook(name: str) -> "NotebookNode":
    """The solved notebook with nbgrader's metadata in place of ours: what goes to `course/source`."""
    import nbformat
    from nbformat import NotebookNode

    notebook = read(name)
    _state_limits(notebook, name)
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


def _state_limits(notebook: "NotebookNode", name: str) -> None:
    """Say in the first cell, before its table of points, what grading demands and the limits that it measures."""
    first = notebook.cells[0]
    before, table, after = first.source.partition("\n\n| ")
    if first.cell_type == "markdown" and table:
        first.source = f"{before}\n\n{RULE}\n\n{limits_in_words(name)}{table}{after}"


def limits_in_words(name: str) -> str:
    """The limits on an assignment's submissions: seconds of processor time, sleep, memory."""
    from autograder.exercises.catalogue import assignment_named
    from autograder.sandbox.sandbox import PATIENCE, Limits
    from autograder.sandbox.worker.codec import MAX_PAYLOAD

    limits = Limits()
    shortest = {e.name: min(c.seconds for c in e.checks) for e in assignment_named(name).exercises}
    usual = min(shortest.values())
    longer = [f"`{exercise}` {seconds:g}" for exercise, seconds in shortest.items() if seconds > usual]
    each = f"each hidden test {usual:g}" + (f" (of {', '.join(longer)})" if longer else "")
    return (
        f"**Limits.** While your work is graded, a cell may use {limits.cell_seconds:g} seconds of processor time, "
        f"all cells\ntogether {limits.notebook_seconds:g}, and {each}.\n"
        "What counts is the work of your code, on one processor; how busy the grader is does not count.\n"
        f"Code that sleeps or waits may take {PATIENCE[0]:g} times as long and {PATIENCE[1]:g} seconds more.\n"
        f"Memory is limited to {limits.memory >> 30} GB, and what a function returns to {MAX_PAYLOAD >> 20} MB."
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
