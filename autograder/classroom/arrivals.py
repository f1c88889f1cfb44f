"""Where each submission came from, so that its feedback goes back under the same name.

course/arrivals/ASSIGNMENT/STUDENT.json
"""

import dataclasses
import json

from autograder.atomic import write_atomically
from autograder.course import Course


@dataclasses.dataclass(frozen=True)
class Arrival:
    """The system that it came from, what that called the student's folder or file, its path, whether it was late.

    `late` is the other system's word, which knows when; it may not say by how much.
    """

    system: str
    place: str
    source: str
    late: bool = False


def note(course: Course, assignment: str, student: str, arrival: Arrival) -> None:
    """Keep where a student's submission came from."""
    path = course.folder("arrivals", assignment, f"{student}.json")
    write_atomically(path, json.dumps(dataclasses.asdict(arrival)).encode(), durable=False)


def noted(course: Course, assignment: str) -> dict[str, Arrival]:
    """Where each student's submission came from, as far as that is kept."""
    top = course.folder("arrivals", assignment)
    found = {}
    for path in sorted(top.glob("*.json")) if top.is_dir() else ():
        try:
            found[path.stem] = Arrival(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue  # it can be collected again
    return found
