"""Verdicts on disk: one file for each, named by everything that the verdict depends on.

    key = SHA-256(submission · checks · judge · worker · versions · isolation · course key)

A verdict that is there is never computed again; one that is not complete is not there. `Lock` lets one process
at a time grade a course.
"""

import dataclasses
import fcntl
import hashlib
import importlib.util
import inspect
import json
import os
import platform
import socket
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.course import Course
from autograder.exercise import Assignment
from autograder.judge import CellOutput, Judged, load_assignment
from autograder.report import Report

KEPT_OUTPUT = 6 << 20
"""At most this much of one notebook's output is kept, in characters."""

DAMAGE = (OSError, ValueError, TypeError, KeyError, RecursionError)
"""What reading a file can raise that holds something else than was written."""


class Busy(RuntimeError):
    """Another process is grading this course; the message names it."""


def assignment_named(name: str) -> Assignment:
    """The hidden checks of `name`: of this course, or of the folder that `EBM_CHECKS` names.

    A course of one's own puts `checks/NAME.py`, which defines `assignment`, into a folder and sets `EBM_CHECKS`.
    """
    path = Path(os.environ.get("EBM_CHECKS", "/nonexistent")) / f"{name}.py"
    if not name.isidentifier() or not path.is_file():
        return load_assignment(name)
    spec = importlib.util.spec_from_file_location(f"ebm_checks_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assignment: Assignment = module.assignment
    return assignment


def fingerprint(assignment: Assignment, isolation: str, key: bytes) -> bytes:
    """What a verdict depends on besides the submission: code, versions, isolation and the course's key."""
    digest = hashlib.sha256()
    files = [
        path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        for path in _sources(assignment)
    ]
    digest.update(b"".join(sorted(files)))  # wherever they lie: two machines agree on the same files
    versions = [platform.python_version(), *(version(name) for name in ("numpy", "torch", "scipy"))]
    digest.update(json.dumps([versions, isolation]).encode())
    digest.update(hashlib.sha256(b"course key" + key).digest())
    return digest.digest()


def _sources(assignment: Assignment) -> set[Path]:
    """The files that decide: the checks, what they compare with, the judge and the worker."""
    here = Path(__file__).parent
    names = ("exercise", "judge", "report", "sandbox", "sequential", "submission")
    files = {here / f"{name}.py" for name in names} | set((here / "worker").glob("*.py"))
    kit = importlib.util.find_spec("ebmkit")
    if kit is not None and kit.origin is not None:
        files |= set(Path(kit.origin).parent.glob("*.py"))
    for exercise in assignment.exercises:
        for function in (exercise.reference, *(check.run for check in exercise.checks)):
            if source := inspect.getsourcefile(inspect.unwrap(function)):
                files.add(Path(source))
    return files


def result_key(environment: bytes, data: bytes) -> str:
    """The name of the verdict on `data` under `fingerprint(…)`."""
    return hashlib.sha256(environment + hashlib.sha256(data).digest()).hexdigest()


def write_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """Replace `path` with `data`, all or nothing.

    Where `durable`, that holds even if the machine stops in the middle; what can be made again need not be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say what it had no room for
        raise


class Store:
    """The verdicts of one assignment in `course/results/ASSIGNMENT/`."""

    def __init__(self, course: Course, assignment: str) -> None:
        self.folder = course.folder("results", assignment)

    def load(self, key: str) -> Judged | None:
        """A verdict, or None if it is not there or was damaged (it is then made again)."""
        try:
            report = Report.from_json((self.folder / f"{key}.json").read_text())
            entries = json.loads((self.folder / f"{key}.outputs").read_text())
            return Judged(report, tuple(CellOutput(**entry) for entry in entries))
        except DAMAGE:
            return None

    def load_report(self, key: str) -> Report | None:
        """A verdict without the notebook's outputs."""
        try:
            return Report.from_json((self.folder / f"{key}.json").read_text())
        except DAMAGE:
            return None

    def save(self, key: str, judged: Judged) -> None:
        """Keep a verdict; its `.json` is written last, so a verdict that is there is whole.

        If the machine stops before they reach the disk, `load` finds them damaged, and the verdict is made again.
        """
        outputs = json.dumps(bounded(judged.outputs), default=vars)
        write_atomically(self.folder / f"{key}.outputs", outputs.encode(), durable=False)
        write_atomically(self.folder / f"{key}.json", judged.report.to_json().encode(), durable=False)

    def recorded(self, student: str) -> str:
        """The key of the verdict that stands in gradebook and feedback for `student`; empty if none does."""
        try:
            return (self._marks / student).read_text()
        except (OSError, ValueError):
            return ""

    def record(self, student: str, key: str) -> None:
        """Note that gradebook, autograded notebook and feedback of `student` show the verdict `key`."""
        write_atomically(self._marks / student, key.encode(), durable=False)

    def students(self) -> list[str]:
        """Everyone with a recorded verdict."""
        try:
            return sorted(name for name in os.listdir(self._marks) if not name.startswith("."))
        except FileNotFoundError:
            return []

    @property
    def _marks(self) -> Path:
        return self.folder / "recorded"


def bounded(outputs: Iterable[CellOutput]) -> list[CellOutput]:
    """The outputs, with pictures and then text left out once `KEPT_OUTPUT` characters are used up."""
    kept, left = [], KEPT_OUTPUT
    for output in outputs:
        displays = []
        for display in output.displays:
            size = len(display["text"]) + len(display["png"])
            if size <= left:
                displays.append(display)
                left -= size
        text = output.stdout[:left]
        left -= len(text)
        errors = output.stderr[:left]
        left -= len(errors)
        kept.append(dataclasses.replace(output, stdout=text, stderr=errors, displays=displays))
    return kept


class Lock:
    """One grader at a time: held while this process lives, and gone with it however it ends."""

    def __init__(self, course: Course) -> None:
        self.path = course.directory / "grading.lock"

    def __enter__(self) -> "Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(os.read(self._descriptor, 1000))
            os.close(self._descriptor)
            raise Busy(f"this course is being graded by {holder}; wait for it, or end it") from None
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        me: dict[str, Any] = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, json.dumps(me).encode())
        except OSError as error:
            os.close(self._descriptor)
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def _holder(text: bytes) -> str:
    try:
        who = json.loads(text)
        return f"process {who['pid']} on {who['host']}, started {who['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
