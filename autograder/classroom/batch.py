"""Grades a class: lanes in parallel, one gradebook, nothing lost and nothing done twice.

The command scans the inbox, names each verdict by what it depends on, and gives what is missing to lanes, which
are processes of their own. A lane that dies is replaced and its submission tried once more; one that kills two
lanes is ungraded, never zero. Whatever ends the command, the next run goes on where it stopped.
"""

import dataclasses
import hashlib
import math
import os
import selectors
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.classroom import inbox
from autograder.classroom.codes import shown
from autograder.classroom.deadlines import settle
from autograder.classroom.floor import floor_of, require
from autograder.classroom.gradebook import Book, GradebookError, Graded
from autograder.classroom.lane_process import ATTEMPTS, Job, LaneProcess
from autograder.classroom.store import Lock, Store
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.exercise import Assignment
from autograder.judging.fingerprint import fingerprint, result_key
from autograder.judging.handout import Handout
from autograder.judging.report import UNGRADED
from autograder.pages.graded_notebook import Entry
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from autograder.classroom.cluster import Cluster

TOGETHER_SECONDS = 0.5
"""Verdicts that come within this time are written to the gradebook in one transaction."""


class NothingToGrade(RuntimeError):
    """There are no such submissions; the message says where they should be."""


class LaneFailure(RuntimeError):
    """A lane could not start; the message holds its last words."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One student's line in the table at the end."""

    student: str
    status: str
    score: float | None
    max_score: float
    notes: tuple[str, ...] = ()
    fresh: bool = True
    by_hand: float = 0.0  # further points, for free text
    penalty: float = 0.0  # what late work costs
    counts: float | None = None  # what stands in the gradebook: with points by hand, less the penalty


class SharedSandbox:
    """The sandbox of all lanes: it imports once for all, while they start."""

    def __init__(self, isolation: str, assignment: Assignment, lanes: int) -> None:
        # The thread must outlive the sandbox, which dies with its parent: with the thread, as the kernel counts.
        self._thread = ThreadPoolExecutor(1)
        arguments = (isolation, assignment.provides, assignment.imports, None, lanes)
        self._sandbox = self._thread.submit(Sandbox, *arguments)

    def connect(self) -> socket.socket:
        """The lane's end of a control socket; if the sandbox fails or can't be shared, it is hung up on."""
        ours, theirs = socket.socketpair()

        def introduce(sandbox: Future[Sandbox]) -> None:
            if sandbox.exception() is None:
                sandbox.result().share(ours)
            ours.close()

        self._sandbox.add_done_callback(introduce)
        return theirs

    def close(self) -> None:
        if self._sandbox.exception() is None:
            self._sandbox.result().close()
        self._thread.shutdown()


