"""Late work costs what nbgrader's plugin says, however it is graded; Canvas imports the totals."""

import csv
import datetime
import io

import pytest

from autograder import command
from autograder.exercises.catalogue import available_assignments
from autograder.ways.export import export, export_canvas
from autograder.ways.marks import gather

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export")]  # its class is graded once

DUE = datetime.datetime(2026, 10, 1, 12, 0)
PLUGIN = """
from nbgrader.plugins import BasePlugin

class TenAnHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 10 * total_seconds_late / 3600

c.AssignLatePenalties.plugin_class = TenAnHour
"""
TIMES = {
    "early": "2026-10-01 11:59:59 UTC",
    "hour": "2026-10-01 13:00:00 UTC",
    "day": "2026-10-02 12:00:00 UTC",
    "excused": "2026-10-02 12:00:00 UTC",
    "untimed": "",
}
EXPECTED = {"early": None, "hour": 10, "day": 80, "excused": None, "untimed": None}


@pytest.fixture(scope="module")
def late(shared_classroom):
    """A class of which some were late, graded by `autograder grade`."""
    room = shared_classroom
    with (room.course.root / "nbgrader_config.py").open("a") as file:
        file.write(PLUGIN)
    answers = {"double": "def double(x):\n    return 2 * x", "add": "def add(x, y):\n    return x + y"}
    for student, when in TIMES.items():
        path = room.submit(student, answers)
        if when:
            (path.parent / "timestamp.txt").write_text(when)
    with room.book() as book:
        book.update_or_create_assignment("toy", duedate=DUE)
        book.update_or_create_student("hour", first_name="=Jane", last_name="@Doe", lms_user_id="4711")
        book.update_or_create_student("excused")
    room.grade()
    with room.book() as book:
        book.grant_extension("toy", "excused", days=2)
    room.grade()
    return room


def penalties(room) -> dict[str, float | None]:
    with room.book() as book:
        return {
            student: book.find_submission_notebook("toy", "toy", student).late_submission_penalty
            for student in TIMES
        }


def test_a_penalty_is_what_the_courses_plugin_says_and_no_more_than_the_score(late):
    assert penalties(late) == EXPECTED


def test_nbgrader_agrees(late):
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    from autograder.classroom.gradebook import settings
    from autograder.ways.nbgrader import close_lanes

    ours = penalties(late)
    config = settings(late.course)
    config.CourseDirectory.assignment_id = "toy"
    config.JudgeNotebook.isolation = "none"
    api = NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)
    late.course.folder("feedback", "hour", "toy", "toy.html").unlink()
    for student in ("early", "hour", "day"):
        answer = api.autograde("toy", student, force=True)
        assert answer["success"], answer.get("log")
    close_lanes()
    assert penalties(late) == ours
    assert "less 10 for handing in late" in late.page("hour"), "the page does not know what late work costs"


def test_the_exported_total_counts_the_penalty(late):
    file = io.StringIO()
    export(late.course, gather(late.course, ["toy"]), file)
    rows = {row["student"]: row for row in csv.DictReader(io.StringIO(file.getvalue()))}
    found = {student: (row["late_penalty"], row["total"]) for student, row in rows.items()}
    assert found["early"] == found["untimed"] == found["excused"] == ("0", "80")
    assert found["hour"] == ("10", "70")
    assert found["day"] == ("80", "0")


def test_canvas_gets_its_columns_its_ids_and_no_formula(late):
    room = late
    room.submit("doejane_4712", {})
    room.submit("=1+1", {})
    room.grade("doejane_4712", "=1+1")
    file = io.StringIO()
    names = ["toy", *available_assignments()]
    assert export_canvas(room.course, gather(room.course, names), file) == len(TIMES) + 2
    header, possible, *rows = csv.reader(io.StringIO(file.getvalue()))
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Toy"]
    assert possible == ["    Points Possible", "", "", "", "", "100"]
    found = {row[0]: row[1:] for row in rows}
    assert found["'@Doe, =Jane"] == ["4711", "", "hour", "", "70"]
    assert found["doejane"] == ["4712", "", "", "", "0"]
    assert found["early"] == ["", "", "early", "", "80"]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_a_name_that_is_no_assignment_is_refused(late):
    with pytest.raises(ValueError, match="no assignment is called 'joy'; there are"):
        gather(late.course, ["joy"])


def test_the_feedback_says_what_late_work_costs(late, monkeypatch):
    monkeypatch.setattr("sys.argv", ["autograder", "feedback", "toy"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert "70 <small>of 100 points" in late.page("hour")
    assert "80 points, less 10 for handing in late" in late.page("hour")
    assert "0 <small>of 100 points" in late.page("day")
    for student in ("early", "excused", "untimed"):
        assert "80 <small>of 100 points" in late.page(student)
        assert "handing in late" not in late.page(student)


def test_the_command_writes_the_cost_at_once(late, monkeypatch):
    page = late.course.folder("feedback", "hour", "toy", "toy.html")
    page.unlink()
    monkeypatch.setattr(
        "sys.argv", ["autograder", "grade", "toy", "--isolation", "none", "--student", "hour"]
    )
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert "less 10 for handing in late" in late.page("hour")
