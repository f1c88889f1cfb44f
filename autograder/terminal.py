"""What the commands share: arguments that complete themselves, exit codes, and output for programs."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from autograder.course import Course

FAILED_CODE = 1
"""Something that you can mend; the message says how."""
USAGE_CODE = 2
UNGRADED_CODE = 3
"""Something was left out, could not be graded, or is out of date; it is listed."""
STOPPED_CODE = 130

EXIT_CODES = (
    "Exit codes: 0 done; 1 something that you can mend, and the message says how; 2 no such command or option; "
    "3 something was left out, not graded or out of date, and it is listed; 130 stopped by Ctrl-C, and what was "
    "done is kept."
)


def _complete(incomplete: str) -> list[str]:
    """The assignments that begin so; nothing where something is wrong, as a shell has no place for a complaint."""
    try:
        from autograder.exercises.catalogue import available_assignments

        return [name for name in available_assignments() if name.startswith(incomplete)]
    except (ValueError, OSError):
        return []


Assignment = Annotated[str, typer.Argument(help="Its name, such as ising.", autocompletion=_complete)]
Assignments = Annotated[
    list[str] | None, typer.Argument(help="Names; all if left out.", autocompletion=_complete)
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output, and nothing else.")]


def course_here() -> "Course":
    """The course of this folder; raises `FileNotFoundError` if there is none."""
    from autograder.classroom.gradebook import settings
    from autograder.course import Course

    course = Course.here()
    settings(course)
    return course


def write_json(value: Any) -> None:
    """Print what a program reads."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    print()
