"""What grading a class looks like in a terminal: a bar where there is one, plain lines where there is none."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.judging.report import GRADED, UNREADABLE, points

if TYPE_CHECKING:
    from autograder.classroom.batch import Row

COLOURS = {GRADED: "green", UNREADABLE: "yellow"}


@contextlib.contextmanager
def reporting(called: Callable[[str], str] = str) -> Iterator[Callable[["Row", int], None]]:
    """A function that is told of each student who is done, and how many there are; `called` names them."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, called) as report:
            yield report
        return
    done = 0

    def line(row: "Row", total: int) -> None:
        nonlocal done
        done += 1
        print(f"[{done}/{total}] {printable(called(row.student))}: {_score(row)}", flush=True)

    yield line


@contextlib.contextmanager
def _bar(console: Console, called: Callable[[str], str]) -> Iterator[Callable[["Row", int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None)

        def advance(row: "Row", total: int) -> None:
            description = Text(f"{printable(called(row.student))}: {_score(row)}").markup
            progress.update(task, advance=1, total=total, description=description)

        yield advance


def table(rows: list["Row"]) -> None:
    """Every student's status, score and notes."""
    shown = Table("student", "status", "score", "note", show_edge=False)
    for row in rows:
        shown.add_row(
            Text(printable(row.student)),
            Text(row.status, style=COLOURS.get(row.status, "red")),
            Text(_score(row)),
            Text(printable("; ".join(row.notes))),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(100, max((_width(row) for row in rows), default=0)))
    console.print(shown)
    if by_hand := max((row.by_hand for row in rows), default=0.0):
        print(f"{points(by_hand):g} more points are given by hand in formgrader, for free text")


def _width(row: "Row") -> int:
    return min(300, 50 + len(row.student) + sum(len(note) + 2 for note in row.notes))


def _score(row: "Row") -> str:
    return f"{points(row.score):g}/{row.max_score:g}" if row.score is not None else "not graded"


def printable(text: str) -> str:
    """`text` without what could steer a terminal: students choose names of files and cells."""
    return "".join(c if c.isprintable() else "�" for c in text.encode("utf-8", "replace").decode())
