"""What is wrong with an assignment, found in seconds and before students see it; a release that fails this is none.

Each step looks at one thing. `selftest` then looks at the checks much longer: on many seeds, and under attack.
"""

import dataclasses
import importlib.util
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import nbformat

from autograder.authoring import checked, percent, samples
from autograder.authoring.faults import leaks, needs_of_tests
from autograder.authoring.hand_out import NoWheel, wheels
from autograder.classroom.floor import floor_of
from autograder.course import Course
from autograder.exercises.attempt import Check
from autograder.exercises.catalogue import sources_of
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.likeness import matching_mistake
from autograder.judging.causes import failures_of
from autograder.judging.judge import seed_for
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox
from autograder.sandbox.session import Dead, Session

SEED = b"check"


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that was looked at: what should hold, and what does not."""

    holds: str
    problems: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        if not self.problems:
            return f"✓ {self.holds}"
        return "\n".join(f"✗ {problem}" for problem in self.problems)


def check(course: Course, assignment: Assignment) -> Iterator[Step]:
    """Look at everything, step by step, as soon as it is known; ends early where the rest makes no sense.

    What has no problem is remembered: `is_checked` then answers without looking.
    """
    now = checked.state(course, assignment)
    steps: list[tuple[str, Callable[[], Iterable[str]]]] = [
        ("the settings name what is there", lambda: _settings(course)),
        ("the solution has an answer, tests and points for every exercise", lambda: _cells(assignment)),
        ("the points of cells and checks agree", lambda: point_faults(course, assignment)),
        ("every exercise has checks, mistakes and alternatives", lambda: lacks(course, assignment)),
        ("right code passes, mistakes fail and are told their names", lambda: _checks(assignment)),
        ("no cell needs what only the tests define", lambda: _needs(assignment)),
        ("nothing of the solution or the checks reaches students", lambda: _secrets(course, assignment)),
        ("the notebook runs: unsolved to the first exercise, solved to the end", lambda: _runs(assignment)),
    ]
    well = True
    for holds, look in steps:
        start = time.perf_counter()
        problems = tuple(look())
        well = well and not problems
        yield Step(holds, problems, time.perf_counter() - start)
        if problems and look is steps[1][1]:
            return
    if well:
        checked.remember(course, assignment.name, now)


def is_checked(course: Course, assignment: Assignment) -> bool:
    """Whether nothing that `check` looks at has changed since it found no problem."""
    return checked.is_known(course, assignment.name, checked.state(course, assignment))


def _settings(course: Course) -> Iterator[str]:
    settings = course.settings
    try:
        floor_of(course)
    except ValueError as error:
        yield str(error)
    for name in settings.packages:
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            yield f"{settings.path} lists the package {name!r}, which is not installed here; pip install it"


def _cells(assignment: Assignment) -> Iterator[str]:
    try:
        cells = percent.read(assignment.name).cells
    except (FileNotFoundError, ValueError) as error:
        yield str(error)
        return
    in_notebook = [cell.metadata.exercise for cell in cells if "exercise" in cell.metadata]
    in_checks = [exercise.name for exercise in assignment.exercises]
    for name in sorted({name for name in in_notebook if in_notebook.count(name) > 1}):
        yield f"two cells of the solution are called {name!r}"
    for name in [name for name in in_notebook if name not in in_checks]:
        yield f"{name}: the solution has this exercise and the checks have not; list it in Assignment(…)"
    for name in [name for name in in_checks if name not in in_notebook]:
        yield f'{name}: the checks have this exercise and the solution has not; add # %% exercise="{name}"'


def point_faults(course: Course, assignment: Assignment) -> Iterator[str]:
    """Where the points of cells and checks differ, or do not add to what the course demands."""
    stated = percent.exercise_points(assignment.name)
    for exercise in assignment.exercises:
        if exercise.points != stated.get(exercise.name):
            yield (
                f"{exercise.name}: its cell gives {stated.get(exercise.name, 0):g} points and its checks "
                f"{exercise.points:g}"
            )
    wanted, total = course.settings.points, sum(stated.values())
    if wanted and abs(total - wanted) > 1e-9:
        yield f"the points add to {total:g}; {course.settings.path.name} demands {wanted:g}"


def lacks(course: Course, assignment: Assignment) -> Iterator[str]:
    """What the course demands of every exercise and some have not."""
    settings = course.settings
    for exercise in assignment.exercises:
        name = exercise.name
        if not exercise.checks:
            yield f"{name}: there are no checks"
        for each in exercise.checks:
            if not each.tries.strip():
                yield f"{name}: check {each.name} does not say what it tries"
            if each.points <= 0:
                yield f"{name}: check {each.name} gives no points"
        for mistake in exercise.mistakes:
            if not mistake.hint.strip():
                yield f"{name}: the mistake {mistake.name!r} has no hint"
        for kind, there, least in (
            ("alternatives", len(exercise.alternatives), settings.alternatives),
            ("mistakes", len(exercise.mistakes), settings.mistakes),
        ):
            if there < least:
                yield f"{name}: {there} {kind}; at least {least} are needed"
        if len({m.name for m in exercise.mistakes}) < len(exercise.mistakes):
            yield f"{name}: two mistakes share a name"


def _checks(assignment: Assignment) -> Iterator[str]:
    for exercise in assignment.exercises:
        try:
            yield from _right_code(exercise)
            yield from _mistakes(exercise)
        except Exception as error:  # the author's own code, whatever it raises
            yield f"{exercise.name}: a check broke: {type(error).__name__}: {error}"


def _right_code(exercise: Exercise) -> Iterator[str]:
    right = [("the reference", exercise.reference), *((f.__name__, f) for f in exercise.alternatives)]
    for name, function in right:
        for one in exercise.tried(function, _seed):
            if one.complaint:
                yield f"{exercise.name}: {name} is right and fails {one.check.tries!r}: {one.complaint}"


def _mistakes(exercise: Exercise) -> Iterator[str]:
    for mistake in exercise.mistakes:
        tried = list(exercise.tried(mistake.function, _seed))
        if not any(one.complaint for one in tried):
            yield f"{exercise.name}: the mistake {mistake.name!r} passes every check"
            continue
        match = matching_mistake(exercise, tried)
        if match is None or match.mistake is not mistake:
            told = f"it is told {match.mistake.name!r}" if match else "its answers cannot be compared"
            yield f"{exercise.name}: the mistake {mistake.name!r} fails and is not told its name: {told}"


def _seed(each: Check) -> int:
    return seed_for(SEED, SEED, each.name)


def _needs(assignment: Assignment) -> Iterator[str]:
    try:
        needed = needs_of_tests(percent.nbgrader_notebook(assignment.name))
    except SyntaxError as error:
        yield f"a cell cannot be read: {error}"
        return
    for wanted, cell in needed:
        yield (
            f"cell {cell + 1} needs {wanted!r}, which only tests define, and grading does not run them; define it "
            "in a cell of its own"
        )


def _secrets(course: Course, assignment: Assignment) -> Iterator[str]:
    shown = nbformat.reads(samples.unsolved_notebook(assignment.name).decode(), as_version=4)
    yield from leaks(percent.nbgrader_notebook(assignment.name), shown.cells)
    try:
        libraries = wheels(course)
    except NoWheel as error:
        yield str(error)
        return
    hidden = {path.read_bytes(): path for path in sources_of(assignment) if path.stat().st_size}
    solution = percent.solution_of(assignment.name)
    hidden[solution.read_bytes()] = solution
    for library in libraries:
        with zipfile.ZipFile(library) as archive:
            for name in archive.namelist():
                if (secret := hidden.get(archive.read(name))) is not None:
                    yield f"{library.name} would bring students {secret.name}"


def _runs(assignment: Assignment) -> Iterator[str]:
    """Every cell, tests included, as students run them; our own code, so without isolation where there is none."""
    try:
        sandbox = Sandbox("auto", assignment.provides, assignment.imports)
    except NoIsolation:
        sandbox = Sandbox("none", assignment.provides, assignment.imports)
    except RuntimeError as error:  # a package that is not installed, or does not start
        yield str(error)
        return
    limits = Limits.set_by(assignment.limits)
    exercises = {exercise.name for exercise in assignment.exercises}
    with sandbox:
        for data, solved in (
            (samples.unsolved_notebook(assignment.name), False),
            (samples.solution_notebook(assignment.name), True),
        ):
            cells = nbformat.reads(data.decode(), as_version=4).cells
            yield from _run(sandbox.start(limits), cells, limits.cell_seconds, None if solved else exercises)


def _run(session: Session, cells: list[Any], seconds: float, until: set[str] | None) -> Iterator[str]:
    for index, cell in enumerate(cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if until and name in until:
            return
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        where = (
            f"cell {index + 1}{f' ({name})' if name else ''} of the {'un' if until else ''}solved notebook"
        )
        try:
            answer = session.run_cell(cell.source, seconds)
        except Dead as death:
            yield f"{where} ended its process: {death.reason}"
            return
        for failure in failures_of(index, answer):
            yield f"{where} fails at line {failure.line}: {failure.reason}"
        error = answer["error"]
        if isinstance(error, dict):
            if error.get("late"):
                yield f"{where} takes more than {seconds:g} seconds of processor time"
            else:
                yield f"{where} fails: {error.get('type', 'Error')}: {error.get('message', '')}"
