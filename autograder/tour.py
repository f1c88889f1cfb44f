"""What `make` ends with: the samples graded, and where book, assignments, feedback and grades are."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder import command
from autograder.course import Course
from autograder.terminal import UNGRADED_CODE


def places(course: Course) -> list[tuple[str, Path]]:
    """What there is to look at, in the order a newcomer would."""
    return [
        ("the book", course.root / "_build" / "html" / "index.html"),
        ("the students' notebooks", course.folder("release")),
        ("their downloads", course.root / "dist" / "assignments"),
        ("a feedback page", course.folder("feedback", "right", "ising", "ising.html")),
        ("all feedback", course.folder("feedback")),
        ("the gradebook", course.folder("gradebook.db")),
    ]


def show(course: Course) -> None:
    """Print the places, and what to do next."""
    table = Table(title="Where everything is", show_header=False, box=None, padding=(0, 2))
    for what, path in places(course):
        table.add_row(what, str(path.relative_to(course.root)) if path.exists() else "not made yet")
    console = Console()
    console.print()
    console.print(table)
    console.print(
        "\nOpen the book in a browser. `make lab` opens JupyterLab on the course, with nbgrader's formgrader;"
        "\n`.venv/bin/autograder --help` lists what an instructor can do.",
        highlight=False,
    )


def main(assignment: str = "ising") -> int:
    """Grade the samples, then show what there is; where grading cannot run, the reason stands at the end."""
    refusal = ""
    try:
        code = command.grade(assignment)
    except command.expected() as error:
        code, refusal = UNGRADED_CODE, str(error)
    show(Course.here())
    if refusal:
        print(f"\nAll of that was made, and grading did not run: {refusal}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
