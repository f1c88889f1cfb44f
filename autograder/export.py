"""Grades as CSV that a spreadsheet opens as numbers and text, never as formulas."""

import csv
from collections.abc import Iterable
from typing import TextIO

from autograder.course import Course
from autograder.gradebook import Book
from autograder.notebook_outputs import points

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export(course: Course, assignments: Iterable[str], file: TextIO) -> int:
    """Write a line for each student and assignment: score of each graded cell, then the total.

    Scores are the gradebook's, so points given by hand count. Returns the number of students' lines.
    """
    with Book(course) as book:
        tables = {name: book.scores(name) for name in assignments}
    columns = list(dict.fromkeys(cell for table in tables.values() for row in table.values() for cell in row))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["student", "assignment", *(safe(column.removesuffix("-tests")) for column in columns), "total"]
    )
    lines = 0
    for name, table in tables.items():
        for student, scores in sorted(table.items()):
            cells = [f"{points(scores[column]):g}" if column in scores else "" for column in columns]
            writer.writerow([safe(student), safe(name), *cells, f"{points(sum(scores.values())):g}"])
            lines += 1
    return lines


def safe(text: str) -> str:
    """`text`, with an apostrophe before what a spreadsheet would take for a formula."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text
