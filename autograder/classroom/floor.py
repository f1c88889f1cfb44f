"""The least isolation that a course accepts: below it, nothing is graded.

    isolation_floor = "namespaces+seccomp"      in course.toml

`autograder grade` and `nbgrader autograde` read the same setting: nbgrader's configuration takes it from there.
"""

from autograder.classroom.gradebook import settings
from autograder.course import Course
from autograder.sandbox.levels import LEVELS, WALLS, NoIsolation

FLOOR = LEVELS[-2]
"""Where a course says nothing: everything but no isolation."""
NO_FLOOR = LEVELS[-1]


def floor_of(course: Course) -> str:
    """The course's floor; raises `ValueError` if it names no level."""
    floor = str(settings(course).JudgeNotebook.get("isolation_floor", FLOOR))
    level, *walls = floor.split("+")
    if level not in LEVELS or not set(walls) <= set(WALLS) or (level == NO_FLOOR and walls):
        raise ValueError(
            f"isolation_floor must be one of {', '.join(LEVELS)}, all but the last with "
            f"{' or '.join('+' + wall for wall in WALLS)} where wanted; got {floor!r} in "
            f"{course.settings.path}"
        )
    return floor


def require(reached: str, floor: str) -> None:
    """Raises `NoIsolation` if `reached`, a sandbox's description, lies below `floor`."""
    level, *walls = reached.split("+")
    wanted, *demanded = floor.split("+")
    if LEVELS.index(level) > LEVELS.index(wanted) or not set(demanded) <= set(walls):
        raise NoIsolation(
            f"this course demands the isolation {floor}, and this machine reached {reached}, so nothing was "
            "graded. Grade on another machine, or lower isolation_floor in course.toml."
        )
