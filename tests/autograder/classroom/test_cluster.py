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
from typing import Any

import pytest
from toy_course import CHECKS

from autograder.classroom import cluster
from autograder.classroom.batch import grade
from autograder.classroom.cluster import ClusterFailure
from autograder.classroom.store import Store
from autograder.settings import FILE, settings_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

START_SECONDS = 180


class Machines:
    """A scheduler and workers, as processes of this machine; what dies of a worker, its nanny starts again."""

    def __init__(self, folder: Path, workers: int = 2, **environment: str) -> None:
        self.file = folder / "scheduler.json"
        self.folder = folder
        self.environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"} | environment
        self.scheduler = self.schedule("0")
        wait_for(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]
        self.nannies = [self.work() for _ in range(workers)]

    def schedule(self, port: str) -> subprocess.Popen[bytes]:
        where = ("--host", "127.0.0.1", "--port", port)
        return self.start("dask_scheduler", *where, "--no-dashboard", "--no-show")

    def work(self) -> subprocess.Popen[bytes]:
        where = ("--local-directory", str(self.folder))
        return self.start("dask_worker", "--nthreads", "1", "--no-dashboard", *where)

    def start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(self.file)]
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, *arguments], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def mend(self) -> None:
        """Start again what has ended, as a service manager would: when nothing of it is left."""
        if self.scheduler.poll() is not None:
            self.scheduler = self.schedule(self.address.rpartition(":")[2])
        for place, nanny in enumerate(self.nannies):
            if nanny.poll() is not None:
                self.sweep(nanny)
                self.nannies[place] = self.work()

    def sweep(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        running = [self.scheduler, *self.nannies]
        for process in running:
            process.terminate()
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            self.sweep(process)
            process.wait()


def wait_for(there: Callable[[], object]) -> None:
    end = time.monotonic() + START_SECONDS
    while not there():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def machines(tmp_path_factory) -> Iterator[Machines]:
    """A cluster for most tests; its workers misbehave as the file `sabotage` says."""
    folder = tmp_path_factory.mktemp("machines")
    checks = str(CHECKS)
    started = Machines(folder, EBM_CHECKS=checks, TOY_SABOTAGE=str(folder / "sabotage"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def sabotage(machines) -> Iterator[Callable[[str], None]]:
    script = machines.folder / "sabotage"
    yield script.write_text
    script.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _bounded(monkeypatch) -> None:
    monkeypatch.setattr(cluster, "WORKERLESS_SECONDS", 180.0)


def grade_on(machines: Machines, room, **options) -> dict:
    options = {"isolation": "none", "dask": machines.address} | options
    return {row.student: row for row in grade(room.course, "toy", **options)}


def verdicts(room) -> dict[str, int]:
    return {
        p.name: p.stat().st_mtime_ns for p in room.course.folder("results", "toy").iterdir() if p.is_file()
    }


def lanes_left(machines: Machines) -> list[Path]:
    return list(machines.folder.rglob("lane-*"))


def test_a_worker_grades_with_the_packages_and_the_limits_of_the_course(tmp_path):
    limits = (("cell_seconds", 7.5), ("memory_gb", 3.0))
    order = cluster.Order("run", "toy", "none", (), ("pandas", "sklearn"), limits)
    (tmp_path / FILE).write_text(cluster._settings(order), encoding="utf-8")
    found = settings_of(tmp_path)
    assert found.packages == order.packages
    assert dict(found.limits) == dict(limits)


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
    assert not any(row.fresh for row in classroom.grade().values()), "this machine names them otherwise"
    kept = verdicts(classroom)
    classroom.course.folder("feedback", "ada", "toy", "toy.html").unlink()
    again = grade_on(machines, classroom)
    assert [name for name, row in again.items() if row.fresh] == ["ada"]
    assert "Twice as much" in classroom.page("ada")
    assert verdicts(classroom) == kept, "a verdict that is kept is not made again"
    assert lanes_left(machines) == []


def test_a_worker_killed_at_work_costs_nothing(classroom, right, machines, sabotage):
    for number in range(4):
        classroom.submit(f"student{number}", right | {"toy-01": f"import numpy as np  # {number}"})
    sabotage("kill-parent 1")
    rows = grade_on(machines, classroom)
    assert (machines.folder / "sabotage").read_text() == "kill-parent 0"
    assert {row.score for row in rows.values()} == {80}


@pytest.mark.parametrize(("whom", "words"), [("kill", "died 2 times"), ("kill-parent", "again and again")])
def test_what_kills_two_lanes_or_workers_is_ungraded_and_gets_no_score(
    classroom, right, machines, sabotage, whom, words
):
    classroom.submit("ada", right)
    sabotage(f"{whom} 2")
    (row,) = grade_on(machines, classroom).values()
    assert (row.status, row.score) == ("ungraded", None)
    assert words in row.notes[0]
    with classroom.book() as book:
        assert not book.assignment_submissions("toy")
    assert grade_on(machines, classroom)["ada"].score == 80


@pytest.mark.sandbox
def test_the_sandbox_is_on_the_workers(classroom, right, machines, sandbox):
    classroom.submit(
        "ada", right | {"double": "import os\ndef double(x):\n    return 2 * x + os.getuid() * 0"}
    )
    assert grade_on(machines, classroom, isolation="auto")["ada"].score == 80
    assert f"isolation: {sandbox.description}" in classroom.page("ada")


def command(machines: Machines, *arguments: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "autograder.command", "grade", "toy", "--isolation", "none"]
    return subprocess.Popen(
        [*line, "--dask", machines.address, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def slow_class(room, right) -> None:
    for number in range(8):
        source = f"import time; time.sleep(0.5)  # {number}\nimport numpy as np"
        room.submit(f"student{number}", right | {"toy-01": source})


def test_a_killed_command_loses_nothing_and_the_next_one_goes_on(classroom, right, machines):
    slow_class(classroom, right)
    store = Store(classroom.course, "toy")
    with command(machines) as running:
        wait_for(store.students)
        running.kill()
    done = set(store.students())
    assert 0 < len(done) < 8
    rows = grade_on(machines, classroom)
    assert {row.score for row in rows.values()} == {80}
    assert {name for name, row in rows.items() if not row.fresh} == done


def test_a_killed_scheduler_ends_the_command_in_one_line_and_the_next_run_goes_on(classroom, right, tmp_path):
    slow_class(classroom, right)
    store = Store(classroom.course, "toy")
    (tmp_path / "mortal").mkdir()
    machines = Machines(tmp_path / "mortal")
    try:
        with command(machines) as running:
            wait_for(store.students)
            machines.scheduler.kill()
            _, said = running.communicate(timeout=START_SECONDS)
    finally:
        machines.stop()
    assert running.returncode == 1
    assert said.splitlines()[-1].startswith(f"autograder: the Dask scheduler at {machines.address} is gone")
    assert "run the same command" in said
    assert "Traceback" not in said, said
    done = set(store.students())
    assert 0 < len(done) < 8
    rows = classroom.grade()
    assert {row.score for row in rows.values()} == {80}
    assert {name for name, row in rows.items() if not row.fresh} >= done


def test_workers_with_other_checks_are_refused(classroom, right, tmp_path):
    classroom.submit("ada", right)
    checks = tmp_path / "checks"
    checks.mkdir()
    source = (CHECKS / "toy.py").read_text()
    (checks / "toy.py").write_text(source + "\n# another edition\n")
    (tmp_path / "odd").mkdir()
    machines = Machines(tmp_path / "odd", 1, EBM_CHECKS=str(checks))
    try:
        with pytest.raises(ClusterFailure, match=r"the worker on .+ would judge otherwise than this command"):
            grade_on(machines, classroom)
    finally:
        machines.stop()
    assert not Store(classroom.course, "toy").students()


@pytest.fixture
def one_worker(classroom, tmp_path) -> Iterator[Any]:
    """A cluster within this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        local_directory=str(tmp_path / "dask"),
    ) as local:
        yield local


def lose_answers(monkeypatch, then: Callable[[Any], None]) -> list[str]:
    """Each answer is lost when it is fetched for the first time; returns whose it was."""
    from distributed import Future
    from distributed.comm import CommClosedError

    lost: list[str] = []
    fetch = Future.result

    def lose(future: Any, timeout: float) -> Any:
        if future.key in lost:
            return fetch(future, timeout)
        lost.append(future.key)
        then(future)
        raise CommClosedError("Stream is closed")

    monkeypatch.setattr(Future, "result", lose)
    return lost


def test_an_answer_that_is_lost_on_its_way_is_fetched_again_and_not_made_again(
    classroom, right, one_worker, tmp_path, monkeypatch
):
    classroom.submit("ada", right)
    log = tmp_path / "begun.log"
    monkeypatch.setenv("TOY_LOG", str(log))
    lost = lose_answers(monkeypatch, lambda future: None)
    rows = grade(classroom.course, "toy", isolation="none", dask=one_worker.scheduler_address)
    assert rows[0].score == 80
    assert len(lost) == 2, "the lane's first word, and the verdict"
    assert len(log.read_text().splitlines()) == 1


def test_an_answer_that_is_lost_with_the_scheduler_is_told_in_one_line(
    classroom, right, one_worker, monkeypatch
):
    classroom.submit("ada", right)
    lose_answers(monkeypatch, lambda future: future.client.close())
    with pytest.raises(ClusterFailure, match=r"the Dask scheduler at .+ is gone .*run the same command"):
        grade(classroom.course, "toy", isolation="none", dask=one_worker.scheduler_address)


def test_lanes_whose_command_is_gone_end_by_themselves(classroom, right, one_worker, tmp_path, monkeypatch):
    classroom.submit("ada", right)
    monkeypatch.setattr(cluster, "IDLE_SECONDS", 0.4)
    monkeypatch.setattr(cluster.Cluster, "__exit__", lambda self, *_: self._client.close())
    cluster._watch_idle_lanes.cache_clear()
    rows = grade(classroom.course, "toy", isolation="none", dask=one_worker.scheduler_address)
    assert rows[0].score == 80
    wait_for(lambda: not list((tmp_path / "dask").rglob("lane-*")))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "tcp://127.0.0.1:9", "nonsense://", ""])
def test_an_address_where_no_scheduler_answers_is_named(classroom, right, monkeypatch, address):
    classroom.submit("ada", right)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    with pytest.raises(ClusterFailure, match=rf"no Dask scheduler answers at {address}.*dask scheduler"):
        grade(classroom.course, "toy", isolation="none", dask=address)
