"""nbgrader's gradebook, written through nbgrader's own API by one process.

What a human decided (scores by hand, extra credit, comments by hand) is never changed: nbgrader keeps it beside
the automatic score, and it wins.
"""

import contextlib
import dataclasses
import datetime
import functools
import logging
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.course import Course
from autograder.exercises.exercise import Assignment
from autograder.judging.handout import NotReleased, tests_of
from autograder.pages.graded_notebook import Entry

CONFIG = "nbgrader_config.py"


@dataclasses.dataclass(frozen=True)
class Person:
    """A student as the gradebook knows them; what it does not know is empty."""

    student: str
    first_name: str = ""
    last_name: str = ""
    lms_user_id: str = ""
    email: str = ""


@dataclasses.dataclass(frozen=True)
class Graded:
    """What the gradebook is told of one student's submission; `timestamp` is empty if nobody knows it."""

    student: str
    timestamp: str
    entries: tuple[Entry, ...]


class GradebookError(RuntimeError):
    """The gradebook could not be read or written; the message says why."""


def put_tools_on_path() -> None:
    """nbgrader calls a bare `alembic`, which lies beside this interpreter even where no venv is active."""
    here = str(Path(sys.executable).parent)
    if here not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])


def settings(course: Course) -> Any:
    """The course's `nbgrader_config.py` as a traitlets `Config`."""
    from traitlets.config import PyFileConfigLoader

    if not (course.root / CONFIG).exists():
        raise FileNotFoundError(
            f"{course.root} is no course: it has no {CONFIG}; go to the course's folder, or set EBM_COURSE"
        )
    return PyFileConfigLoader(CONFIG, path=str(course.root)).load_config()


def address(course: Course) -> str:
    """The gradebook's URL: `c.CourseDirectory.db_url` of the course's configuration, else SQLite in the course."""
    return str(settings(course).CourseDirectory.get("db_url") or course.db_url)


def shown_address(course: Course) -> str:
    """The URL of the gradebook as it may be printed: without its password."""
    from sqlalchemy.engine import make_url

    return make_url(address(course)).render_as_string(hide_password=True)


def opened(course: Course) -> Any:
    """nbgrader's own gradebook; raises `GradebookError`."""
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SQLAlchemyError

    put_tools_on_path()
    course.directory.mkdir(parents=True, exist_ok=True)
    configured = settings(course).CourseDirectory
    try:
        return Gradebook(address(course), configured.get("course_id", ""))
    except ModuleNotFoundError as error:
        raise GradebookError(
            f"the gradebook cannot be opened: {error}; for PostgreSQL, run: pip install 'psycopg[binary]'"
        ) from None
    except SQLAlchemyError as error:
        reason = f"the gradebook cannot be opened: {_reason(error)}; {way_out(course, error)}"
        raise GradebookError(reason) from None


def way_out(course: Course, error: Exception) -> str:
    """What to do about a gradebook that does not answer or makes no sense."""
    if not address(course).startswith("sqlite"):
        return f"see that the database server is up and that c.CourseDirectory.db_url in {CONFIG} is right"
    if isinstance(getattr(error, "orig", None), sqlite3.OperationalError):
        return "see that its disk has room, that it can be written and that no other program holds it; grade again"
    return "restore it from a backup, or move it away and run: autograder release; then grade again"


