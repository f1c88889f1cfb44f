"""The same jobs on a Dask cluster, with the sandbox on each worker and one writer: the command.

    command: submission's bytes → a thread of a worker: an ordinary lane on a scratch course → files made → command

No folder is shared. Every worker must give verdicts of the command's own name: the same autograder, checks,
libraries and isolation. `EBM_CHECKS`, where it is used, must be set on the workers too.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import queue
import select
import shutil
import socket
import tempfile
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.classroom.feedback_files import accompany
from autograder.classroom.lane_process import ATTEMPTS, JOB_SECONDS, Job, LaneProcess
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.fingerprint import fingerprint
from autograder.sandbox.levels import NoIsolation
from autograder.settings import FILE, HOME, settings_of

CONNECT_SECONDS = 20.0
WORKERLESS_SECONDS = 600.0
"""A batch system may take its time to start workers; a cluster that has had none for this long is given up."""
IDLE_SECONDS = 60.0
"""A worker ends a lane that was given nothing for so long: its command is gone."""

Files = dict[str, bytes]
"""Contents by path below `course/`."""


class ClusterFailure(RuntimeError):
    """The cluster cannot be used; the message says what to do. What was graded is kept."""


@dataclasses.dataclass(frozen=True)
class Order:
    """What a worker is told of the course, once for a lane: handed-out notebook, key for the inputs, settings."""

    run: str
    assignment: str
    isolation: str
    files: tuple[tuple[str, bytes], ...]
    packages: tuple[str, ...]
    limits: tuple[tuple[str, float], ...]
    environment: str = ""  # what the verdicts must depend on; empty to be told


# On the command's machine


class Cluster:
    """The lanes of a cluster and the jobs before them; stands in for `batch.Lanes`. Use as a context manager."""

    def __init__(self, course: Course, name: str, isolation: str, address: str) -> None:
        handout = f"release/{name}/{name}.ipynb"
        key = course.key()
        files = ((handout, course.folder(handout).read_bytes()), ("grading.key", key.hex().encode()))
        self.course = course
        self.address = address
        self.isolation = ""
        said = course.settings
        self._order = Order(uuid.uuid4().hex, name, isolation, files, said.packages, said.limits)
        self._client = _connected(address)
        self._workers_seen = time.monotonic()
        self._looked = 0.0
        self._threads = 0
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            if self._client.status == "running":
                self._client.run(end_lanes, self._order.run, on_error="ignore")
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)

    def wait_until_ready(self) -> str:
        """The isolation that the first worker reached; every other must reach the same."""
        self._start(answer, self._order, None, {})
        answered = None
        while answered is None:
            answered = self._next()
        _, message, _ = answered
        if message["event"] != "ready":
            raise ClusterFailure(f"a worker of the cluster cannot grade: {message['reason']}")
        self.isolation = message["isolation"]
        ours = fingerprint(assignment_named(self._order.assignment), self.isolation, self.course.key()).hex()
        self._order = dataclasses.replace(self._order, environment=ours)
        _refuse_another(message, ours)
        return self.isolation

    def run(self, jobs: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Each job with its answer, in the order they are done."""
        waiting = deque(jobs)
        flying: dict[str, Job] = {}
        while waiting or flying:
            while waiting and len(flying) < self._room():
                job = waiting.popleft()
                job.attempts += 1
                try:
                    flying[self._start(answer, self._order, job, self._brought(job))] = job
                except (inbox.Rejected, OSError) as error:
                    yield job, {"event": "fault", "reason": str(error)}
            answered = self._next()
            if answered is None:
                continue
            call, message, files = answered
            job = flying.pop(call)
            if message["event"] == "dropped":
                self._look(at_once=True)
            if message["event"] == "other":
                raise ClusterFailure(message["reason"])
            if message["event"] in ("died", "dropped") and job.attempts < ATTEMPTS:
                waiting.appendleft(job)
                continue
            yield job, self._write(message, files)

    def _room(self) -> int:
        """How many jobs may be on their way: so few that neither command nor scheduler holds a class in memory."""
        self._look()
        return max(2, 2 * self._threads)

    def _brought(self, job: Job) -> Files:
        """What the worker needs: the submission, when it was handed in, and its verdict if one is kept."""
        name = self._order.assignment
        files = {}
        if job.path:
            files[_submission(name)] = inbox.read(Path(job.path))
        for target in job.targets:
            if when := inbox.timestamp(self.course, target["student"], name):
                files[f"submitted/{target['student']}/{name}/timestamp.txt"] = when.encode()
        if not job.force:
            files |= _there(self.course, verdict_of(name, job.key))
        return files

    def _start(self, *call: Any) -> str:
        with warnings.catch_warnings():  # a notebook of twenty megabytes is no mistake
            warnings.simplefilter("ignore")
            future = self._client.submit(*call, key=f"grade-{uuid.uuid4().hex}", pure=False)
        self._await(future)
        return str(future.key)

    def _await(self, future: Any) -> None:
        future.add_done_callback(self._done.put)

    def _next(self) -> tuple[str, dict[str, Any], Files] | None:
        """A call that was answered, and the answer; None if none is here after a while.

        Raises `ClusterFailure` where there is no hope.
        """
        try:
            future = self._done.get(timeout=1.0)
        except queue.Empty:
            self._look()
            return None
        outcome = _outcome(future)
        if outcome is None:
            self._look(at_once=True)
            self._await(future)
            return None
        return str(future.key), *outcome

    def _look(self, at_once: bool = False) -> None:
        """See, once a second, that the scheduler is there and how many threads it has."""
        now = time.monotonic()
        if now - self._looked < 1.0 and not at_once:
            return
        self._looked = now
        try:
            if self._client.status != "running":
                raise OSError("the connection is closed")
            self._threads = sum(self._client.nthreads().values())
        except Exception as error:  # whatever the connection died of
            raise ClusterFailure(
                f"the Dask scheduler at {self.address} is gone ({error}); what was graded is kept: start it "
                "again, and run the same command"
            ) from None
        if self._threads:
            self._workers_seen = now
        elif now - self._workers_seen > WORKERLESS_SECONDS:
            raise ClusterFailure(
                f"the Dask cluster at {self.address} has had no worker for {WORKERLESS_SECONDS:.0f} seconds; "
                f"start some with: dask worker {self.address}"
            )

    def _write(self, message: dict[str, Any], files: Files) -> dict[str, Any]:
        """Put what a worker made into the course; a verdict's `.json` comes last, as in `Store.save`."""
        try:
            for path, data in files.items():
                kept = path.startswith("results/")
                write_atomically(self.course.folder(path), data, durable=kept)
                if path.startswith("feedback/"):
                    accompany(self.course, path.split("/")[1], self._order.assignment)
        except OSError as error:
            return {"event": "fault", "reason": f"what a worker made could not be written: {error}"}
        return message


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ClusterFailure(
            "--dask needs Dask here and on the workers; run: pip install distributed"
        ) from None
    for name in ("distributed", "distributed.client"):  # their tracebacks would bury our one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise ClusterFailure(
            f"no Dask scheduler answers at {address} ({str(error).splitlines()[0] if str(error) else 'too late'}); "
            "start one with: dask scheduler"
        ) from None


