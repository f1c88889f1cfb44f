"""Grades as CSV that a spreadsheet opens as numbers and text, never as formulas: our own table, or an LMS's.

Canvas        "How do I import grades in the Gradebook?"
Moodle        the grading worksheet of one assignment; mod/assign/feedback/offline/importgradeslib.php
Blackboard    "Work offline with grade data": found by Username
Brightspace   "Import grades": Points Grade columns, and a column that ends each line
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from autograder.atomic import write_atomically
from autograder.classroom.roster import Person
from autograder.course import Course
from autograder.ways.marks import Marks, participants

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
BLACKBOARD = ("Last Name", "First Name", "Username", "Student ID")
BRIGHTSPACE = ("OrgDefinedId", "Username", "Last Name", "First Name", "Email")
MOODLE = (
    *("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed"),
    *("Last modified (submission)", "Last modified (grade)", "Feedback comments"),
)
STALE = "graded against older checks or older work; grade again"
MISSING = "not handed in"


def export(course: Course, marks: Marks, file: TextIO) -> int:
    """Write a line for each student and assignment: the score of each graded cell, late penalty, total, and a note.

    Scores are the gradebook's, so points given by hand count. Returns the number of lines of students.
    """
    tables = marks.marks.values()
    columns = list(dict.fromkeys(cell for table in tables for mark in table.values() for cell in mark.scores))
    writer = _writer(file)
    heads = [safe(column.removesuffix("-tests")) for column in columns]
    writer.writerow(["student", "name", "assignment", *heads, "late_penalty", "total", "note"])
    lines = 0
    for name, table in marks.marks.items():
        for person in marks.people:
            mark = table.get(person.student)
            row = [safe(person.student), safe(person.name), safe(name)]
            if mark is None:
                writer.writerow([*row, *("" for _ in columns), "", "", MISSING])
            else:
                cells = [f"{mark.scores[c]:g}" if c in mark.scores else "" for c in columns]
                note = STALE if mark.stale else ""
                writer.writerow([*row, *cells, f"{mark.penalty:g}", f"{mark.total:g}", note])
            lines += 1
    return lines


def export_canvas(course: Course, marks: Marks, file: TextIO) -> int:
    """Write the totals as Canvas's gradebook imports them: a line for each student, a column for each assignment.

    Canvas finds students by its own ID, else by login or the registrar's number.
    """
    writer = _writer(file)
    writer.writerow([*CANVAS, *(safe(_title(name)) for name in marks.marks)])
    blanks = [""] * (len(CANVAS) - 1)
    writer.writerow(["    Points Possible", *blanks, *(f"{p:g}" for p in marks.possible.values())])
    for person in marks.people:
        name = ", ".join(part for part in (person.last_name, person.first_name) if part) or person.student
        row = (name, person.lms_id, person.number, person.login, person.section)
        writer.writerow([*map(safe, row), *_totals(marks, person)])
    return len(marks.people)


def export_moodle(course: Course, marks: Marks, file: TextIO) -> int:
    """Write one assignment's grading worksheet; raises `ValueError` for more, or where Moodle's numbers miss."""
    if len(marks.marks) != 1:
        names = ", ".join(marks.marks) or "none"
        raise ValueError(
            f"Moodle's grading worksheet is of one assignment; name one that is graded (there: {names})"
        )
    ((name, table),) = marks.marks.items()
    numbers = participants(course, name)
    rows = []
    for person in marks.people:
        number, mark = numbers.get(person.student) or person.participant, table.get(person.student)
        if not number:
            continue
        grade = f"{mark.total:.2f}" if mark else ""
        status = "Submitted for grading" if mark else "No submission"
        most = f"{marks.possible[name]:.2f}"
        who = (f"Participant {number}", safe(person.name), safe(person.email))
        rows.append([*who, status, grade, most, "Yes", "-", "-", ""])
    without = sorted({p.student for p in marks.people if p.student in table} - _numbered(marks, numbers))
    if without:
        raise ValueError(
            f"Moodle's number is not known of {', '.join(without[:5])}{' …' if len(without) > 5 else ''}; give its "
            f"grading worksheet of this assignment: autograder collect {name} FOLDER --roster WORKSHEET.csv"
        )
    writer = _writer(file)
    writer.writerow(MOODLE)
    writer.writerows(rows)
    return len(rows)


def _numbered(marks: Marks, numbers: dict[str, str]) -> set[str]:
    return {p.student for p in marks.people if p.participant} | set(numbers)


def export_blackboard(course: Course, marks: Marks, file: TextIO) -> int:
    """Write the totals as Blackboard's grade center uploads them: students are found by their user names."""
    writer = _writer(file)
    writer.writerow([*BLACKBOARD, *(safe(_title(name)) for name in marks.marks)])
    for person in marks.people:
        row = (person.last_name, person.first_name, person.login or person.student, person.number)
        writer.writerow([*map(safe, row), *_totals(marks, person)])
    return len(marks.people)


def export_brightspace(course: Course, marks: Marks, file: TextIO) -> int:
    """Write the totals as Brightspace imports them: # before ids and at the end of each line, as it exports."""
    writer = _writer(file)
    titles = [f"{_title(name)} Points Grade" for name in marks.marks]
    writer.writerow([*BRIGHTSPACE, *titles, "End-of-Line Indicator"])
    for person in marks.people:
        ids = [f"#{value}" if value else "" for value in (person.number, person.login or person.student)]
        row = (person.last_name, person.first_name, person.email)
        writer.writerow([*ids, *map(safe, row), *_totals(marks, person), "#"])
    return len(marks.people)


TABLES: dict[str, Callable[[Course, Marks, TextIO], int]] = {
    "full": export,
    "canvas": export_canvas,
    "moodle": export_moodle,
    "blackboard": export_blackboard,
    "brightspace": export_brightspace,
}


def _totals(marks: Marks, person: Person) -> list[str]:
    found = (table.get(person.student) for table in marks.marks.values())
    return [f"{mark.total:g}" if mark else "" for mark in found]


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _writer(file: TextIO) -> Any:
    return csv.writer(file, lineterminator="\n")


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
    return "'" + text if text.lstrip(" ").startswith(FORMULA_STARTS) else text
