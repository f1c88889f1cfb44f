"""Everybody's marks, as every table of grades needs them: the whole class, what counts, and what is out of date."""

import dataclasses
from collections.abc import Iterable

from autograder.classroom import arrivals
from autograder.classroom.class_report import outdated
from autograder.classroom.gradebook import Book
from autograder.classroom.roster import Person, Roster
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.judging.report import points


@dataclasses.dataclass(frozen=True)
class Mark:
    """One student's points for an assignment, cell by cell, corrections by hand included; what lateness costs."""

    scores: dict[str, float]
    penalty: float = 0.0
    stale: bool = False

    @property
    def total(self) -> float:
        """The points that count: never below zero, as nbgrader has it."""
        return points(max(0.0, sum(self.scores.values()) - self.penalty))


@dataclasses.dataclass(frozen=True)
class Marks:
    """The class in order, each assignment's marks by student, and the points there are.

    `left_out` have marks and are not in the class: their record stays, and no table has them.
    """

    people: tuple[Person, ...]
    marks: dict[str, dict[str, Mark]]
    possible: dict[str, float]
    left_out: tuple[str, ...] = ()

    @property
    def stale(self) -> dict[str, list[str]]:
        """By assignment, everyone in the class whose score is of older checks or older work."""
        found = {
            name: [p.student for p in self.people if p.student in table and table[p.student].stale]
            for name, table in self.marks.items()
        }
        return {name: students for name, students in found.items() if students}


def gather(course: Course, names: Iterable[str]) -> Marks:
    """All marks of some assignments; without a roster, the class is everyone whom the gradebook knows.

    Raises `ValueError` for a name that is no assignment and has no marks.
    """
    names = list(names)
    with Book(course) as book:
        tables = {name: book.scores(name) for name in names}
        for name in names:
            if not tables[name] and name not in available_assignments():
                assignment_named(name)  # says which there are
        tables = {name: table for name, table in tables.items() if table}
        penalties = {name: book.penalties(name) for name in tables}
        possible = {name: points(book.max_score(name)) for name in tables}
        known = book.people()
    stale = {name: outdated(course, name) for name in tables}
    marks = {
        name: {
            student: Mark(scores, points(penalties[name].get(student, 0.0)), student in stale[name])
            for student, scores in table.items()
        }
        for name, table in tables.items()
    }
    people = Roster.of(course).people or tuple(
        _person(p.student, p.first_name, p.last_name, p.email, p.lms_user_id)
        for _, p in sorted(known.items())
    )
    handed_in = {student for table in marks.values() for student in table}
    left_out = sorted(handed_in - {person.student for person in people})
    return Marks(people, marks, possible, tuple(left_out))


def _person(student: str, first: str, last: str, email: str, lms_id: str) -> Person:
    """A student as the gradebook knows them; of a download without a roster, the name ends with the LMS's id."""
    name, _, number = student.rpartition("_")
    told = bool(name) and "_" not in name and number.isdigit()
    return Person(
        student,
        first,
        last or ("" if first else name if told else ""),
        login="" if told else student,
        email=email,
        lms_id=lms_id or (number if told else ""),
    )


def participants(course: Course, assignment: str) -> dict[str, str]:
    """Moodle's numbers of participants, which differ from assignment to assignment: as its download told them."""
    return {
        student: arrival.place.split("_")[1]
        for student, arrival in arrivals.noted(course, assignment).items()
        if arrival.system == "moodle"
    }
