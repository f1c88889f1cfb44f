"""`nbgrader autograde` and formgrader's button, with our judge in place of a kernel.

    c.Autograde.autograde_preprocessors = [
        "autograder.preprocessor.JudgeNotebook", "autograder.preprocessor.SaveVerdict", …]

The verdict is that of `autograder grade`: it depends on the submitted file's own bytes, and is kept and shared.
"""

import atexit
from typing import Any

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from traitlets import Unicode

from autograder import feedback, inbox
from autograder.course import Course
from autograder.floor import NO_FLOOR, floor_of, require
from autograder.gradebook import Book
from autograder.lane import Lane, cells_of, with_notes
from autograder.notebook_outputs import entries, graded_notebook
from autograder.store import fingerprint, result_key

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


class JudgeNotebook(NbGraderPreprocessor):
    """Judges the submitted notebook in the sandbox and puts outputs and scores where nbgrader reads them."""

    isolation = Unicode("auto", help="auto, namespaces, bubblewrap or none").tag(config=True)
    isolation_floor = Unicode(NO_FLOOR, help="the least isolation that is accepted").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Replace the notebook by the graded one; its messages go to `SaveVerdict`."""
        student, name = resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        course = Course.here()
        lane = lane_for(course, name, self.isolation)
        require(lane.sandbox.description, floor_of(course))
        found = inbox.find(course, student, name)
        data = inbox.read(found.path)
        environment = fingerprint(lane.assignment, lane.sandbox.description, lane.key)
        judged = with_notes(lane.verdict(result_key(environment, data), data), found.notes)
        submission = cells_of(data)
        with Book(course) as book:
            by_hand = book.by_hand(name, student)
        feedback.write(course, student, submission, judged, lane.handout, by_hand)
        resources["autograder"] = {
            entry.grade_id: entry.comment or None for entry in entries(submission, judged, lane.handout)
        }
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
                if comment.name in resources["autograder"]:
                    comment.auto_comment = resources["autograder"][comment.name]
            self.gradebook.db.commit()
        return nb, resources
