"""The class and its dates: who handed in, who did not, who is late; who is enrolled, and when all this is due."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.classroom import arrivals, inbox
from autograder.classroom.deadlines import extend, extensions, in_words, late, moment
from autograder.classroom.gradebook import Book, Person
from autograder.classroom.roster import Roster, read, unfit
from autograder.course import Course
from autograder.ways.collect import NO_NOTEBOOK, Outcome


@dataclasses.dataclass(frozen=True)
class Standing:
    """Names of students, each list in order; `late` and `nothing` with what there is to say."""

    handed_in: tuple[str, ...]
    class_size: int
    missing: tuple[str, ...]
    strangers: tuple[str, ...]
    nothing: tuple[tuple[str, str], ...]
    late: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """What to tell the instructor."""
        of = f" of {self.class_size}" if self.class_size else ""
        yield f"handed in: {len(self.handed_in)}{of}"
        if self.missing:
            yield f"not handed in: {len(self.missing)}: {', '.join(self.missing)}"
        for student, instead in self.nothing:
            yield f"no notebook: {student}: {instead}"
        for student, how in self.late:
            yield f"late: {student}: {how}"
        if self.strangers:
            yield f"not on the roster: {', '.join(self.strangers)}"
        if not self.class_size:
            yield "who did not hand in is not known without a list of the class: --roster FILE"


def standing(course: Course, assignment: str, outcomes: Iterable[Outcome] = ()) -> Standing:
    """How the assignment stands; `outcomes` are those of the last collection."""
    there = inbox.students(course, assignment)
    roster = Roster.of(course)
    enrolled = [person.student for person in roster.people]
    with Book(course) as book:
        by = late(course, book, assignment, there)
    told = {student: _in_words(delay.total_seconds()) for student, delay in by.items()}
    for student, arrival in arrivals.noted(course, assignment).items():
        if arrival.late and student in there and student not in told:
            told[student] = f"says {arrival.system.capitalize()}, and not by how much; it costs nothing here"
    nothing = {o.student: o.reason for o in outcomes if o.status == NO_NOTEBOOK and o.student not in there}
    return Standing(
        handed_in=tuple(there),
        class_size=len(enrolled),
        missing=tuple(sorted(set(enrolled) - set(there))),
        strangers=tuple(sorted(set(there) - set(enrolled))) if enrolled else (),
        nothing=tuple(sorted(nothing.items())),
        late=tuple(sorted(told.items())),
    )


def enroll(course: Course, path: Path) -> int:
    """Keep the class that a table names, here and in the gradebook; returns how many there are."""
    roster = read(path, course)
    for person in roster.people:
        if reason := unfit(person.student):
            raise ValueError(f"{path}: {person.student!r}: {reason}")
    roster.save(course)
    with Book(course) as book:
        book.enroll(
            Person(p.student, p.first_name, p.last_name, p.lms_id or p.participant, p.email)
            for p in roster.people
        )
    return len(roster.people)


def set_due(course: Course, assignment: str, text: str, student: str = "") -> None:
    """Say when the assignment is due, for the class or for one student; "none" takes the date away.

    Raises `ValueError` for what is no date, and for a student whom nobody knows.
    """
    when = None if text == "none" else moment(text)
    with Book(course) as book:
        if not student:
            book.set_due(assignment, when)
            return
        known = {
            *book.people(),
            *(p.student for p in Roster.of(course).people),
            *inbox.students(course, assignment),
        }
        if student not in known:
            raise ValueError(f"nobody is called {student!r} in this course")
        if when is not None and book.due(assignment) is None:
            raise ValueError(f"{assignment} has no due date to extend; run: autograder due {assignment} DATE")
        extend(course, assignment, student, when)
        if when is None:
            book.withdraw(assignment, student)


def due_dates(course: Course, assignment: str) -> Iterator[str]:
    """The date of the class and those of single students, in words."""
    with Book(course) as book:
        due = book.due(assignment)
    yield f"{assignment}: {'no due date' if due is None else 'due ' + in_words(due)}"
    for student, own in sorted(extensions(course, assignment).items()):
        yield f"{student}: {in_words(own)}"


def _in_words(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    days, hours = divmod(minutes // 60, 24)
    parts = [(days, "day"), (hours, "hour"), (minutes % 60, "minute")]
    return " ".join(f"{n} {unit}{'s' if n > 1 else ''}" for n, unit in parts if n)
