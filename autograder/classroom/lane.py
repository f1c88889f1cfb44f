"""One lane of grading: a process with one sandbox and one assignment's checks, fed one submission at a time.

It judges, keeps the verdict, and writes each student's graded notebook and feedback. It never touches the
gradebook. Jobs and answers are lines of JSON on standard input and output.
"""

import contextlib
import ctypes
import dataclasses
import gc
import hashlib
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from autograder.atomic import write_atomically
from autograder.classroom import feedback_files, inbox
from autograder.classroom.store import Store
from autograder.course import Course
from autograder.exercises.attempt import LocalAttempt
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.exercise import Assignment
from autograder.judging.fingerprint import fingerprint
from autograder.judging.handout import Handout
from autograder.judging.judge import Judged, judge, nothing, with_notes
from autograder.judging.submission import Cell, Submission, cells_of
from autograder.pages import feedback
from autograder.pages.graded_notebook import entries, graded_notebook
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox

PR_SET_PDEATHSIG = 1


class Lane:
    """Judges submissions of one assignment. Use as a context manager."""

    def __init__(
        self, course: Course, name: str, isolation: str, control: socket.socket | None = None
    ) -> None:
        self.course = course
        self.assignment = assignment_named(name)
        self.handout = Handout.of(course, self.assignment)
        self.store = Store(course, name)
        self.key = course.key()
        warm_up(self.assignment, self.handout)
        self.sandbox = Sandbox(isolation, self.assignment.provides, self.assignment.imports, control)

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.close()

    @property
    def environment(self) -> str:
        """What this lane's verdicts depend on besides the submission."""
        return fingerprint(self.assignment, self.sandbox.description, self.key).hex()

    def answer(self, job: dict[str, Any]) -> dict[str, Any]:
        """Judge the submission of a job, unless its verdict is kept already, and write what follows from it."""
        data = inbox.read(Path(job["path"])) if job["path"] else b""
        if job["path"] and hashlib.sha256(data).hexdigest() != job["digest"]:
            raise OSError("the file changed while it was being graded; grade it again")
        judged = self.verdict(job["key"], data, job["reason"], job["force"])
        students = {target["student"]: self.write(target, data, judged) for target in job["targets"]}
        report = judged.report
        return {"status": report.status, "score": report.score, "notes": report.notes, "students": students}

    def verdict(self, key: str, data: bytes, reason: str = "", force: bool = False) -> Judged:
        """The kept verdict `key`, or a fresh one on `data`; `reason` says why nothing can be graded."""
        kept = None if force else self.store.load(key)
        if kept is not None:
            return kept
        if reason:
            judged = Judged(nothing(self.assignment, reason, self.sandbox.description))
        else:
            judged = judge(data, self.assignment, self.sandbox, self.key)
        report = dataclasses.replace(judged.report, manual_points=self.handout.manual_points)
        judged = Judged(report, judged.outputs)
        self.store.save(key, judged)
        return judged

    def write(self, target: dict[str, Any], data: bytes, judged: Judged) -> list[dict[str, Any]]:
        """Write the student's graded notebook and feedback; returns what the gradebook must be told."""
        student = target["student"]
        judged = with_notes(judged, target["notes"])
        submission = cells_of(data)
        name = self.assignment.name
        notebook = graded_notebook(submission, judged, self.handout)
        folder = self.course.folder("autograded", student, name)
        write_atomically(folder / f"{name}.ipynb", json.dumps(notebook).encode() + b"\n", durable=False)
        if when := inbox.timestamp(self.course, student, name):
            write_atomically(folder / "timestamp.txt", when.encode(), durable=False)
        html = feedback.page(target["shown"], submission, judged, self.handout, target["by_hand"])
        feedback_files.write(self.course, student, name, html)
        return [vars(entry) for entry in entries(submission, judged, self.handout)]


def warm_up(assignment: Assignment, handout: Handout) -> None:
    """Check the references and write a page, so that no student waits while we import: the sandbox does too."""
    import autograder.sandbox.worker.materialize  # noqa: F401

    cells = tuple(Cell(marked.kind, marked.source) for marked in handout.cells.values())
    feedback.page("", Submission(cells), Judged(nothing(assignment, "", "")), handout, {})

    for exercise in assignment.exercises:
        for check in exercise.checks[:1]:
            with contextlib.suppress(
                Exception
            ):  # a broken check shows on the first submission, with its reason
                LocalAttempt.passes(exercise, check, exercise.reference, 0)


def serve(name: str, isolation: str, control: socket.socket | None = None) -> int:
    """Answer jobs until standard input ends; `control` leads to a zygote to share, if there is one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    gc.set_threshold(20_000, 20)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a check prints must not be taken for an answer

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")

    try:
        lane = Lane(Course.here(), name, isolation, control)
    except NoIsolation as error:
        say(event="refused", reason=str(error))
        return 1
    gc.freeze()  # what is imported stays: no later collection need look at it
    with lane:
        say(event="ready", isolation=lane.sandbox.description, environment=lane.environment)
        for line in sys.stdin:
            job = json.loads(line)
            try:
                say(event="done", key=job["key"], **lane.answer(job))
            except Exception as error:  # a fault of the grader: listed as ungraded, and the run goes on
                traceback.print_exc()
                say(event="fault", key=job["key"], reason=f"{type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    shared = socket.socket(fileno=int(sys.argv[3])) if len(sys.argv) > 3 else None
    sys.exit(serve(sys.argv[1], sys.argv[2], shared))
