"""An assignment whose cells and checks cost next to nothing: what is left is the price of grading itself."""

import inspect
from typing import TYPE_CHECKING

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Assignment, Exercise

if TYPE_CHECKING:
    from nbformat import NotebookNode

DRAWS = 20
POINTS = 20


def mean(values):
    return sum(values) / len(values)


def clamp(value, low, high):
    return max(low, min(high, value))


def dot(left, right):
    return (np.asarray(left) * np.asarray(right)).sum()


def is_prime(number):
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))


def count_runs(bits):
    return sum(1 for i, bit in enumerate(bits) if i == 0 or bit != bits[i - 1])


def draw_mean(rng):
    return (rng.normal(size=5).tolist(),)


def draw_clamp(rng):
    low, value, high = rng.normal(size=3).tolist()
    return value, min(low, high), max(low, high)


def draw_dot(rng):
    return tuple(rng.normal(size=(2, 4)).tolist())


def draw_is_prime(rng):
    return (int(rng.integers(2, 1000)),)


def draw_count_runs(rng):
    return (rng.integers(0, 2, 12).tolist(),)


CALLS = {
    mean: draw_mean,
    clamp: draw_clamp,
    dot: draw_dot,
    is_prime: draw_is_prime,
    count_runs: draw_count_runs,
}


def exercise(function, draw) -> Exercise:
    made = Exercise(function.__name__, function.__name__.replace("_", " "), function)

    @made.check(points=POINTS, tries=f"{DRAWS} random inputs")
    def _(attempt: Attempt) -> None:
        attempt.compare([draw(attempt.rng) for _ in range(DRAWS)])

    return made


exercises = tuple(exercise(function, draw) for function, draw in CALLS.items())
assignment = Assignment("plain", exercises, imports=())


def hidden_asserts() -> dict[str, str]:
    """The same number of asserts on fixed inputs for each exercise, as hidden tests for other graders."""
    rng = np.random.default_rng(0)
    return {
        function.__name__: "\n".join(_assertion(function, draw(rng)) for _ in range(DRAWS))
        for function, draw in CALLS.items()
    }


def _assertion(function, arguments) -> str:
    shown = ", ".join(map(repr, arguments))
    return f"assert np.isclose({function.__name__}({shown}), {float(function(*arguments))!r})"


def solved_notebook() -> "NotebookNode":
    """The solution with nbgrader's metadata, as `autograder.authoring.percent.nbgrader_notebook` gives one."""
    import nbformat

    cells = [nbformat.v4.new_code_cell("import numpy as np", id="plain-00")]
    rng = np.random.default_rng(1)
    for function, draw in CALLS.items():
        name = function.__name__
        head, body = inspect.getsource(function).split("\n", 1)
        answer = f"{head}\n    ### BEGIN SOLUTION\n{body}    ### END SOLUTION\n"
        cells.append(_cell(name, answer, solution=True))
        cells.append(_cell(f"{name}-tests", _assertion(function, draw(rng)), solution=False))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


def _cell(grade_id: str, source: str, solution: bool) -> "NotebookNode":
    import nbformat

    marks = {"schema_version": 3, "grade_id": grade_id, "solution": solution, "grade": not solution}
    marks |= {"locked": not solution, "task": False} | ({} if solution else {"points": float(POINTS)})
    return nbformat.v4.new_code_cell(source, id=grade_id, metadata={"nbgrader": marks})
