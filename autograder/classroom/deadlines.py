"""When an assignment is due, for the class and for single students.

    course/extensions.json    {"ising": {"ada": "2026-12-03 22:59:00.000000 UTC"}}

The date of the class stands in nbgrader's gradebook. A student's own is kept beside it, because nbgrader has room
for one only once something was handed in; `settle` puts it there. What lateness costs, nbgrader's plugin decides.
"""

import datetime
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.course import Course

if TYPE_CHECKING:
    from autograder.classroom.gradebook import Book

FILE = "extensions.json"
FORM = "%Y-%m-%d %H:%M:%S.%f UTC"


def moment(text: str) -> datetime.datetime:
    """A time that a human typed, in UTC: `2026-12-01T23:59`, of this computer's zone unless it names one.

    A day alone is its last minute. Raises `ValueError`.
    """
    try:
        when = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no date and time; write 2026-12-01T23:59, or with its zone 2026-12-01T23:59+01:00"
        ) from None
    if len(text.strip()) <= len("2026-12-01"):
        when = when.replace(hour=23, minute=59)
    try:
        return when.astimezone(datetime.UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        raise ValueError(f"{text!r} is too far from now for a date") from None


def in_words(when: datetime.datetime) -> str:
    """A time in UTC as this computer's clock shows it."""
    return f"{when.replace(tzinfo=datetime.UTC).astimezone():%Y-%m-%d %H:%M %Z}"


def extensions(course: Course, assignment: str) -> dict[str, datetime.datetime]:
    """The dates of students who have one of their own; raises `ValueError` if the file is damaged."""
    return {
        student: datetime.datetime.strptime(text, FORM)
        for student, text in _all(course).get(assignment, {}).items()
    }


def extend(course: Course, assignment: str, student: str, when: datetime.datetime | None) -> None:
    """Give a student a date of their own; None takes it away."""
    everything = _all(course)
    own = everything.setdefault(assignment, {})
    own.pop(student, None)
    if when is not None:
        own[student] = when.strftime(FORM)
    write_atomically(
        course.directory / FILE, json.dumps(everything, indent=1, sort_keys=True).encode() + b"\n"
    )


def _all(course: Course) -> dict[str, dict[str, str]]:
    path = course.directory / FILE
    try:
        found = json.loads(path.read_text())
        for own in found.values():
            for text in own.values():
                datetime.datetime.strptime(text, FORM)
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"{path} is damaged; restore it, or delete it and give the extensions again"
        ) from None
    return dict(found)


def settle(course: Course, book: "Book", assignment: str, students: Iterable[str]) -> None:
    """Tell the gradebook when these students handed in, as their `timestamp.txt` says now, and their own dates."""
    times = {student: inbox.timestamp(course, student, assignment) for student in students}
    book.date(assignment, times, extensions(course, assignment))


def late(
    course: Course, book: "Book", assignment: str, students: Iterable[str]
) -> dict[str, datetime.timedelta]:
    """By how much each of these students who is late handed in late."""
    from autograder.classroom.gradebook import when_of

    due, own = book.due(assignment), extensions(course, assignment)
    found = {}
    for student in students:
        limit, when = own.get(student, due), when_of(inbox.timestamp(course, student, assignment))
        if limit is not None and when is not None and when > limit:
            found[student] = when - limit
    return found
