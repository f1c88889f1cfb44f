"""When the machine fails: each fault is named with a way out, and nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder import command as commands
from autograder.classroom.gradebook import Book, GradebookError
from autograder.classroom.store import Lock, Store
from autograder.judging.judge import CellOutput, Judged
from autograder.judging.report import GRADED, CheckResult, ExerciseResult, Report

YEARS = 365 * 24 * 3600.0


# Folders


@pytest.mark.slow
def test_folders_that_cannot_be_graded_are_listed_and_cost_nobody_else(classroom, right, monkeypatch):
    inbox_ = classroom.course.folder("submitted")
    classroom.submit("ada", right)
    (inbox_ / "bob" / "toy" / "toy.ipynb").mkdir(parents=True)  # a folder that is called like a notebook
    latin = os.fsdecode(os.fsencode(inbox_) + b"/Jos\xe9")
    shutil.copytree(inbox_ / "ada", latin)
    shutil.copytree(inbox_ / "ada", inbox_ / ("n" * 250))
    shutil.copytree(inbox_ / "ada", inbox_ / "shut")
    listdir = os.listdir

    def refuse(path="."):
        if "shut" in Path(path).parts:
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)  # root may open everything
    rows = classroom.grade()
    reasons = {student: row.notes[0] for student, row in rows.items() if row.status == "ungraded"}
    assert {student[:4] for student in reasons} == {"Jos\\", "nnnn", "shut"}
    assert "rename" in reasons["Jos\\udce9"]
    assert "shorter" in reasons["n" * 250]
    assert "Permission denied" in reasons["shut"]
    assert rows["bob"].score == 0
    assert "not a file" in rows["bob"].notes[0]
    assert rows["ada"].score == 80
    assert Store(classroom.course, "toy").students() == ["ada", "bob"]


# Damaged files


def test_a_gradebook_damaged_inside_is_named_with_the_way_out(classroom):
    path = classroom.course.directory / "gradebook.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(reversed(whole[4096:])))  # it opens, and then makes no sense
    classroom.submit("ada", b"{}")
    with pytest.raises(GradebookError, match=r"restore it from a backup, or move it away"):
        classroom.grade()
    path.write_bytes(whole)
    with Book(classroom.course) as book:
        assert book.scores("toy") == {}


DAMAGES = {
    "empty": b"",
    "cut off": b'{"assignment": "toy", "exer',
    "not text": b"\xff\xfe\x00",
    "null": b"null",
    "a list": b"[1]",
    "of another shape": b'{"exercises": [{"name": 1}], "notes": []}',
    "without end": b"[" * 100_000,
}


@pytest.mark.parametrize("which", ["json", "outputs"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_verdict_counts_as_none(classroom, which, damage):
    store = Store(classroom.course, "toy")
    check = CheckResult("double/arrays", 1.0, 1.0, "arrays", "right")
    judged = Judged(Report("toy", GRADED, (ExerciseResult("double", "Twice", (check,)),)), (CellOutput(0),))
    store.save("key", judged)
    assert store.load("key") == judged
    (store.folder / f"key.{which}").write_bytes(DAMAGES[damage])
    assert store.load("key") is None
    store.save("key", judged)
    assert store.load("key") == judged


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 16])
def test_a_damaged_key_is_named_and_never_replaced(classroom, text):
    path = classroom.course.directory / "grading.key"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"grading\.key is damaged.+restore it from a backup"):
        classroom.course.key()
    assert path.read_text() == text


# Disks


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_named_and_the_verdict_is_kept(classroom, right):
    classroom.submit("ada", right)
    feedback = classroom.course.folder("feedback")
    shutil.rmtree(feedback, ignore_errors=True)
    feedback.write_text("a file is in the way")
    row = classroom.grade()["ada"]
    assert (row.status, row.score) == ("ungraded", None)
    assert str(feedback) in row.notes[0]
    with classroom.book() as book:
        assert not book.assignment_submissions("toy")
    results = classroom.course.folder("results", "toy")
    kept = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert len(kept) == 1
    feedback.unlink()
    assert classroom.grade()["ada"].score == 80
    assert {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")} == kept


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=8m none "$1/course" && cp -r "$1/whole/." "$1/course" || exit 77
grade() { "$2" -m autograder.command grade toy --isolation none --jobs 1; }
say() { echo "== $1: $?"; }
if [ "$3" = full ]; then
  dd if=/dev/zero of="$1/course/ballast" bs=1k 2>/dev/null
  grade "$@" 2>&1; say full
  truncate -s -48k "$1/course/ballast"
  grade "$@" 2>&1; say nearly
  rm "$1/course/ballast"
else
  mount -o remount,ro "$1/course"
  grade "$@" 2>&1; say unwritable
  mount -o remount,rw "$1/course"
fi
grade "$@" 2>&1; say better
find "$1/course" -name '.*.tmp' | sed 's/^/left: /'
"""


