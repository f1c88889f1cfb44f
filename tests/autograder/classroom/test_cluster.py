"""Grading on a Dask cluster: the same verdicts, whatever dies."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autograder import cluster
from autograder.batch import grade
from autograder.cluster import ClusterFailure
from autograder.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

START_SECONDS = 60
SLOW = "import time; time.sleep({})\nimport numpy as np"


class Machines:
    """A scheduler and two workers, as processes of this machine; workers that die are started again by Dask."""

    def __init__(self, folder: Path, workers: int = 2, **environment: str) -> None:
        self.file = folder / "scheduler.json"
        self.folder = folder
        self.environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"} | environment
        self.running: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"
        )
        wait_for(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]
        self.nannies = [
            self.start("dask_worker", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
            for _ in range(workers)
        ]

    def start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(self.file)]
        with (self.folder / f"{program}.log").open("ab") as log:
            process = subprocess.Popen([*command, *arguments], env=self.environment, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(there: Callable[[], object]) -> None:
    end = time.monotonic() + START_SECONDS
    while not there():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


@pytest.fixture
def machines(classroom, tmp_path, monkeypatch) -> Iterator[Machines]:
    monkeypatch.setattr(cluster, "WORKERLESS_SECONDS", 60.0)
    folder = tmp_path / "machines"
    folder.mkdir()
    started = Machines(folder)
    try:
        yield started
    finally:
        started.stop()


def grade_on(machines: Machines, room, **options) -> dict:
    options = {"isolation": "none", "dask": machines.address} | options
    return {row.student: row for row in grade(room.course, "toy", **options)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "autograder.command", "grade", "toy", "--isolation", "none", *arguments]


def test_a_cluster_gives_the_verdicts_and_files_of_this_machine(classroom, right, machines):
    classroom.submit("ada", right)
    classroom.submit("bob", right | {"double": "def double(x):\n    return x ** 2"})
    classroom.submit("copy", right)
    classroom.submit("empty", b"")
    path = classroom.submit("late", right | {"why": "Because."})
    (path.parent / "timestamp.txt").write_text("2026-03-01 12:30:00 UTC")
    there = grade_on(machines, classroom)
    assert {n: (r.status, r.score) for n, r in there.items()} == {
        "ada": ("graded", 80),
        "bob": ("graded", 40),
        "copy": ("graded", 80),
        "empty": ("unreadable", 0),
        "late": ("graded", 80),
    }
    assert "Twice a number is not its square." in classroom.page("bob")
    assert classroom.entries("bob").score["double-tests"] == 0
    assert classroom.entries("late").waiting["why"]
    written = classroom.course.folder("autograded", "late", "toy", "timestamp.txt").read_text()
    assert written == "2026-03-01 12:30:00 UTC"
    # The same names of verdicts here: nothing is left to do, and what is missing is made without judging again.
    assert not any(row.fresh for row in classroom.grade().values())
    kept = verdicts(classroom)
    classroom.course.folder("feedback", "ada", "toy", "toy.html").unlink()
    again = grade_on(machines, classroom)
    assert [name for name, row in again.items() if row.fresh] == ["ada"]
    assert classroom.page("ada")
    assert verdicts(classroom) == kept
    left = [str(p) for p in machines.folder.rglob("lane-*")]
    assert left == [], "lanes and their scratch courses end with the run"


def verdicts(room) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in room.course.folder("results", "toy").iterdir() if p.is_file()}


def test_a_worker_killed_at_work_costs_nothing(classroom, right, machines, sabotage):
    for number in range(4):
        classroom.submit(f"student{number}", right | {"toy-01": f"import numpy as np  # {number}"})
    wait_for_workers(machines, 2)
    machines_at_work = Machines.start  # noqa: F841
    sabotage("kill-parent 1")
    rows = grade_on(machines, classroom)
    assert {row.score for row in rows.values()} == {80}


def wait_for_workers(machines: Machines, count: int) -> None:
    from distributed import Client

    with Client(machines.address, timeout=START_SECONDS, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=START_SECONDS)
