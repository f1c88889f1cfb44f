"""Verdicts on disk: one file for each, named by everything that the verdict depends on.

    key = SHA-256(submission · checks · judge · worker · versions · isolation · course key)

A verdict that is there is never computed again; one that is not complete is not there. `Lock` lets one process
at a time grade a course.
"""

import dataclasses
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.atomic import write_atomically
from autograder.course import Course
from autograder.judging.judge import CellOutput, Judged
from autograder.judging.report import Report

KEPT_OUTPUT = 6 << 20
"""At most this much of one notebook's output is kept, in characters."""

DAMAGE = (OSError, ValueError, TypeError, KeyError, RecursionError)
"""What reading a file can raise that holds something else than was written."""


class Busy(RuntimeError):
    """Another process is grading this course; the message names it."""


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