def _outcome(future: Any) -> tuple[dict[str, Any], Files] | None:
    """What a worker answered, or how it came that none did; None if the answer was lost on its way.

    That is where a worker dies before its answer was fetched: the scheduler has the job done again.
    """
    from distributed import CancelledError, KilledWorker

    status = future.status
    if status == "cancelled":
        return {"event": "dropped", "reason": "the cluster dropped the job; grade again"}, {}
    if status != "error":
        try:
            message, files = future.result(timeout=CONNECT_SECONDS)
            return message, files
        except (OSError, CancelledError):
            return None
    error = future.exception(timeout=CONNECT_SECONDS)
    if isinstance(error, KilledWorker):
        reason = "the cluster's workers died again and again on this submission"
        return {"event": "killed", "reason": reason}, {}
    return {"event": "fault", "reason": f"on a worker of the cluster: {type(error).__name__}: {error}"}, {}


def _refuse_another(message: dict[str, Any], environment: str) -> None:
    if message["environment"] != environment:
        raise ClusterFailure(other(message))


def other(message: dict[str, Any]) -> str:
    """Why a worker's verdicts would not be the command's."""
    return (
        f"the worker on {message['host']} (isolation {message['isolation']}) would judge otherwise than this "
        "command: its autograder, checks, libraries, Python or isolation are not the same; make them the same"
    )


# On both: which files a job needs and makes


def _submission(name: str) -> str:
    """Where the notebook to be judged lies in a worker's scratch course."""
    return f"inbox/{name}.ipynb"


def verdict_of(name: str, key: str) -> list[str]:
    """The files of a verdict, in the order in which they are written."""
    return [f"results/{name}/{key}.outputs", f"results/{name}/{key}.json"]


def made_by(name: str, key: str, students: list[str]) -> list[str]:
    """What a lane writes for a job."""
    paths = verdict_of(name, key)
    for student in students:
        paths += [f"autograded/{student}/{name}/{name}.ipynb", f"autograded/{student}/{name}/timestamp.txt"]
        paths.append(f"feedback/{student}/{name}/{name}.html")
    return paths


def _there(course: Course, paths: list[str]) -> Files:
    """The contents of those of the files that exist."""
    return {path: course.folder(path).read_bytes() for path in paths if course.folder(path).is_file()}


# On a worker


