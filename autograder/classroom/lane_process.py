"""A lane of grading, seen from the command that started it: jobs go in, answers come out."""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from typing import Any

from autograder.course import Course

ATTEMPTS = 2
JOB_SECONDS = 2700.0
"""A lane that has not answered by then is taken for hung; the judge's own limits end every submission earlier."""


@dataclasses.dataclass
class Job:
    """One verdict to be made, and whose it is: identical submissions share it."""

    key: str
    path: str
    digest: str
    reason: str
    force: bool
    targets: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    attempts: int = 0

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


class LaneProcess:
    """A lane, seen from the command: on `control` it shares a sandbox, in `scratch` it leaves what we remove."""

    def __init__(
        self, course: Course, name: str, isolation: str, scratch: str, control: socket.socket | None = None
    ) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115
        shared = (control.fileno(),) if control is not None else ()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "autograder.classroom.lane", name, isolation, *map(str, shared)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=os.environ | {"EBM_COURSE": str(course.root), "TMPDIR": scratch},
            pass_fds=shared,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        self.jobs: deque[Job] = deque()
        self.deadline = time.monotonic() + JOB_SECONDS
        self.ready = False
        self._heard = b""

    def give(self, job: Job) -> None:
        assert self.process.stdin is not None
        if not self.jobs:
            self.deadline = time.monotonic() + JOB_SECONDS
        self.jobs.append(job)
        with contextlib.suppress(OSError):  # a dead lane shows when it is read, and the job is tried again
            self.process.stdin.write(job.to_json().encode() + b"\n")
            self.process.stdin.flush()

    def hear(self) -> list[dict[str, Any]] | None:
        """Messages that have come; None when the lane is gone."""
        data = os.read(self.output, 1 << 20)
        if not data:
            return None
        *lines, self._heard = (self._heard + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def done(self) -> Job:
        """The job that was just answered; the next one's time begins."""
        self.deadline = time.monotonic() + JOB_SECONDS
        return self.jobs.popleft()

    def last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else "it said nothing"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._words.close()
