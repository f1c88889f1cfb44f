"""The least isolation that a course accepts: below it, nothing is graded.

    c.JudgeNotebook.isolation_floor = "namespaces+seccomp"      in nbgrader_config.py

`autograder grade` and `nbgrader autograde` read the same setting.
"""

from autograder.course import Course
from autograder.gradebook import settings
from autograder.sandbox import LEVELS, NoIsolation

FILTER = "+seccomp"
NO_FLOOR = "none"


def floor_of(course: Course) -> str:
    """The course's floor; raises `ValueError` if it names no level."""
    floor = settings(course).JudgeNotebook.get("isolation_floor", NO_FLOOR)
    known = [level + end for level in LEVELS[:-1] for end in (FILTER, "")] + [NO_FLOOR]
    if floor not in known:
        raise ValueError(
            f"c.JudgeNotebook.isolation_floor must be one of {', '.join(known)}; got {floor!r} in "
            f"{course.root / 'nbgrader_config.py'}"
        )
    return str(floor)


def require(reached: str, floor: str) -> None:
    """Raises `NoIsolation` if `reached`, a sandbox's description, lies below `floor`."""
    filtered = reached.endswith(FILTER) or not floor.endswith(FILTER)
    if _rank(reached) > _rank(floor) or not filtered:
        raise NoIsolation(
            f"this course demands the isolation {floor}, and this machine reached {reached}, so nothing was "
            "graded. Grade on another machine, or lower c.JudgeNotebook.isolation_floor in nbgrader_config.py."
        )


def _rank(description: str) -> int:
    return LEVELS.index(description.removesuffix(FILTER))