class Book:
    """The gradebook of one course, open. Use as a context manager."""

    def __init__(self, course: Course) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        self._failure = SQLAlchemyError
        self._course = course
        self._book = opened(course)

    def __enter__(self) -> "Book":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.close()

    def require(self, assignment: Assignment) -> None:
        """The gradebook must know the assignment's cells and points; raises `NotReleased`."""
        from nbgrader.api import MissingEntry

        advice = f"; run: autograder release {assignment.name}"
        try:
            with self._reported("read"):
                notebook = self._book.find_notebook(assignment.name, assignment.name)
                points = {cell.name: cell.max_score for cell in notebook.grade_cells}
        except MissingEntry:
            raise NotReleased(f"{assignment.name} is not in the gradebook{advice}") from None
        for exercise in assignment.exercises:
            if points.get(tests_of(exercise.name)) != exercise.points:
                raise NotReleased(
                    f"the gradebook gives {exercise.name} "
                    f"{points.get(tests_of(exercise.name), 0):g} points and its "
                    f"checks {exercise.points:g}{advice}"
                )

    def students(self, assignment: str) -> set[str]:
        """Everyone with a submission of the assignment."""
        with self._reported("read"):
            return {submission.student_id for submission in self._book.assignment_submissions(assignment)}

    def by_hand(self, assignment: str, student: str) -> dict[str, dict[str, Any]]:
        """What a human graded: for each cell its `score`, `extra` and `comment`, where there are some."""
        from nbgrader.api import MissingEntry

        try:
            with self._reported("read"):
                return self._by_hand(self._book.find_submission_notebook(assignment, assignment, student))
        except MissingEntry:
            return {}

    def _by_hand(self, notebook: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for grade in notebook.grades:
            if grade.manual_score is not None:
                found.setdefault(grade.name, {})["score"] = grade.manual_score
            if grade.extra_credit is not None:
                found.setdefault(grade.name, {})["extra"] = grade.extra_credit
        for comment in notebook.comments:
            if comment.manual_comment:
                found.setdefault(comment.name, {})["comment"] = comment.manual_comment
        return found

    def record(self, assignment: str, graded: Iterable[Graded]) -> None:
        """Write scores and comments of some students, all or none."""
        graded = list(graded)
        with self._reported("written"), self._one_transaction() as session:
            for one in graded:
                self._book.update_or_create_student(one.student)
            session.flush()
            submissions = [self._submission(assignment, one) for one in graded]
            session.flush()
            for submission, one in zip(submissions, graded):
                _fill(submission, {entry.grade_id: entry for entry in one.entries})

    @contextlib.contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """Undo what was half done where the database fails, and say why and what to do."""
        from nbgrader.api import InvalidEntry

        try:
            yield
        except (self._failure, InvalidEntry) as error:
            with contextlib.suppress(self._failure):
                self._book.db.rollback()
            reason = f"the gradebook could not be {what}: {_reason(error)}; {way_out(self._course, error)}"
            raise GradebookError(reason) from None

    @contextlib.contextmanager
    def _one_transaction(self) -> Iterator[Any]:
        """nbgrader commits after each of its steps; here it is once, after all: whole, and many times as fast."""
        session = self._book.db()
        session.commit = lambda: None
        logging.getLogger("tornado.application").addFilter(_silent)  # where nbgrader puts its tracebacks
        try:
            with session.no_autoflush:
                yield session
        finally:
            del session.commit
            logging.getLogger("tornado.application").removeFilter(_silent)
        session.commit()

    def _submission(self, assignment: str, graded: Graded) -> Any:
        when = when_of(graded.timestamp)
        with warnings.catch_warnings():  # nbgrader adds a submission in an order that SQLAlchemy remarks on
            warnings.simplefilter("ignore")
            return self._book.update_or_create_submission(
                assignment, graded.student, **({"timestamp": when} if when else {})
            )

    def due(self, assignment: str) -> datetime.datetime | None:
        """When the assignment is due, in UTC; None if nobody said."""
        with self._reported("read"):
            due: datetime.datetime | None = self._found(assignment).duedate
            return due

    def set_due(self, assignment: str, when: datetime.datetime | None) -> None:
        """Say when the assignment is due, in UTC."""
        with self._reported("written"):
            self._found(assignment).duedate = when
            self._book.db.commit()

    def _found(self, assignment: str) -> Any:
        from nbgrader.api import MissingEntry

        try:
            return self._book.find_assignment(assignment)
        except MissingEntry:
            raise NotReleased(
                f"{assignment} is not in the gradebook; run: autograder release {assignment}"
            ) from None

    def date(self, assignment: str, times: Mapping[str, str], own: Mapping[str, datetime.datetime]) -> None:
        """When students handed in (nbgrader's timestamps, empty where nobody knows), and their own due dates.

        An extension that formgrader or nbgrader gave stays where `own` says nothing.
        """
        with self._reported("written"):
            due = self._found(assignment).duedate
            for submission in self._book.assignment_submissions(assignment):
                if submission.student_id in times:
                    submission.timestamp = when_of(times[submission.student_id])
                if submission.student_id in own and due is not None:
                    submission.extension = own[submission.student_id] - due
            self._book.db.commit()

    def withdraw(self, assignment: str, student: str) -> None:
        """Take a student's extension away, if something was handed in."""
        from nbgrader.api import MissingEntry

        with self._reported("written"), contextlib.suppress(MissingEntry):
            self._book.find_submission(assignment, student).extension = None
            self._book.db.commit()

    def enroll(self, people: Iterable[Person]) -> None:
        """Give students their names, addresses and ids, so that formgrader shows them."""
        with self._reported("written"), self._one_transaction():
            for person in people:
                told = {name: value for name, value in vars(person).items() if value and name != "student"}
                self._book.update_or_create_student(person.student, **told)

    def penalize(self, assignment: str) -> dict[str, float]:
        """Set everyone's penalty for late work, as nbgrader's `AssignLatePenalties` is configured to.

        Returns the penalty of each student who has one.
        """
        found: dict[str, float] = {}
        with self._reported("written"):
            for submission in self._book.assignment_submissions(assignment):
                late = submission.total_seconds_late
                for notebook in submission.notebooks:
                    penalty = None
                    if late > 0:
                        penalty = self._penalties.plugin_inst.late_submission_penalty(
                            submission.student_id, notebook.score, late
                        )
                    if penalty is not None:
                        penalty = self._penalties._check_late_penalty(notebook, penalty)
                    if notebook.late_submission_penalty != penalty:
                        notebook.late_submission_penalty = penalty
                    if penalty:
                        found[submission.student_id] = found.get(submission.student_id, 0.0) + penalty
            self._book.db.commit()
        return found

    @functools.cached_property
    def _penalties(self) -> Any:
        """nbgrader's plugin; imported once somebody is late."""
        from nbgrader.preprocessors import AssignLatePenalties
        from traitlets import TraitError

        try:
            penalties = AssignLatePenalties(config=settings(self._course))
        except TraitError as error:
            raise GradebookError(
                f"what late work costs is not known: {error.args[0]}; a plugin is imported as any module: "
                "install it, put its folder on PYTHONPATH, or write the class into nbgrader_config.py itself"
            ) from error
        penalties.init_plugin()
        return penalties

    def penalties(self, assignment: str) -> dict[str, float]:
        """For each student who has one, the penalty for late work."""
        with self._reported("read"):
            return {
                submission.student_id: submission.late_submission_penalty
                for submission in self._book.assignment_submissions(assignment)
                if submission.late_submission_penalty
            }

    def penalty(self, assignment: str, student: str) -> float:
        """What late work costs this student."""
        with self._reported("read"):
            submission = self._book.find_submission(assignment, student)
            return float(submission.late_submission_penalty or 0.0)

    def max_score(self, assignment: str) -> float:
        """The points there are, those given by hand included."""
        with self._reported("read"):
            return float(self._book.find_assignment(assignment).max_score)

    def people(self) -> dict[str, Person]:
        """Every student, by id."""
        with self._reported("read"):
            return {
                s.id: Person(s.id, s.first_name or "", s.last_name or "", s.lms_user_id or "", s.email or "")
                for s in self._book.students
            }

    def scores(self, assignment: str) -> dict[str, dict[str, float]]:
        """For each student the score of each graded cell, corrections by hand included."""
        with self._reported("read"):
            return {
                submission.student_id: {
                    grade.name: grade.score for notebook in submission.notebooks for grade in notebook.grades
                }
                for submission in self._book.assignment_submissions(assignment)
            }


def _fill(submission: Any, entries: dict[str, Entry]) -> None:
    """The automatic scores and comments of a submission, as nbgrader's database has them."""
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            entry = entries.get(grade.name)
            if entry is not None:
                grade.auto_score = entry.score
                grade.needs_manual_grade = grade.manual_score is not None or entry.score is None
        for comment in notebook.comments:
            entry = entries.get(comment.name)
            if entry is not None:
                comment.auto_comment = entry.comment or None


def _silent(_record: logging.LogRecord) -> bool:
    return False


def when_of(timestamp: str) -> datetime.datetime | None:
    """nbgrader's timestamp as a time in UTC; None if there is none."""
    from nbgrader.utils import parse_utc

    try:
        when: datetime.datetime | None = parse_utc(timestamp) if timestamp else None
        return when
    except (ValueError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).split("\n")[0]
