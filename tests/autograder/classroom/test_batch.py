"""Grading a class: parallel, resumable, and fair to whatever is handed in."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from nbgrader.api import InvalidEntry

from autograder.classroom import batch
from autograder.classroom.batch import NothingToGrade
from autograder.classroom.gradebook import Book
from autograder.classroom.lane import Lane
from autograder.classroom.store import Busy, Lock, Store
from autograder.sandbox.levels import NoIsolation

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("batch")]  # its class is graded once

NAN = "def double(x):\n    return x * float('nan')"
LATE = "def add(x, y):\n    while True: pass"
NOISE = "import sys, warnings\nwarnings.warn('careful')\nprint('oh', file=sys.stderr)\n"


def without_cell(notebook: bytes, grade_id: str) -> bytes:
    tree = json.loads(notebook)
    tree["cells"] = [
        c for c in tree["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") != grade_id
    ]
    return json.dumps(tree).encode()


def with_cell_twice(notebook: bytes, grade_id: str, source: str) -> bytes:
    """A copy of the cell with another source, before the cell itself."""
    tree = json.loads(notebook)
    place = next(
        i
        for i, c in enumerate(tree["cells"])
        if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id
    )
    tree["cells"].insert(place, tree["cells"][place] | {"source": source, "id": "copy"})
    return json.dumps(tree).encode()


@pytest.fixture(scope="module")
def graded(shared_classroom):
    """One run over a class in which nearly everybody does something odd."""
    room = shared_classroom
    right = {"double": "def double(x):\n    return 2 * x", "add": "def add(x, y):\n    return x + y"}
    whole = room.answered(right)
    wrong = {
        "none": "def double(x): pass",
        "shape": "def double(x):\n    return 2 * x[:2]",
        "text": "def double(x):\n    return 'twice'",
        "nan": NAN,
        "enormous": "def double(x):\n    return np.zeros(30_000_000)",
        "raising": "def double(x):\n    return x['a']",
        "squares": "def double(x):\n    return x ** 2",
    }
    for student, source in wrong.items():
        room.submit(student, right | {"double": source})
    room.submit("right", right)
    room.submit("copy", right)
    room.submit("noisy", right | {"double": NOISE + right["double"]})
    room.submit("stuck", right | {"add": LATE})
    room.submit("unsolved", {})
    room.submit("renamed", whole, "my solution (1).ipynb")
    room.submit("several", whole, "a.ipynb")
    room.submit("several", whole, "b.ipynb")
    room.submit("nothing", b"", "essay.txt")
    room.submit("empty", b"")
    room.submit("truncated", whole[: len(whole) // 2])
    room.submit("latin", whole.decode().replace("Solve", "Löse").encode("latin-1"))
    room.submit("julia", whole.replace(b'"language": "python"', b'"language": "julia"'))
    room.submit("lost_answer", without_cell(whole, "double"))
    room.submit("lost_tests", without_cell(whole, "double-tests"))
    room.submit("twice", with_cell_twice(whole, "double", "def double(x):\n    return 3 * x"))
    os.truncate(room.submit("huge", b""), 100 << 20)
    secret = room.course.root / "secret.ipynb"
    secret.write_bytes(whole)
    room.submit("link", b"").unlink()
    room.course.folder("submitted", "link", "toy", "toy.ipynb").symlink_to(secret)
    room.submit("pipe", b"").unlink()
    os.mkfifo(room.course.folder("submitted", "pipe", "toy", "toy.ipynb"))
    room.rows = room.grade(jobs=2)
    return room


@pytest.mark.parametrize("student", ["right", "copy", "noisy", "renamed", "julia", "lost_tests", "twice"])
def test_right_work_gets_all_points_whatever_surrounds_it(graded, student):
    assert (graded.rows[student].status, graded.rows[student].score) == ("graded", 80)


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("none", "None"),
        ("shape", "axis is too short"),
        ("text", "type str"),
        ("nan", "NaN"),
        ("enormous", "too large"),
        ("raising", "function raised"),
        ("squares", "Twice a number is not its square."),
        ("stuck", "more than"),
        ("unsolved", "not solved yet"),
        ("lost_answer", "defines no function `double`"),
    ],
)
def test_a_wrong_answer_costs_its_exercise_alone_and_is_explained(graded, student, words):
    expected = {"unsolved": 0}.get(student, 40)
    assert (graded.rows[student].status, graded.rows[student].score) == ("graded", expected)
    assert words in graded.page(student).replace("&#39;", "'")
    comments = graded.entries(student).comment
    assert words in comments["double"] + comments["add"]


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("several", "several notebooks"),
        ("nothing", "no notebook was handed in"),
        ("empty", "empty"),
        ("truncated", "cut off"),
        ("latin", "not UTF-8"),
        ("huge", "larger than"),
        ("link", "link that leads elsewhere"),
        ("pipe", "not a file"),
    ],
)
def test_what_cannot_be_read_gets_zero_and_a_reason_and_the_run_goes_on(graded, student, words):
    row = graded.rows[student]
    assert (row.status, row.score) == ("unreadable", 0)
    assert words in " ".join(row.notes)
    assert words in graded.page(student)
    assert graded.entries(student).score == {"double-tests": 0, "add-tests": 0, "why": 0}


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("renamed", "my solution (1).ipynb"),
        ("julia", "julia"),
        ("lost_answer", "missing"),
        ("twice", "more than once"),
    ],
)
def test_oddities_are_noted_for_the_student(graded, student, words):
    assert words in " ".join(graded.rows[student].notes)
    assert words in graded.page(student)


def test_every_graded_notebook_is_valid_and_holds_each_graded_cell_once(graded):
    import nbformat

    for student in graded.rows:
        notebook = graded.autograded(student)
        nbformat.validate(notebook)
        ids = [
            c.metadata.nbgrader.grade_id
            for c in notebook.cells
            if c.metadata.get("nbgrader", {}).get("grade")
        ]
        assert ids == ["double-tests", "add-tests", "why"], student


def test_nbgraders_own_rule_reads_our_scores_from_the_graded_notebook(graded):
    from nbgrader.utils import determine_grade

    for student in graded.rows:
        tests = [c for c in graded.autograded(student).cells if c.metadata.get("nbgrader", {}).get("locked")]
        read = {cell.metadata.nbgrader.grade_id: determine_grade(cell)[0] for cell in tests}
        kept = graded.entries(student).auto
        assert read == {name: kept[name] for name in read}
        assert len(read) == 2


def test_identical_submissions_share_one_verdict(graded):
    store = Store(graded.course, "toy")
    assert store.recorded("right") == store.recorded("copy") != store.recorded("noisy")


def test_a_second_run_grades_nothing_again(graded):
    assert all(row.fresh for row in graded.rows.values())
    before = results(graded)
    again = graded.grade()
    assert not any(row.fresh for row in again.values())
    assert [(r.student, r.status, r.score, r.notes) for r in again.values()] == [
        (r.student, r.status, r.score, r.notes) for r in graded.rows.values()
    ]
    assert results(graded) == before


def results(room) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in room.course.folder("results", "toy").glob("*.json")}


def test_only_what_changed_is_graded_again(classroom, right):
    classroom.submit("ada", right)
    classroom.submit("bob", {})
    classroom.grade()
    classroom.submit("bob", right | {"add": "def add(x, y):\n    return y + x"})
    rows = classroom.grade()
    assert {name: (row.fresh, row.score) for name, row in rows.items()} == {
        "ada": (False, 80),
        "bob": (True, 80),
    }


def test_force_judges_again(classroom, right):
    classroom.submit("ada", right)
    classroom.grade()
    (before,) = results(classroom).values()
    assert classroom.grade("ada", force=True)["ada"].fresh
    (after,) = results(classroom).values()
    assert after > before


def test_what_was_deleted_is_made_again(classroom, right):
    classroom.submit("ada", right)
    classroom.grade()
    classroom.course.folder("feedback", "ada", "toy", "toy.html").unlink()
    assert classroom.grade()["ada"].fresh
    assert "Twice as much" in classroom.page("ada")
    (classroom.course.directory / "gradebook.db").unlink()
    classroom.publish()
    assert classroom.grade()["ada"].score == 80
    assert classroom.entries("ada").score["double-tests"] == 40


def test_a_damaged_verdict_is_made_again(classroom, right):
    classroom.submit("ada", right)
    classroom.grade()
    for path in classroom.course.folder("results", "toy").glob("*.json"):
        path.write_text(path.read_text()[:50])
    assert classroom.grade()["ada"].score == 80


def test_a_fault_of_the_grader_is_ungraded_and_never_a_score(classroom, right, sabotage):
    classroom.submit("ada", right)
    sabotage("raise")
    row = classroom.grade()["ada"]
    assert (row.status, row.score) == ("ungraded", None)
    assert "this check is broken" in row.notes[0]
    with classroom.book() as book:
        assert not book.assignment_submissions("toy")
    sabotage("")
    assert classroom.grade()["ada"].score == 80


def test_a_killed_lane_is_replaced_and_its_submission_tried_again(classroom, right, sabotage):
    classroom.submit("ada", right)
    classroom.submit("bob", right | {"double": NAN})
    sabotage("kill 1")
    rows = classroom.grade()
    assert {name: row.score for name, row in rows.items()} == {"ada": 80, "bob": 40}


def test_a_submission_that_kills_two_lanes_is_ungraded_and_the_others_are_graded(classroom, right, sabotage):
    classroom.submit("ada", right)
    classroom.submit("bob", right | {"double": NAN})
    sabotage("kill 2")
    rows = classroom.grade()
    assert {name: row.status for name, row in rows.items()} == {"ada": "ungraded", "bob": "graded"}
    assert "died 2 times" in rows["ada"].notes[0]


@pytest.mark.parametrize(("kills", "ungraded"), [(1, set()), (2, {"student0"})])
def test_what_a_killed_lane_had_yet_to_do_is_done_by_the_next(classroom, right, sabotage, kills, ungraded):
    for number in range(5):
        classroom.submit(f"student{number}", right | {"toy-01": f"import numpy as np  # {number}"})
    sabotage(f"kill {kills}")
    rows = classroom.grade()
    assert {name for name, row in rows.items() if row.status == "ungraded"} == ungraded
    assert {row.score for name, row in rows.items() if name not in ungraded} == {80}


def test_who_the_gradebook_refuses_costs_nobody_else_of_the_same_transaction(classroom, right, monkeypatch):
    for number in range(5):
        classroom.submit(f"student{number}", right | {"toy-01": f"import numpy as np  # {number}"})
    add, sizes, write = Book._submission, [], Book.record

    def refuse(book, assignment, graded):
        if graded.student == "student3":
            raise InvalidEntry("nobody knows student3")
        return add(book, assignment, graded)

    def record(book, assignment, graded):
        sizes.append(len(graded))
        write(book, assignment, graded)

    monkeypatch.setattr(Book, "_submission", refuse)
    monkeypatch.setattr(Book, "record", record)
    monkeypatch.setattr(batch, "TOGETHER_SECONDS", 1000.0)
    rows = classroom.grade()
    assert sizes[:2] == [1, 4], "the first is written at once, those that soon follow it together"
    assert {name for name, row in rows.items() if row.status == "ungraded"} == {"student3"}
    assert "nobody knows student3" in rows["student3"].notes[0]
    with classroom.book() as book:
        written = {
            submission.student_id: submission.score for submission in book.assignment_submissions("toy")
        }
    assert written == dict.fromkeys(("student0", "student1", "student2", "student4"), 80)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "autograder.command", *arguments]


def test_a_killed_command_loses_nothing_and_the_next_one_goes_on(classroom, right):
    for number in range(4):
        slow = f"import time; time.sleep(1.5)  # {number}\n"
        classroom.submit(f"student{number}", right | {"toy-01": slow + "import numpy as np"})
    store = Store(classroom.course, "toy")
    running = subprocess.Popen(
        command("grade", "toy", "--isolation", "none", "--jobs", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(store.students()) < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = set(store.students())
    assert 0 < len(done) < 4
    rows = classroom.grade()
    assert {row.score for row in rows.values()} == {80}
    assert {name for name, row in rows.items() if not row.fresh} == done
    assert all(classroom.entries(name).score["add-tests"] == 40 for name in rows)


@pytest.mark.parametrize("isolation", ["none", pytest.param("auto", marks=pytest.mark.sandbox)])
def test_grading_leaves_nothing_in_the_temporary_folder(
    request, classroom, right, sabotage, tmp_path, monkeypatch, isolation
):
    if isolation == "auto":
        request.getfixturevalue("sandbox")  # skips, or fails, where there is none
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    classroom.submit("ada", right)
    classroom.submit("bob", right | {"double": NAN})
    sabotage("kill 1")
    assert classroom.grade(isolation=isolation)["ada"].score == 80
    assert list(scratch.iterdir()) == []


def test_lanes_end_with_a_killed_command(classroom, right):
    classroom.submit("ada", right | {"toy-01": "import time; time.sleep(15)\nimport numpy as np"})
    running = subprocess.Popen(
        command("grade", "toy", "--isolation", "none", "--jobs", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (lanes := children(running.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)  # past the lane's first lines, where it asks to die with the command
    running.send_signal(signal.SIGKILL)
    running.wait()
    while any(alive(pid) for pid in lanes) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lanes
    assert not any(alive(pid) for pid in lanes)


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_two_gradings_at_once_are_refused_with_the_holders_name(classroom, right):
    classroom.submit("ada", right)
    with Lock(classroom.course), pytest.raises(Busy, match=rf"process {os.getpid()} on .+, started 20"):
        classroom.grade()
    assert classroom.grade()["ada"].score == 80


def test_who_did_not_hand_in_is_named(classroom, right):
    with pytest.raises(NothingToGrade, match="no submissions of toy"):
        classroom.grade()
    classroom.submit("ada", right)
    with pytest.raises(NothingToGrade, match="by zoe"):
        classroom.grade("zoe")


def test_without_isolation_nothing_is_graded_and_the_way_out_is_said(classroom, right, tmp_path):
    classroom.submit("ada", right)
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "import autograder.sandbox.sandbox as s\n"
        "s.bubblewraps = lambda: ()\n"
        "s.LEVELS = ('namespaces', 'bubblewrap', 'none')\n"
    )
    done = subprocess.run(
        command("grade", "toy"),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(patch)},
    )
    assert done.returncode == 1
    assert "apt-get install bubblewrap" in done.stderr
    assert "Traceback" not in done.stderr
    with classroom.book() as book:
        assert not book.assignment_submissions("toy")


def test_a_lane_refuses_without_isolation(classroom, monkeypatch):
    monkeypatch.setattr("autograder.sandbox.sandbox.bubblewraps", lambda: ())
    monkeypatch.setattr("autograder.sandbox.sandbox.LEVELS", ("namespaces", "bubblewrap", "none"))
    with pytest.raises(NoIsolation, match="bwrap"):
        Lane(classroom.course, "toy", "auto")


@pytest.mark.sandbox
def test_in_the_sandbox_the_scores_are_the_same_and_the_isolation_is_recorded(classroom, right, sandbox):
    classroom.submit("ada", right)
    classroom.submit("bob", right | {"double": NAN})
    rows = classroom.grade(isolation="auto", jobs=2)
    assert {name: row.score for name, row in rows.items()} == {"ada": 80, "bob": 40}
    assert "isolation: namespaces" in classroom.page("ada") or "isolation: bubblewrap" in classroom.page(
        "ada"
    )
