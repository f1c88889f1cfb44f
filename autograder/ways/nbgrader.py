"""`nbgrader autograde` and formgrader's button, with our judge in place of a kernel.

    c.Autograde.autograde_preprocessors = [
        "autograder.ways.nbgrader.JudgeNotebook", "autograder.ways.nbgrader.SaveVerdict",
        "nbgrader.preprocessors.AssignLatePenalties", "autograder.ways.nbgrader.WriteFeedback", …]

The verdict is that of `autograder grade`: it depends on the submitted file's own bytes, and is kept and shared.
"""

import atexit
import dataclasses
from typing import Any

import nbformat
from nbconvert.exporters import HTMLExporter
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from traitlets import Bool, Unicode

from autograder.classroom import feedback_files, inbox
from autograder.classroom.codes import shown
from autograder.classroom.deadlines import settle
from autograder.classroom.floor import FLOOR, floor_of, require
from autograder.classroom.gradebook import Book
from autograder.classroom.lane import Lane
from autograder.classroom.store import Store
from autograder.course import Course
from autograder.judging.fingerprint import fingerprint, result_key
from autograder.judging.handout import Handout
from autograder.judging.judge import Judged, with_notes
from autograder.judging.submission import Submission, cells_of
from autograder.pages import feedback
from autograder.pages.graded_notebook import entries, graded_notebook

_lanes: dict[tuple[str, str, str], Lane] = {}


def lane_for(course: Course, assignment: str, isolation: str) -> Lane:
    """The lane of this process for an assignment: one sandbox serves the whole run."""
    key = (str(course.root), assignment, isolation)
    if key not in _lanes:
        if not _lanes:
            atexit.register(close_lanes)
        _lanes[key] = Lane(course, assignment, isolation)
    return _lanes[key]


def close_lanes() -> None:
    """End the sandboxes of this process."""
    while _lanes:
        _, lane = _lanes.popitem()
        lane.sandbox.close()


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one step hands to the next; `comments` are ours, by cell."""

    course: Course
    submission: Submission
    judged: Judged
    handout: Handout
    comments: dict[str, str | None]
    key: str


class JudgeNotebook(NbGraderPreprocessor):
    """Judges the submitted notebook in the sandbox and puts outputs and scores where nbgrader reads them."""

    isolation = Unicode("auto", help="auto, namespaces, bubblewrap, user, landlock or none").tag(config=True)
    anonymous = Bool(False, help="codes in place of names on pages and lists").tag(config=True)
    isolation_floor = Unicode(FLOOR, help="the least isolation that is accepted").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Replace the notebook by the graded one; its messages go to `SaveVerdict`."""
        student, name = resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        course = Course.here()
        with Book(course) as book:  # nbgrader keeps the time of an earlier hand-in where none is known now
            settle(course, book, name, [student])
        lane = lane_for(course, name, self.isolation)
        require(lane.sandbox.description, floor_of(course))
        found = inbox.find(course, student, name)
        data = inbox.read(found.path)
        environment = fingerprint(lane.assignment, lane.sandbox.description, lane.key)
        key = result_key(environment, data)
        judged = with_notes(lane.verdict(key, data), found.notes)
        submission = cells_of(data)
        resources["autograder"] = Verdict(
            course,
            submission,
            judged,
            lane.handout,
            {entry.grade_id: entry.comment or None for entry in entries(submission, judged, lane.handout)},
            key,
        )
        return nbformat.from_dict(graded_notebook(submission, judged, lane.handout)), resources


class SaveVerdict(SaveAutoGrades):
    """nbgrader's own `SaveAutoGrades`, and our messages as comments, also for answers whose cell is gone."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Save scores, then comments."""
        nb, resources = super().preprocess(nb, resources)
        place = resources["nbgrader"]
        with self.gradebook:
            notebook = self.gradebook.find_submission_notebook(
                place["notebook"], place["assignment"], place["student"]
            )
            for comment in notebook.comments:
                comments = resources["autograder"].comments
                if comment.name in comments:
                    comment.auto_comment = comments[comment.name]
            self.gradebook.db.commit()
        return nb, resources


class WriteFeedback(NbGraderPreprocessor):
    """Writes the student's page, with what was given by hand and what late work costs."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Write it; the notebook stays as it is."""
        student, name = resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        graded: Verdict = resources["autograder"]
        with Book(graded.course) as book:
            by_hand, penalty = book.by_hand(name, student), book.penalty(name, student)
        called = shown(graded.course)(student)
        html = feedback.page(called, graded.submission, graded.judged, graded.handout, by_hand, penalty)
        feedback_files.write(graded.course, student, name, html)
        Store(graded.course, name).record(student, graded.key)
        return nb, resources


class FeedbackPage(HTMLExporter):  # type: ignore[misc]
    """What `nbgrader generate_feedback` and formgrader write: our page, with points and comments given by hand."""

    def from_notebook_node(self, nb: Any, resources: Any = None, **_: Any) -> tuple[str, Any]:
        """The page of the student and assignment that nbgrader names; nothing of the notebook is used."""
        student, name = resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        course = Course.here()
        with Book(course) as book:
            by_hand, penalty = book.by_hand(name, student), book.penalty(name, student)
        html = next(
            feedback_files.pages(course, name, lambda _: by_hand, {student: penalty}, [student]), None
        )
        if html is None:
            raise ValueError(f"{name} of {student} has no verdict of ours; run: autograder grade {name}")
        feedback_files.write(course, student, name, html[1])  # and what release_feedback needs
        resources["output_extension"] = ".html"
        return html[1], resources
