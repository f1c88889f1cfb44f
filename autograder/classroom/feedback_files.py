"""Where students' pages lie, and how they are written again when a human or a date changes what they say."""

import hmac
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.classroom.codes import shown
from autograder.classroom.store import Store
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.handout import Handout
from autograder.judging.judge import with_notes
from autograder.judging.submission import cells_of
from autograder.pages import feedback

SECRET = "submission_secret.txt"
"""What nbgrader's `submit` makes: feedback goes back through the exchange under its hash."""


def write(course: Course, student: str, assignment: str, html: str) -> Path:
    """Write `course/feedback/STUDENT/ASSIGNMENT/ASSIGNMENT.html`, and what nbgrader's `release_feedback` needs."""
    path = course.folder("feedback", student, assignment, f"{assignment}.html")
    write_atomically(path, html.encode("utf-8", "replace"), durable=False)
    accompany(course, student, assignment)
    return path


def accompany(course: Course, student: str, assignment: str) -> None:
    """Write beside a page what nbgrader's `release_feedback` reads: when it was handed in, and the secret."""
    path = course.folder("feedback", student, assignment, "timestamp.txt")
    when = _beside(course, student, assignment, "timestamp.txt")
    write_atomically(path, when, durable=False)
    secret = _beside(course, student, assignment, SECRET) or _nobodys_secret(course, student, assignment)
    write_atomically(path.with_name(SECRET), secret, durable=False)


def _nobodys_secret(course: Course, student: str, assignment: str) -> bytes:
    """What did not come through nbgrader's exchange is released under a name that nobody can ask for."""
    return hmac.new(course.key(), f"feedback {assignment} {student}".encode(), "sha256").hexdigest().encode()


def _beside(course: Course, student: str, assignment: str, name: str) -> bytes:
    """What lies beside the submission under a name, if it is a plain small file."""
    path = course.folder("submitted", student, assignment, name)
    if path.is_symlink() or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(1000)


def regenerate(
    course: Course,
    name: str,
    by_hand: Any,
    penalties: Mapping[str, float] | None = None,
    students: Collection[str] | None = None,
) -> Iterator[Path]:
    """Write the pages of everyone, or of these students, again from the kept verdicts.

    `by_hand(student)` is what a human decided; `penalties` are what late work costs.
    """
    for student, html in pages(course, name, by_hand, penalties, students):
        yield write(course, student, name, html)


def pages(
    course: Course,
    name: str,
    by_hand: Any,
    penalties: Mapping[str, float] | None = None,
    students: Collection[str] | None = None,
) -> Iterator[tuple[str, str]]:
    """Each student who has a verdict, with their page."""
    handout = Handout.of(course, assignment_named(name))
    store = Store(course, name)
    called = shown(course)
    for student in store.students() if students is None else students:
        judged = store.load(store.recorded(student))
        if judged is None:
            continue
        try:
            found = inbox.find(course, student, name)
            data, notes = inbox.read(found.path), found.notes
        except (inbox.Rejected, FileNotFoundError):
            data, notes = b"", ()
        penalty = (penalties or {}).get(student, 0.0)
        judged = with_notes(judged, notes)
        yield (
            student,
            feedback.page(called(student), cells_of(data), judged, handout, by_hand(student), penalty),
        )
