"""Which assignments have no problem as they are now, so that `release` looks again only at what changed.

course/checked/NAME     the name of that state: a hash of everything that `check` looks at
"""

import hashlib
from pathlib import Path

from autograder.atomic import write_atomically
from autograder.authoring import percent
from autograder.authoring.hand_out import NoWheel, wheels
from autograder.course import Course
from autograder.exercises.exercise import Assignment
from autograder.judging.fingerprint import fingerprint


def state(course: Course, assignment: Assignment) -> str:
    """The name of what `check` would look at: solution, checks, settings, wheels, our own code, versions."""
    ours = sorted(Path(__file__).parent.glob("*.py"))
    said = [percent.solution_of(assignment.name), course.settings.path, *ours]
    try:
        said += wheels(course)
    except NoWheel:
        return ""  # a problem, and no state to remember
    parts = [path.read_bytes() if path.is_file() else b"" for path in said]
    digest = hashlib.sha256(fingerprint(assignment, "check", b""))
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def is_known(course: Course, name: str, now: str) -> bool:
    """Whether this very state was found without a problem."""
    path = course.folder("checked", name)
    return bool(now) and path.is_file() and path.read_bytes() == now.encode()


def remember(course: Course, name: str, now: str) -> None:
    """Note that this state has no problem."""
    if now:
        write_atomically(course.folder("checked", name), now.encode(), durable=False)
