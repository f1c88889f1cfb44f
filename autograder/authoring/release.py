"""From an instructor's solution to what students get: a notebook without solutions, and a zip to download.

solutions/NAME.py → course/source/NAME/ → (nbgrader) → course/release/NAME/ → dist/assignments/NAME.zip
The result depends on the solution and the wheels alone: the same sources give the same bytes.
"""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.atomic import write_atomically
from autograder.authoring.faults import leaks
from autograder.authoring.hand_out import NoWheel, pack, wheels
from autograder.classroom.gradebook import opened, put_tools_on_path, settings
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.exercise import Assignment
from autograder.judging.handout import Handout, NotReleased


class ReleaseError(RuntimeError):
    """The student notebook could not be made, or must not be handed out; the message says why."""


def release(course: Course, assignment: Assignment, notebook: Any) -> Path:
    """Derive the student notebook of an assignment that was checked, and its zip; returns the zip's path.

    Raises `ReleaseError`; what was released before is then as it was.
    """
    try:
        libraries = wheels(course)
    except NoWheel as error:
        raise refusal(course, assignment.name, str(error)) from None
    publish(course, assignment, notebook)
    return pack(course, assignment.name, libraries)


def refusal(course: Course, name: str, reason: str) -> ReleaseError:
    """The failure of a release, which says what students have now."""
    kept = course.folder("release", name, f"{name}.ipynb").exists()
    return ReleaseError(
        f"{name} was not released{', and what was released before is as it was' if kept else ''}: {reason}"
    )


def publish(course: Course, assignment: Assignment, notebook: Any) -> Handout:
    """Make nbgrader's source, release and gradebook entry of `notebook`, and look at what students get.

    Raises `ReleaseError`; the files of the release before are then as they were.
    """
    import nbformat

    name = assignment.name
    source = course.folder("source", name, f"{name}.ipynb")
    released = course.folder("release", name, f"{name}.ipynb")
    _refuse_lost_cells(course, name, notebook)
    before = {path: path.read_bytes() if path.exists() else None for path in (source, released)}
    try:
        write_atomically(source, (nbformat.writes(notebook) + "\n").encode())
        _generate(course, name)
        if found := leaks(notebook, json.loads(released.read_text())["cells"]):
            raise ReleaseError(found[0])
        handout = Handout.read(released, name)
        handout.fit(assignment)
    except BaseException as error:
        _restore(before)
        if isinstance(error, ReleaseError | NotReleased):
            raise refusal(course, name, str(error)) from None
        raise
    return handout


def _restore(before: dict[Path, bytes | None]) -> None:
    for path, data in before.items():
        if data is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, data)


def _generate(course: Course, name: str) -> None:
    """nbgrader's own `generate_assignment`, in this process."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory

    put_tools_on_path()
    config = settings(course)
    config.CourseDirectory.assignment_id = name
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config, force=True)
    with _captured_log(converter.log) as log:
        try:
            converter.start()
        except NbGraderException:
            raise ReleaseError(f"nbgrader could not make the notebook: {_cause(log.getvalue())}") from None


@contextlib.contextmanager
def _captured_log(log: logging.Logger) -> Iterator[io.StringIO]:
    """What nbgrader logs, kept for its error message instead of printed."""
    text = io.StringIO()
    handlers, log.handlers = log.handlers, [logging.StreamHandler(text)]
    propagate, log.propagate = log.propagate, False
    try:
        yield text
    finally:
        log.handlers, log.propagate = handlers, propagate


def _cause(log: str) -> str:
    """The exception's own line out of a logged traceback."""
    lines = [line for line in log.splitlines() if line and not line.startswith((" ", "There was", "Please"))]
    causes = [line for line in lines if "Error: " in line or "Exception: " in line]
    return (causes or lines or ["no reason given"])[-1]


def _refuse_lost_cells(course: Course, name: str, notebook: Any) -> None:
    """nbgrader cannot add or remove graded cells once there are submissions; say so before it deletes anything."""
    from nbgrader.api import MissingEntry

    with opened(course) as book:
        try:
            known = book.find_notebook(name, name)
        except MissingEntry:
            return
        if not known.submissions:
            return
        before = {cell.name for cell in known.source_cells}
        count = len(known.submissions)
    after = {cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata}
    if before != after:
        changed = ", ".join(
            [f"{x} (new)" for x in sorted(after - before)] + [f"{x} (gone)" for x in sorted(before - after)]
        )
        raise refusal(
            course,
            name,
            f"{count} submission{'s are' if count > 1 else ' is'} graded, and nbgrader's gradebook cannot give "
            f"them other graded cells: {changed}. Text, tests, points and checks may change. New exercises can be "
            f"an assignment of their own: autograder new {name}_2. Or forget the grades, those given by hand too, "
            f"and grade again: autograder export {name} -o before.csv; nbgrader db assignment remove {name} "
            "--force",
        )


def release_checked(course: Course, name: str, unchecked: bool = False) -> Path:
    """Check an assignment, unless it was checked as it is now or that is not wanted, and release it."""
    from autograder.authoring.check import check, is_checked
    from autograder.authoring.percent import nbgrader_notebook

    assignment = assignment_named(name)
    try:
        if not unchecked and not is_checked(course, assignment):
            problems = [problem for step in check(course, assignment) for problem in step.problems]
            if problems:
                raise refusal(course, name, "; ".join(problems))
        notebook = nbgrader_notebook(name)
    except (FileNotFoundError, ValueError) as error:
        raise refusal(course, name, str(error)) from None
    return release(course, assignment, notebook)
