"""The gradebook on a PostgreSQL server, named by its URL: the same grades as in SQLite."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.classroom.gradebook import Book, GradebookError, Graded, address, opened, shown_address
from autograder.ways.export import export_canvas
from autograder.ways.marks import gather

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgresql")]

START_SECONDS = 180


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: on the path, or where Debian hides them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Server:
    """A private PostgreSQL server on a socket in a folder of its own."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self.folder, self.bin = folder, bin
        # The server refuses to run as root.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if self.user:
            shutil.chown(folder, "postgres", "postgres")
        self.run("initdb", "-D", f"{folder}/data", "-U", "teacher", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.databases = 0
        self.start()

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.bin / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            timeout=START_SECONDS,
            **self.user,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = ["-D", f"{self.folder}/data", "-k", str(self.folder), "-c", "listen_addresses="]
        self.process = subprocess.Popen(
            [self.bin / "postgres", *options, "-c", "fsync=off"],
            cwd=self.folder,
            stderr=subprocess.DEVNULL,
            **self.user,
        )
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(AssertionError):
                return self.run("psql", "-h", str(self.folder), "-U", "teacher", "-c", "select 1", "postgres")
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.2)

    def stop(self) -> None:
        self.process.send_signal(2)  # ends sessions at once
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def new_database(self) -> str:
        self.databases += 1
        name = f"course{self.databases}"
        self.run("createdb", "-h", str(self.folder), "-U", "teacher", name)
        return f"postgresql+psycopg://teacher@/{name}?host={self.folder}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    bin = programs()
    if bin is None:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise AssertionError("PostgreSQL's initdb is not installed")
        pytest.skip("PostgreSQL's initdb is not installed")
    with tempfile.TemporaryDirectory(prefix="ebm-pg-") as folder:  # pytest's own folders are closed to others
        started = Server(Path(folder), bin)
        try:
            yield started
        finally:
            started.stop()


@pytest.fixture
def on_server(empty_classroom, server):
    """A released course whose configuration names a database of the server."""
    configure(empty_classroom, server.new_database())
    return empty_classroom.publish()


def configure(room, url: str) -> None:
    with (room.course.root / "nbgrader_config.py").open("a") as file:
        file.write(f"\nc.CourseDirectory.db_url = {url!r}\n")


def test_a_course_is_graded_into_the_server_that_its_configuration_names(on_server, right, tmp_path):
    on_server.submit("ada", right | {"why": "Because."})
    on_server.submit("bob", right | {"add": "def add(x, y):\n    return x"})
    on_server.submit("éva-öğrenci", right)
    assert {name: row.score for name, row in on_server.grade().items()} == {
        "ada": 80,
        "bob": 40,
        "éva-öğrenci": 80,
    }
    assert on_server.entries("bob").score == {"double-tests": 40, "add-tests": 0, "why": 0}
    assert on_server.entries("ada").waiting["why"]
    with on_server.book() as book:
        book.find_grade("why", "toy", "toy", "ada").manual_score = 7.5
        book.db.commit()
    on_server.submit("ada", right | {"why": "Because!"})
    rows = on_server.grade()
    assert {name for name, row in rows.items() if row.fresh} == {"ada"}
    assert on_server.entries("ada").score["why"] == 7.5
    with (tmp_path / "canvas.csv").open("w") as file:
        assert export_canvas(on_server.course, gather(on_server.course, ["toy"]), file) == 3
    assert "ada,,,ada,,87.5" in (tmp_path / "canvas.csv").read_text()
    assert not (on_server.course.directory / "gradebook.db").exists()


def test_a_record_is_written_whole_or_not_at_all(on_server):
    from autograder.pages.graded_notebook import Entry

    with Book(on_server.course) as book:
        book.record("toy", [Graded("ada", "", (Entry("double-tests", 1.0),))])
        with pytest.raises(GradebookError, match="could not be written"):
            book.record(
                "toy", [Graded("bob", "", (Entry("add-tests", 2.0), Entry("double-tests", object())))]
            )
        assert book.scores("toy") == {"ada": {"double-tests": 1.0, "add-tests": 0.0, "why": 0.0}}


def test_a_server_that_went_away_costs_no_grade(on_server, right, server):
    on_server.submit("ada", right)
    on_server.submit("bob", right)
    on_server.grade("ada")
    server.stop()
    with pytest.raises(GradebookError, match=r"cannot be opened.+see that the database server is up"):
        on_server.grade()
    server.start()
    rows = on_server.grade()
    assert {name: (row.score, row.fresh) for name, row in rows.items()} == {
        "ada": (80, False),
        "bob": (80, True),
    }


def test_a_server_that_restarts_in_the_middle_leaves_that_student_to_the_next_run(on_server, right, server):
    for student in ("ada", "bob", "cleo"):
        on_server.submit(student, right | {"toy-01": f"import numpy as np  # {student}"})
    seen = []

    def restart(row, total) -> None:
        seen.append(row.student)
        if len(seen) == 1:
            server.stop()
            server.start()

    first = on_server.grade(progress=restart)
    lost = [name for name, row in first.items() if row.status == "ungraded"]
    assert len(lost) <= 1, "one statement meets the broken connection, then a new one is made"
    assert all("could not be written" in first[name].notes[0] for name in lost)
    assert {row.score for row in on_server.grade().values()} == {80}


def test_the_environment_can_name_the_server(empty_classroom, server, monkeypatch):
    monkeypatch.setenv("EBM_GRADEBOOK", server.new_database())
    room = empty_classroom.publish()
    with opened(room.course) as book:
        assert book.db.bind.dialect.name == "postgresql"


def test_a_password_is_never_shown(empty_classroom):
    configure(empty_classroom, "postgresql+psycopg://teacher:secret@db.example.org/course")
    assert "secret" in address(empty_classroom.course)
    assert shown_address(empty_classroom.course) == "postgresql+psycopg://teacher:***@db.example.org/course"


def test_a_driver_that_is_not_installed_is_named(empty_classroom, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    configure(empty_classroom, "postgresql+psycopg://teacher@/course")
    with pytest.raises(GradebookError, match="pip install 'psycopg"):
        Book(empty_classroom.course)
