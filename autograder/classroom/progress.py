"""What grading a class looks like in a terminal: a bar where there is one, plain lines where there is none."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.judging.report import GRADED, UNREADABLE, points

if TYPE_CHECKING:
    from autograder.classroom.batch import Row

ENOUGH = 3
"""After how many verdicts the time that is left is told."""

COLOURS = {GRADED: "green", UNREADABLE: "yellow"}


@contextlib.contextmanager
def reporting(
    called: Callable[[str], str] = str, aside: bool = False
) -> Iterator[Callable[["Row", int], None]]:
    """A function that is told of each student who is done, and how many there are; `called` names them.

    Its lines go to standard output, or `aside` to standard error.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, called) as report:
            yield report
        return
    yield _Lines(called, sys.stderr if aside else sys.stdout).add


class _Lines:
    """A line for each student, with the time that is left once it can be told."""

    def __init__(self, called: Callable[[str], str], stream: TextIO) -> None:
        self.called = called
        self.stream = stream
        self.begun = time.monotonic()
        self.done = self.kept = 0

    def add(self, row: "Row", total: int) -> None:
        self.done += 1
        self.kept += not row.fresh
        left = self._left(total) if row.fresh else ""
        print(
            f"[{self.done}/{total}] {printable(self.called(row.student))}: {_score(row)}{left}",
            file=self.stream,
            flush=True,
        )

    def _left(self, total: int) -> str:
        fresh = self.done - self.kept
        if fresh < ENOUGH or self.done == total:
            return ""
        seconds = (time.monotonic() - self.begun) / fresh * (total - self.done)
        return f" ({in_words(seconds)} left)"


def in_words(seconds: float) -> str:
    """A time that is about right: seconds, minutes or hours."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {round(seconds / 3600)} h"


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
    """Every student's status, automatic score, what was added by hand and lost by being late, and what counts."""
    waiting = max((row.by_hand for row in rows), default=0.0)
    by_hand = waiting or any(_by_hand(row) for row in rows)
    late = any(row.penalty for row in rows)
    further = [*(["by hand"] if by_hand else []), *(["late"] if late else []), "counts"]
    shown = Table("student", "status", "score", *further, "note", show_edge=False)
    for row in rows:
        shown.add_row(
            Text(printable(row.student)),
            Text(row.status, style=COLOURS.get(row.status, "red")),
            Text(_score(row)),
            *([Text(_signed(_by_hand(row)))] if by_hand else []),
            *([Text(_signed(-row.penalty))] if late else []),
            Text("" if row.counts is None else f"{points(row.counts):g}/{row.max_score + row.by_hand:g}"),
            Text(printable("; ".join(row.notes))),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(100, max((_width(row) for row in rows), default=0)))
    console.print(shown)
    if waiting:
        print(f"{points(waiting):g} of the points are given by hand in formgrader, for free text")


def _by_hand(row: "Row") -> float:
    """What people added to the automatic score, or took from it."""
    if row.score is None or row.counts is None or (row.penalty and not row.counts):
        return 0.0
    return points(row.counts + row.penalty - row.score)


def _signed(number: float) -> str:
    return f"{number:+g}" if number else ""


def _width(row: "Row") -> int:
    return min(300, 50 + len(row.student) + sum(len(note) + 2 for note in row.notes))


def _score(row: "Row") -> str:
    return f"{points(row.score):g}/{row.max_score:g}" if row.score is not None else "not graded"


def printable(text: str) -> str:
    """`text` without what could steer a terminal: students choose names of files and cells."""
    return "".join(c if c.isprintable() else "�" for c in text.encode("utf-8", "replace").decode())
