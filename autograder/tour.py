"""What `make` ends with: where the book, the assignments, the feedback and the grades are."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder.course import Course


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


def main() -> None:
    course = Course.here()
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


if __name__ == "__main__":
    main()
