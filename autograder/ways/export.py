"""Grades as CSV that a spreadsheet opens as numbers and text, never as formulas: our own table, or Canvas's."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from autograder.atomic import write_atomically
from autograder.classroom.gradebook import Book, Person
from autograder.course import Course
from autograder.judging.report import points

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
CANVAS_COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
CANVAS_FOLDER = re.compile(r"[^_]+_(\d+)")
"""How `collect` names a student of whom it knows what Canvas's download tells: the last part is Canvas's ID."""


def export(course: Course, assignments: Iterable[str], file: TextIO) -> int:
    """Write a line for each student and assignment: score of each graded cell, late penalty, then the total.

    Scores are the gradebook's, so points given by hand count. Returns the number of students' lines.
    """
    with Book(course) as book:
        tables = {name: book.scores(name) for name in assignments}
        penalties = {name: book.penalties(name) for name in tables}
    columns = list(dict.fromkeys(cell for table in tables.values() for row in table.values() for cell in row))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            "student",
            "assignment",
            *(safe(column.removesuffix("-tests")) for column in columns),
            "late_penalty",
            "total",
        ]
    )
    lines = 0
    for name, table in tables.items():
        for student, scores in sorted(table.items()):
            cells = [f"{points(scores[column]):g}" if column in scores else "" for column in columns]
            penalty = penalties[name].get(student, 0.0)
            end = [f"{points(penalty):g}", f"{total(scores, penalty):g}"]
            writer.writerow([safe(student), safe(name), *cells, *end])
            lines += 1
    return lines


def total(scores: dict[str, float], penalty: float) -> float:
    """The points that count: never below zero, as nbgrader has it."""
    return points(max(0.0, sum(scores.values()) - penalty))


def export_canvas(course: Course, assignments: Iterable[str], file: TextIO) -> int:
    """Write the totals as Canvas's gradebook imports them: a line for each student, a column for each assignment.

    Canvas finds students by its own ID (nbgrader's `lms_user_id`, or what its download told), else by login.
    Returns the number of students' lines. Source: Canvas, "How do I import grades in the Gradebook?".
    """
    with Book(course) as book:
        tables = {name: book.scores(name) for name in assignments}
        tables = {name: table for name, table in tables.items() if table}
        penalties = {name: book.penalties(name) for name in tables}
        possible = [f"{points(book.max_score(name)):g}" for name in tables]
        people = book.people()
    writer = csv.writer(file, lineterminator="\n")
    titles = [safe(name.replace("_", " ").capitalize()) for name in tables]
    writer.writerow([*CANVAS_COLUMNS, *titles])
    writer.writerow(["    Points Possible", "", "", "", "", *possible])
    students = sorted({student for table in tables.values() for student in table})
    for student in students:
        cells = [
            f"{total(table[student], penalties[name].get(student, 0.0)):g}" if student in table else ""
            for name, table in tables.items()
        ]
        writer.writerow([*map(safe, _canvas_person(people[student])), *cells])
    return len(students)


def _canvas_person(person: Person) -> tuple[str, str, str, str, str]:
    """What stands in `CANVAS_COLUMNS`."""
    name = ", ".join(part for part in (person.last_name, person.first_name) if part)
    told = CANVAS_FOLDER.fullmatch(person.student)
    number = person.lms_user_id or (told[1] if told else "")
    return name or person.student, number, "", "" if told else person.student, ""


def replace(path: Path, text: str) -> None:
    """Put `text` into a file, all or nothing, for the same eyes as before; into a pipe as it comes."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()
    readable = path.stat().st_mode if path.exists() else None
    write_atomically(path, text.encode())
    if readable is not None:
        path.chmod(readable)


def safe(text: str) -> str:
    """`text`, with an apostrophe before what a spreadsheet would take for a formula."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text
