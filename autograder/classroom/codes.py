"""Grading without names: codes in their place on every page and list, which only the course's key resolves.

    anonymous = true      in course.toml

A code is the same from run to run and from assignment to assignment: the first 40 bits of HMAC(key, student), in
Crockford's letters and digits, which are not mistaken for one another.
"""

import base64
import hmac
from collections.abc import Callable

from autograder.classroom import inbox
from autograder.classroom.gradebook import Book, settings
from autograder.classroom.roster import Roster
from autograder.course import Course

LETTERS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
MISREAD = str.maketrans("oil", "011")


def is_anonymous(course: Course) -> bool:
    """Whether the course grades without names."""
    return bool(settings(course).JudgeNotebook.get("anonymous", False))


def code(course: Course, student: str) -> str:
    """The student's code, such as `k3f9-x2ab`."""
    digest = hmac.new(course.key(), b"code " + student.encode("utf-8", "surrogatepass"), "sha256").digest()
    text = base64.b32encode(digest[:5]).translate(LETTERS).decode()
    return f"{text[:4]}-{text[4:]}"


def shown(course: Course) -> Callable[[str], str]:
    """How students are called on pages and lists: by their names, or by codes where the course asks for that."""
    if not is_anonymous(course):
        return lambda student: student
    return lambda student: code(course, student)


def everyone(course: Course) -> dict[str, str]:
    """Each code with the student whose it is: the class, the gradebook, and whoever handed in."""
    there = course.folder("submitted")
    handed_in = [p.name for p in there.iterdir() if p.is_dir()] if there.is_dir() else []
    with Book(course) as book:
        known = {*book.people(), *(person.student for person in Roster.of(course).people), *handed_in}
    return {code(course, student): student for student in sorted(known) if not inbox.bad_name(student)}


def resolve(course: Course, text: str) -> str:
    """The student behind a code; raises `ValueError` for what is nobody's."""
    student = everyone(course).get(text.strip().lower().translate(MISREAD))
    if student is None:
        raise ValueError(f"{text!r} is nobody's code in this course")
    return student
