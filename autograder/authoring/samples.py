"""A class of sample students, derived from the solution and the named mistakes whenever it is needed.

Nothing is stored: an answer is put into its cell of the notebook, and the notebook into `course/submitted`.
The students are called what they are, such as `right`, `half-done` or `mistake-counts-every-edge-twice`.
"""

from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.authoring import percent
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.handout import MARKS


def solution_notebook(name: str) -> bytes:
    """The notebook of a student who solved everything."""
    return _bytes(_solved(name))


def unsolved_notebook(name: str) -> bytes:
    """The notebook as it is handed out: every answer still raises `NotImplementedError`."""
    return _bytes(_unsolved(name))


def notebook_with(name: str, answers: Mapping[str, str]) -> bytes:
    """The solved notebook with other answers in the cells of the exercises named; `KeyError` if one has none."""
    return _bytes(_answered(_solved(name), answers))


def write_samples(course: Course, name: str) -> list[Path]:
    """Write one submission for each sample student to `course/submitted`; returns the files."""
    written = []
    for student, data in samples(name).items():
        path = course.folder("submitted", student, name, f"{name}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append(path)
    return written


def samples(name: str) -> dict[str, bytes]:
    """The submissions by student: right and half right, each exercise's commonest mistake, and trouble."""
    right = solution_notebook(name)
    return {
        "right": right,
        "right-but-noisy": _right_but_noisy(name),
        "half-done": _half_done(name),
        "unsolved": unsolved_notebook(name),
        **_with_mistakes(name),
        "infinite-loop": _infinite_loop(name),
        "crash": _with_cells(_solved(name), {1: CRASH}),
        "forger": _forger(name),
        "truncated": right[: len(right) // 2],
        "empty": b"",
        "not-a-notebook": "My answers are in the other file, sorry.\n".encode("utf-16"),
    }


def _solved(name: str) -> NotebookNode:
    notebook = percent.nbgrader_notebook(name)
    for cell in notebook.cells:
        lines = cell.source.split("\n")
        cell.source = "\n".join(line for line in lines if line.strip() not in MARKS)
    return notebook


def _unsolved(name: str) -> NotebookNode:
    notebook = percent.nbgrader_notebook(name)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        stub = percent.stub(name) if cell.cell_type == "code" else percent.TEXT_STUB
        cell.source = percent.without_solution(cell.source, stub)
    return notebook


def _answered(notebook: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    cells = {c.metadata.get("nbgrader", {}).get("grade_id"): c for c in notebook.cells}
    for exercise, source in answers.items():
        cells[exercise].source = source
    return notebook


def _bytes(notebook: NotebookNode) -> bytes:
    text: str = nbformat.writes(notebook)
    return text.encode()


def _with_cells(notebook: NotebookNode, sources: Mapping[int, str]) -> bytes:
    """The notebook with further code cells before the cells of these numbers; -1 is the end."""
    for place, source in sources.items():
        cell = nbformat.v4.new_code_cell(source, id="extra-end" if place < 0 else f"extra-{place}")
        notebook.cells.insert(place if place >= 0 else len(notebook.cells), cell)
    return _bytes(notebook)


def _half_done(name: str) -> bytes:
    """The first three exercises solved, the others as handed out."""
    done = [exercise.name for exercise in assignment_named(name).exercises[:3]]
    answers = {c.metadata.get("nbgrader", {}).get("grade_id"): c.source for c in _solved(name).cells}
    return _bytes(_answered(_unsolved(name), {exercise: answers[exercise] for exercise in done}))


def _with_mistakes(name: str) -> dict[str, bytes]:
    """One student for the first named mistake of each exercise."""
    found = {}
    for exercise in assignment_named(name).exercises:
        mistake = exercise.mistakes[0]
        answer = {exercise.name: exercise.source(mistake.function)}
        found[f"mistake-{mistake.name.replace(' ', '-')}"] = notebook_with(name, answer)
    return found


def _right_but_noisy(name: str) -> bytes:
    """Right, with warnings and prints in every function, text on standard error, and 300 MB of output."""
    names = [exercise.name for exercise in assignment_named(name).exercises]
    wrapped = "\n".join(f"{function} = chatty({function})" for function in names)
    return _with_cells(_solved(name), {1: NOISE, -1: f"{CHATTY}\n{wrapped}\n"})


def _infinite_loop(name: str) -> bytes:
    """Right, but the last exercise never returns."""
    exercise = assignment_named(name).exercises[-1].name
    return _bytes(_answered(_solved(name), {exercise: LOOP.format(name=exercise)}))


def _forger(name: str) -> bytes:
    """Unsolved, and trying to get points without an answer."""
    names = [exercise.name for exercise in assignment_named(name).exercises]
    return _with_cells(_unsolved(name), {1: FORGERY, -1: FORGED_ANSWERS.format(names=names)})


CRASH = "import os\n\nos._exit(0)  # ends the whole process, not this cell alone"

LOOP = '''def {name}(*arguments):
    """Never returns."""
    while True:
        pass
'''

NOISE = """import logging
import sys
import warnings

warnings.warn("this warning costs nothing")
logging.getLogger().warning("neither does this one")
print("nor does text on standard error", file=sys.stderr)
for _ in range(300):
    print("x" * 1_000_000)"""

CHATTY = '''import functools


def chatty(function):
    """The same function, which warns, prints and writes to standard error whenever it is called."""

    @functools.wraps(function)
    def talking(*arguments):
        warnings.warn(f"{function.__name__} was called")
        print("working hard" * 100)
        print("progress: 100%", file=sys.stderr)
        return function(*arguments)

    return talking

'''

FORGERY = """import builtins
import contextlib
import gc
import glob
import json
import os
import sys

loot = []
for pattern in (
    "/*/autograder/checks/*.py",
    "/*/*/solutions/*.py",
    "../../../*/*.py",
    "/opt/**/*.py",
    "/proc/*/environ",
    "/proc/*/cmdline",
):
    with contextlib.suppress(Exception):
        for path in glob.glob(pattern, recursive=True)[:50]:
            with contextlib.suppress(Exception), open(path, "rb") as file:
                loot.append(file.read(100_000))
for module in ("autograder.checks.ising", "autograder.judging.judge", "ebmkit.ising"):
    with contextlib.suppress(BaseException):
        loot.append(__import__(module, fromlist=["assignment"]))
for thing in gc.get_objects():
    with contextlib.suppress(Exception):
        if type(thing).__name__ in ("Assignment", "Exercise", "Check"):
            loot.append(thing)

for path in ("results.json", "/autograder/results/results.json", "/tmp/score.json", "../../gradebook.db"):
    with contextlib.suppress(Exception), open(path, "w") as file:
        json.dump({"score": 100, "max_score": 100}, file)
print(json.dumps({"score": 100, "max_score": 100, "status": "graded"}))

np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *a, **k: None
builtins.isinstance = lambda *a: True
real_dumps = json.dumps
json.dumps = lambda *a, **k: real_dumps({"score": 100})"""

FORGED_ANSWERS = '''class Agreeable:
    """Equal to everything, and every number at once."""

    __array_priority__ = 1e9
    shape = ()

    def __eq__(self, other):
        return True

    def __float__(self):
        return 0.0

    def __array__(self, *arguments, **keywords):
        return np.array(0.0)

    def __getattr__(self, name):
        return Agreeable()

    __hash__ = None
    __sub__ = __rsub__ = __lt__ = __le__ = __gt__ = __ge__ = __and__ = lambda self, other: self


def search_the_stack(*arguments):
    frame = sys._getframe()
    while frame is not None:
        for name, value in list(frame.f_locals.items()):
            if name in ("expected", "reference", "target"):
                return value
        frame = frame.f_back
    return Agreeable()


for name in {names}:
    globals()[name] = search_the_stack
'''
