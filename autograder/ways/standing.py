"""The class and its dates: who handed in, who did not, who is late; who is enrolled, and when all this is due."""

import dataclasses
import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.classroom import arrivals, inbox
from autograder.classroom.deadlines import extend, extensions, in_words, late, moment
from autograder.classroom.gradebook import Book, Person
from autograder.classroom.roster import Roster, read, table, unfit
from autograder.course import Course
from autograder.ways import layouts
from autograder.ways.collect import NO_NOTEBOOK, REFUSED, SHOWN, Outcome


@dataclasses.dataclass(frozen=True)
class Standing:
    """Names of students, each list in order; `late` and `nothing` with what there is to say.

    `undated` handed in, nobody says when, and there is a date that they may have missed. Of `refused`, who are on
    the roster, everything was left out, for the reason beside it.
    """

    handed_in: tuple[str, ...]
    class_size: int
    missing: tuple[str, ...]
    strangers: tuple[str, ...]
    nothing: tuple[tuple[str, str], ...]
    late: tuple[tuple[str, str], ...]
    undated: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    def lines(self) -> Iterator[str]:
        """What to tell the instructor."""
        of = f" of {self.class_size}" if self.class_size else ""
        yield f"handed in: {len(self.handed_in) - len(self.strangers)}{of}"
        if self.missing:
            yield f"not handed in: {len(self.missing)}: {', '.join(self.missing)}"
        for student, instead in self.nothing:
            yield f"no notebook: {student}: {instead}"
        for student, reason in self.refused:
            yield f"not collected: {student}: {reason}"
        for student, how in self.late:
            yield f"late: {student}: {how}"
        if self.undated:
            listed = f"{', '.join(self.undated[:SHOWN])}{' …' if len(self.undated) > SHOWN else ''}"
            yield f"no time told, so on time: {len(self.undated)}: {listed}"
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
        due = book.due(assignment)
    told = {student: _in_words(delay.total_seconds()) for student, delay in by.items()}
    for student, arrival in arrivals.noted(course, assignment).items():
        if arrival.late and student in there and student not in told:
            told[student] = f"says {arrival.system.capitalize()}, and not by how much; it costs nothing here"
    dated = due is not None or extensions(course, assignment)
    undated = [s for s in there if dated and s not in told and not inbox.timestamp(course, s, assignment)]
    outcomes = list(outcomes)
    nothing = {o.student: o.reason for o in outcomes if o.status == NO_NOTEBOOK and o.student not in there}
    refused = {o.student: o.reason for o in outcomes if o.status == REFUSED}
    return Standing(
        handed_in=tuple(there),
        class_size=len(enrolled),
        missing=tuple(sorted(set(enrolled) - set(there))),
        strangers=tuple(sorted(set(there) - set(enrolled))) if enrolled else (),
        nothing=tuple(sorted(nothing.items())),
        late=tuple(sorted(told.items())),
        undated=tuple(sorted(undated)),
        refused=tuple((s, refused[s]) for s in sorted(set(enrolled) & set(refused)) if s not in there),
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


def times_in(path: Path) -> dict[str, float]:
    """When each participant handed in, in seconds since 1970, where the table is Moodle's grading worksheet."""
    found = {}
    for row in table(path):
        when = layouts.worksheet_time(row.get("handed_in", ""))
        if when is not None and "participant" in row:
            found[row["participant"]] = when
    return found


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


@dataclasses.dataclass(frozen=True)
class DueDates:
    """When an assignment is due, in UTC: for the class (None: never), and for students who have their own date."""

    assignment: str
    due: datetime.datetime | None
    extensions: dict[str, datetime.datetime]

    def lines(self) -> Iterator[str]:
        """In words, as this computer's clock shows it."""
        yield f"{self.assignment}: {'no due date' if self.due is None else 'due ' + in_words(self.due)}"
        for student, own in sorted(self.extensions.items()):
            yield f"{student}: {in_words(own)}"

    def plain(self) -> dict[str, object]:
        """For programs: times in ISO 8601."""
        own = {student: _iso(when) for student, when in sorted(self.extensions.items())}
        return {"assignment": self.assignment, "due": self.due and _iso(self.due), "extensions": own}


def _iso(when: datetime.datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def due_dates(course: Course, assignment: str) -> DueDates:
    """The date of the class and those of single students."""
    with Book(course) as book:
        return DueDates(assignment, book.due(assignment), extensions(course, assignment))


def _in_words(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    days, hours = divmod(minutes // 60, 24)
    parts = [(days, "day"), (hours, "hour"), (minutes % 60, "minute")]
    return " ".join(f"{n} {unit}{'s' if n > 1 else ''}" for n, unit in parts if n)