def on_a_small_disk(room, fault: str) -> dict[str, tuple[int, str]]:
    """Grade a course on a disk of its own that fails, then on one that does not: exit codes and what was said."""
    os.rename(room.course.directory, room.course.root / "whole")
    room.course.directory.mkdir()
    inside = ["sh", "-c", ON_A_SMALL_DISK, "sh", str(room.course.root), sys.executable, fault]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", *inside],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "== " not in done.stdout:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise AssertionError(f"no disk could be made: {done.stderr}")
        pytest.skip(f"this machine allows no mounts in a namespace: {done.stderr}")
    found, said = {}, []
    for line in done.stdout.splitlines():
        if line.startswith("== "):
            step, _, code = line[3:].partition(": ")
            found[step] = (int(code), "\n".join(said))
            said = []
        else:
            said.append(line)
    assert said == [], "nothing half-written is left"
    return found


@pytest.mark.slow
def test_a_full_disk_costs_nothing_but_another_run(classroom, right):
    for student in ("ada", "bob"):
        classroom.submit(student, right | {"toy-01": f"import numpy as np  # {student}"})
    steps = on_a_small_disk(classroom, "full")
    code, said = steps["full"]
    assert code in (1, 3)
    assert f"No space left on device: '{classroom.course.directory}/" in said
    assert "make room on that disk" in said
    assert "Traceback" not in said
    assert steps["nearly"][0] in (0, 1, 3)
    assert "Traceback" not in steps["nearly"][1]
    code, said = steps["better"]
    assert code == 0
    assert said.count("80/80") >= 2


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_is_named_with_the_way_out(classroom, right):
    classroom.submit("ada", right)
    steps = on_a_small_disk(classroom, "unwritable")
    code, said = steps["unwritable"]
    assert code == 1
    last = said.splitlines()[-1]
    assert str(classroom.course.directory) in last
    assert "make it writable" in last
    assert "Traceback" not in said
    assert steps["better"][0] == 0


# Clocks


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(classroom, right, monkeypatch):
    now = time.time
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now() + YEARS * (-20, 0, 30)[next(jumps) % 3])
    for student, age in (("ada", -60 * YEARS), ("bob", 100 * YEARS)):
        path = classroom.submit(student, right | {"toy-01": f"import numpy as np  # {student}"})
        os.utime(path, (now() + age, now() + age))
        (path.parent / "timestamp.txt").write_text(f"{1970 if age < 0 else 2170}-01-01 00:00:00 UTC")
    assert {row.score for row in classroom.grade().values()} == {80}
    for path in classroom.course.directory.rglob("*"):  # a restored backup, or a machine without a battery
        if path.is_file():
            os.utime(path, (next(jumps), next(jumps)))
    assert not any(row.fresh for row in classroom.grade().values())


# Two at once


def test_a_lock_left_by_a_dead_process_from_the_future_holds_nobody_up(classroom):
    words = json.dumps({"pid": 1, "host": "elsewhere", "started": "2999-01-01 00:00:00"})
    (classroom.course.directory / "grading.lock").write_text(words)
    with Lock(classroom.course):
        pass


@pytest.mark.slow
def test_a_second_command_is_refused_in_one_line_and_the_first_goes_on(classroom, right, capsys, monkeypatch):
    classroom.submit("ada", right | {"toy-01": "import time; time.sleep(3)\nimport numpy as np"})
    line = ["grade", "toy", "--isolation", "none", "--jobs", "1"]
    first = subprocess.Popen([sys.executable, "-m", "autograder.command", *line], stdout=subprocess.DEVNULL)
    try:
        lock = classroom.course.directory / "grading.lock"
        end = time.monotonic() + 60
        while not (lock.exists() and lock.read_text()):
            assert time.monotonic() < end
            time.sleep(0.02)
        monkeypatch.setattr(sys, "argv", ["autograder", *line])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        said = capsys.readouterr().err.splitlines()[-1]
        assert ended.value.code == 1
        assert f"this course is being graded by process {first.pid} on " in said
        assert "wait for it, or end it" in said
        assert first.wait(120) == 0
    finally:
        first.kill()
        first.wait()
    assert classroom.entries("ada").score["double-tests"] == 40
