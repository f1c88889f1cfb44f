"""Finds what students handed in, and opens nothing that is not a plain file of their own.

course/submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb is expected; a single notebook under another name is taken
with a note. What cannot be used is `Rejected`, with a reason for the student.
"""

import dataclasses
import os
import stat
from pathlib import Path

from autograder.course import Course
from autograder.judging.submission import MAX_BYTES

MAX_NAME = 128
"""Bytes of a student's name; nbgrader's gradebook has room for so many."""


class Rejected(ValueError):
    """There is no notebook that could be graded; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A submitted notebook, and what was odd about how it lay there."""

    student: str
    path: Path
    notes: tuple[str, ...] = ()


def students(course: Course, assignment: str) -> list[str]:
    """Everyone who has a folder for the assignment, in order."""
    try:
        names = sorted(os.listdir(course.folder("submitted")))
    except FileNotFoundError:
        return []
    return [
        name
        for name in names
        if not name.startswith(".") and course.folder("submitted", name, assignment).is_dir()
    ]


def bad_name(student: str) -> str:
    """What is wrong with a folder's name, if it can be no student's; empty if nothing is."""
    size = len(student.encode("utf-8", "surrogateescape"))
    if size > MAX_NAME:
        return (
            f"the folder's name has {size} bytes, and at most {MAX_NAME} can be used; give it a shorter one"
        )
    try:
        student.encode()
    except UnicodeEncodeError:
        return "the folder's name is not UTF-8; rename it"
    return ""


def find(course: Course, student: str, assignment: str) -> Found:
    """The student's notebook; raises `Rejected`."""
    folder = course.folder("submitted", student, assignment)
    root = course.folder("submitted").resolve()
    if not folder.resolve().is_relative_to(root):
        raise Rejected("the folder is a link that leads out of the submissions; hand in the file itself")
    expected = f"{assignment}.ipynb"
    names = sorted(
        name for name in os.listdir(folder) if name.lower().endswith(".ipynb") and not name.startswith(".")
    )
    notes: tuple[str, ...] = ()
    if expected in names:
        chosen = expected
        others = [name for name in names if name != expected]
        if others:
            notes = (f"only {expected} was graded; not {_listed(others)}",)
    elif len(names) == 1:
        chosen = names[0]
        notes = (f"the file is called {_listed(names)}; {expected} was expected, and it was graded as that",)
    elif names:
        raise Rejected(f"several notebooks, none called {expected}: {_listed(names)}; hand in one")
    else:
        raise Rejected(f"no notebook was handed in; {expected} was expected")
    path = folder / chosen
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Rejected(f"{_listed([chosen])} is a link that leads elsewhere; hand in the file itself")
    return Found(student, path, notes)


def read(path: Path) -> bytes:
    """The bytes of a plain file, no more than a notebook may have; raises `Rejected` for anything else."""
    try:
        # Without blocking, so that a pipe or device posing as a notebook can't hold up the class.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise Rejected(f"the file cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Rejected("the notebook is not a file; hand in the .ipynb file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def timestamp(course: Course, student: str, assignment: str) -> str:
    """The text of nbgrader's `timestamp.txt`; empty if there is none."""
    path = course.folder("submitted", student, assignment, "timestamp.txt")
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(100).decode("ascii", "replace").strip()


def _listed(names: list[str]) -> str:
    shown = ", ".join(name.encode("utf-8", "replace").decode()[:60] for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