def answer(order: Order, job: Job | None, files: Files) -> tuple[dict[str, Any], Files]:
    """Do a job with a lane of this worker: its answer, and the files it made. Without a job, tell of the lane."""
    try:
        bench = _take(order)
    except (NoIsolation, LaneGone) as error:
        return {"event": "fault" if job else "refused", "reason": str(error)}, {}
    try:
        if job is None:
            return bench.about, {}
        if bench.about["environment"] != order.environment:
            return {"event": "other", "reason": other(bench.about)}, {}
        return bench.do(job, files)
    finally:
        _give_back(bench)


class LaneGone(RuntimeError):
    """A worker's lane could not start; the message holds its last words."""


def _settings(order: Order) -> str:
    """The settings that decide verdicts, as the command has them; the checks are the worker's own."""
    limits = "".join(f"{name} = {limit!r}\n" for name, limit in order.limits)
    checks = json.dumps(str(settings_of(HOME).checks))
    return f"checks = {checks}\npackages = {json.dumps(order.packages)}\n[limits]\n{limits}"


class Bench:
    """A lane of a worker, on a scratch course of its own."""

    def __init__(self, order: Order) -> None:
        from distributed import get_worker

        self.order = order
        self.since = time.monotonic()
        self._scratch = tempfile.TemporaryDirectory(
            prefix=f"lane-{order.run}-", dir=get_worker().local_directory
        )
        self.course = Course(Path(self._scratch.name))
        (self.course.root / FILE).write_text(_settings(order), encoding="utf-8")
        self._lay_out(dict(order.files))
        self.lane = LaneProcess(self.course, order.assignment, order.isolation, self._scratch.name)
        message = self._heard()
        self.about = message | {"host": socket.gethostname()}
        if message["event"] == "ready":
            return
        self.close()
        if message["event"] == "refused":
            raise NoIsolation(message["reason"])
        raise LaneGone(f"a lane of the grader could not start: {message['reason']}")

    def do(self, job: Job, files: Files) -> tuple[dict[str, Any], Files]:
        """The lane's answer to a job, and the files that it made."""
        name = self.order.assignment
        self._lay_out(files)
        path = self.course.folder(_submission(name))
        self.lane.give(dataclasses.replace(job, path=str(path) if job.path else ""))
        message = self._heard()
        students = [target["student"] for target in job.targets]
        made = _there(self.course, made_by(name, job.key, students)) if message["event"] == "done" else {}
        for folder in ("inbox", "submitted", "results", "autograded", "feedback"):
            shutil.rmtree(self.course.folder(folder), ignore_errors=True)
        # A verdict that was brought is the command's already.
        return message, {path: data for path, data in made.items() if files.get(path) != data}

    def _lay_out(self, files: Files) -> None:
        for path, data in files.items():
            write_atomically(self.course.folder(path), data, durable=False)

    def _heard(self) -> dict[str, Any]:
        """The lane's next message; its death, where there is none in time."""
        end = time.monotonic() + JOB_SECONDS
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.lane.output], [], [], left)[0]:
                break
            messages = self.lane.hear()
            if messages is None:
                break
            if messages:
                return messages[0]
        reason = f"the grader's process died {ATTEMPTS} times on this submission ({self.lane.last_words()})"
        return {"event": "died", "reason": reason}

    @property
    def alive(self) -> bool:
        return self.lane.process.poll() is None

    def close(self) -> None:
        self.lane.end()
        self._scratch.cleanup()


_idle: list[Bench] = []
_idle_lock = threading.Lock()


def _take(order: Order) -> Bench:
    """An idle lane that serves the order, else a new one."""
    with _idle_lock:
        for bench in _idle:
            # The first order of a run does not know yet what the verdicts depend on.
            if dataclasses.replace(bench.order, environment=order.environment) == order and bench.alive:
                _idle.remove(bench)
                return bench
    _watch_idle_lanes()
    return Bench(order)


def _give_back(bench: Bench) -> None:
    if not bench.alive:
        bench.close()
        return
    bench.since = time.monotonic()
    with _idle_lock:
        _idle.append(bench)


@functools.cache
def _watch_idle_lanes() -> None:
    """From now on, end lanes that have waited for too long."""

    def watch() -> None:
        while True:
            time.sleep(IDLE_SECONDS / 4)
            _end(lambda bench: time.monotonic() - bench.since >= IDLE_SECONDS)

    threading.Thread(target=watch, daemon=True, name="idle lanes").start()


def end_lanes(run: str) -> None:
    """End the lanes of a run that is over."""
    _end(lambda bench: bench.order.run == run)


def _end(is_over: Callable[[Bench], bool]) -> None:
    with _idle_lock:
        ended = [bench for bench in _idle if is_over(bench)]
        for bench in ended:
            _idle.remove(bench)
    for bench in ended:
        bench.close()