class Lanes:
    """Some lanes and the jobs before them. Use as a context manager."""

    def __init__(self, course: Course, assignment: Assignment, isolation: str, count: int) -> None:
        self._shared = SharedSandbox(isolation, assignment, count)
        self._scratch = tempfile.TemporaryDirectory(prefix="ebm-lanes-")

        def start() -> LaneProcess:
            with self._shared.connect() as control:
                return LaneProcess(course, assignment.name, isolation, self._scratch.name, control)

        self._start = start
        self._selector = selectors.DefaultSelector()
        self._lanes: list[LaneProcess] = []
        self._never_ready = 0
        self.isolation = ""
        for _ in range(count):
            self._add()

    def __enter__(self) -> "Lanes":
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.end()
        self._shared.close()
        self._selector.close()
        self._scratch.cleanup()

    @property
    def processes(self) -> list[int]:
        return [lane.process.pid for lane in self._lanes]

    def wait_until_ready(self) -> str:
        """The isolation that the first lane reached."""
        while not self.isolation:
            for _ in self._messages():
                pass
        return self.isolation

    def run(self, jobs: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Each job with its answer, in the order they are done."""
        waiting = deque(jobs)
        left = len(jobs)
        answers: list[tuple[Job, dict[str, Any]]] = []
        while left:
            for lane in self._lanes:
                # One to work on, and while there are plenty one to go on with, so that no lane waits for us.
                while lane.ready and waiting and len(lane.jobs) < 1 + (len(waiting) > len(self._lanes)):
                    lane.give(waiting.popleft())
            yield from answers  # while the lanes are at work again
            answers = []
            for job, message in self._messages():
                job.attempts += message["event"] == "died"
                if message["event"] == "returned" or (message["event"] == "died" and job.attempts < ATTEMPTS):
                    waiting.appendleft(job)
                    continue
                left -= 1
                answers.append((job, message))
        yield from answers

    def _add(self) -> None:
        lane = self._start()
        self._lanes.append(lane)
        self._selector.register(lane.output, selectors.EVENT_READ, lane)

    def _messages(self) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Answers to jobs, once at least one lane has said something or died."""
        for lane in [lane for lane in self._lanes if time.monotonic() > lane.deadline and lane.jobs]:
            yield from self._bury(lane)
        for event, _ in self._selector.select(1.0):
            lane = event.data
            messages = lane.hear()
            if messages is None:
                yield from self._bury(lane)
                continue
            for message in messages:
                if message["event"] == "refused":
                    raise NoIsolation(message["reason"])
                if message["event"] == "ready":
                    self._welcome(lane, message["isolation"])
                    continue
                yield lane.done(), message

    def _welcome(self, lane: LaneProcess, isolation: str) -> None:
        self.isolation = self.isolation or isolation
        # A lane that is isolated in another way would give verdicts of another name.
        if isolation == self.isolation:
            lane.ready = True
            self._never_ready = 0
        else:
            list(self._bury(lane))

    def _bury(self, lane: LaneProcess) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Replace a dead lane; the job it was at is answered with its death, and what it had yet to do returned."""
        self._selector.unregister(lane.output)
        self._lanes.remove(lane)
        words = lane.last_words()
        lane.end()
        if not lane.ready:
            self._never_ready += 1
            if self._never_ready > 3:
                raise LaneFailure(f"a lane of the grader could not start: {words}")
        self._add()
        for job in list(lane.jobs)[:0:-1]:
            yield job, {"event": "returned"}
        if lane.jobs:
            reason = f"the grader's process died {ATTEMPTS} times on this submission ({words})"
            yield lane.jobs[0], {"event": "died", "reason": reason}


def grade(
    course: Course,
    name: str,
    students: list[str] | None = None,
    force: bool = False,
    isolation: str = "auto",
    jobs: int | None = None,
    progress: Callable[[Row, int], None] = lambda row, total: None,
    dask: str | None = None,
) -> list[Row]:
    """Grade the submissions of an assignment; `progress` hears of each student as soon as they are done.

    `dask` is the address of a Dask scheduler, whose workers then hold the lanes. Raises `NothingToGrade`,
    `NotReleased`, `Busy`, `NoIsolation`, `GradebookError`, `LaneFailure`, `ClusterFailure`, and `ValueError` for an
    unknown assignment.
    """
    assignment = assignment_named(name)
    floor = floor_of(course)
    handout = Handout.of(course, assignment)
    wanted = _wanted(course, name, students)
    count = min(jobs or os.cpu_count() or 1, len(wanted))
    with Lock(course), _lanes(course, assignment, isolation, count, dask) as lanes, Book(course) as book:
        book.require(assignment)
        run = _Run(course, name, book, force, progress, len(wanted))
        run.maximum = sum(exercise.points for exercise in assignment.exercises)
        run.by_hand = handout.manual_points
        reached = lanes.wait_until_ready()
        require(reached, floor)
        environment = fingerprint(assignment, reached, course.key())
        try:
            for job, message in lanes.run(run.jobs(wanted, environment)):
                run.take(job, message)
        finally:
            run.settle()
        _penalize(course, name, book, run, wanted)
    return sorted(run.rows, key=lambda row: row.student)


def _penalize(course: Course, name: str, book: Book, run: "_Run", students: list[str]) -> None:
    """What late work costs is known once all are graded; a page is written again where that is new or changed."""
    before = book.penalties(name)
    settle(course, book, name, students)
    after = book.penalize(name)
    fresh = {row.student for row in run.rows if row.fresh}
    changed = {
        student for student in before.keys() | after.keys() if before.get(student) != after.get(student)
    }
    if stale := sorted((changed | (fresh & after.keys())) & {row.student for row in run.rows}):
        _show(course, name, book, after, stale)
    scores = {student: sum(cells.values()) for student, cells in book.scores(name).items()}
    run.rows = [_counted(row, scores.get(row.student), after.get(row.student, 0.0)) for row in run.rows]


def _counted(row: Row, score: float | None, penalty: float) -> Row:
    """The row with what counts; nothing does where the grader failed."""
    if row.score is None or score is None:
        return dataclasses.replace(row, penalty=penalty)
    return dataclasses.replace(row, penalty=penalty, counts=max(0.0, score - penalty))


def _show(course: Course, name: str, book: Book, penalties: dict[str, float], students: list[str]) -> None:
    """Put what late work costs on the pages of those it costs something."""
    from autograder.classroom.feedback_files import regenerate

    for _ in regenerate(course, name, lambda student: book.by_hand(name, student), penalties, students):
        pass


def _lanes(
    course: Course, assignment: Assignment, isolation: str, count: int, dask: str | None
) -> "Lanes | Cluster":
    if dask is None:
        return Lanes(course, assignment, isolation, count)
    from autograder.classroom.cluster import Cluster

    return Cluster(course, assignment.name, isolation, dask)


def _wanted(course: Course, name: str, students: list[str] | None) -> list[str]:
    there = inbox.students(course, name)
    unknown = sorted(set(students or []) - set(there))
    if unknown:
        raise NothingToGrade(
            f"no submission of {name} by {', '.join(unknown)}; expected "
            f"{course.folder('submitted', unknown[0], name, name + '.ipynb')}"
        )
    if not there:
        raise NothingToGrade(
            f"no submissions of {name}; expected {course.folder('submitted', 'STUDENT', name, name + '.ipynb')}"
        )
    return sorted(set(students)) if students else there


class _Run:
    """The bookkeeping of one run."""

    def __init__(
        self,
        course: Course,
        name: str,
        book: Book,
        force: bool,
        progress: Callable[[Row, int], None],
        total: int,
    ) -> None:
        self.course = course
        self.name = name
        self.book = book
        self.force = force
        self.progress = progress
        self.total = total
        self.store = Store(course, name)
        self.shown = shown(course)
        self.rows: list[Row] = []
        self.maximum = 0.0
        self.by_hand = 0.0
        self.unsettled: list[tuple[str, Graded, Row]] = []  # each with its verdict's key
        self.settled = -math.inf

    def jobs(self, students: list[str], environment: bytes) -> list[Job]:
        """What is still to be done; who is done already goes straight into the rows."""
        in_book = self.book.students(self.name)
        jobs: dict[str, Job] = {}
        for student in students:
            try:
                path, data, reason, notes = self._open(student)
            except OSError as error:  # nothing of the student's, and nobody else's concern
                self._fail(student, str(error))
                continue
            key = result_key(environment, data if path else b"rejected: " + reason.encode())
            if not self.force and student in in_book and self._is_done(student, key, notes):
                continue
            digest = hashlib.sha256(data).hexdigest()
            job = jobs.setdefault(key, Job(key, path, digest, reason, self.force))
            job.targets.append(
                {
                    "student": student,
                    "shown": self.shown(student),
                    "notes": notes,
                    "by_hand": self.book.by_hand(self.name, student) if student in in_book else {},
                }
            )
        return list(jobs.values())

    def _open(self, student: str) -> tuple[str, bytes, str, tuple[str, ...]]:
        if complaint := inbox.bad_name(student):
            raise OSError(complaint)
        try:
            found = inbox.find(self.course, student, self.name)
            return str(found.path), inbox.read(found.path), "", found.notes
        except inbox.Rejected as rejection:
            return "", b"", str(rejection), ()

    def _is_done(self, student: str, key: str, notes: tuple[str, ...]) -> bool:
        """Whether gradebook, graded notebook and feedback show the verdict `key` already."""
        if self.store.recorded(student) != key:
            return False
        graded = self.course.folder("autograded", student, self.name, f"{self.name}.ipynb")
        page = self.course.folder("feedback", student, self.name, f"{self.name}.html")
        report = self.store.load_report(key)
        if report is None or not _is_there(graded) or not _is_there(page):
            return False
        self._add(Row(student, report.status, report.score, self.maximum, (*notes, *report.notes), False))
        return True

    def take(self, job: Job, message: dict[str, Any]) -> None:
        """Hear the verdict of everyone whose it is, and write the gradebook unless it was written just now."""
        for target in job.targets:
            student = target["student"]
            if message["event"] != "done":
                self._fail(student, message["reason"])
                continue
            try:
                when = inbox.timestamp(self.course, student, self.name)
            except OSError as error:
                self._fail(student, str(error))
                continue
            entries = tuple(Entry(**entry) for entry in message["students"][student])
            notes = (*target["notes"], *message["notes"])
            row = Row(student, message["status"], message["score"], self.maximum, notes)
            self.unsettled.append((job.key, Graded(student, when, entries), row))
        if time.monotonic() > self.settled + TOGETHER_SECONDS:
            self.settle()

    def settle(self) -> None:
        """Write what was heard into the gradebook, all at once; where that fails, one by one."""
        together, self.unsettled = self.unsettled, []
        written = len(together) > 1 and not self._refusal([graded for _, graded, _ in together])
        for key, graded, row in together:
            reason = "" if written else self._refusal([graded])
            if not reason:
                try:
                    self.store.record(graded.student, key)
                except OSError as error:
                    reason = str(error)
            if reason:
                self._fail(graded.student, reason)
            else:
                self._add(row)
        self.settled = time.monotonic()

    def _refusal(self, graded: list[Graded]) -> str:
        """Why the gradebook did not take these; empty if it did."""
        try:
            self.book.record(self.name, graded)
        except (GradebookError, OSError) as error:
            return str(error)
        return ""

    def _fail(self, student: str, reason: str) -> None:
        student = student.encode("utf-8", "backslashreplace").decode()
        self._add(Row(student, UNGRADED, None, self.maximum, (reason,)))

    def _add(self, row: Row) -> None:
        row = dataclasses.replace(row, by_hand=self.by_hand)
        self.rows.append(row)
        self.progress(row, self.total)


def _is_there(path: Path) -> bool:
    """Whether a file is there with something in it: a crash of the machine can leave it empty."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
