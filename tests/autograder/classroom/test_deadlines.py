"""Due dates, extensions and what late work costs: it comes with its reason and goes with it."""

import time

import pytest
from toy_course import RIGHT

from autograder.classroom.deadlines import extensions, moment
from autograder.classroom.gradebook import GradebookError
from autograder.ways.collect import Outcome
from autograder.ways.standing import due_dates, set_due, standing

PLUGIN = """
from nbgrader.plugins import BasePlugin

class TenAnHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 10 * total_seconds_late / 3600

c.AssignLatePenalties.plugin_class = TenAnHour
"""
DUE, LATER = "2026-12-01T12:00Z", "2026-12-01T14:00Z"
LATE = "2026-12-01 13:00:00.000000 UTC"


@pytest.fixture
def berlin(monkeypatch):
    """This computer's clock shows Berlin's winter time."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-01T23:59", "2026-12-01 22:59"),
        ("2026-12-01 23:59", "2026-12-01 22:59"),
        ("2026-12-01", "2026-12-01 22:59"),
        ("2026-12-01T23:59Z", "2026-12-01 23:59"),
        ("2026-12-01T23:59-05:00", "2026-12-02 04:59"),
    ],
)
def test_a_date_is_of_this_computers_zone_unless_it_names_one(berlin, text, utc):
    assert f"{moment(text):%Y-%m-%d %H:%M}" == utc


@pytest.mark.parametrize("text", ["tomorrow", "", "2026-13-01", "01.12.2026", "0001-01-01T00:00+14:00"])
def test_what_is_no_date_is_told_by_name(text):
    with pytest.raises(ValueError, match=r"is no date and time|too far"):
        moment(text)


def test_dates_are_shown_as_this_computers_clock_shows_them(classroom, berlin):
    classroom.submit("ada", {})
    assert list(due_dates(classroom.course, "toy").lines()) == ["toy: no due date"]
    set_due(classroom.course, "toy", "2026-12-01T23:59")
    set_due(classroom.course, "toy", "2026-12-03T12:00", "ada")
    assert list(due_dates(classroom.course, "toy").lines()) == [
        "toy: due 2026-12-01 23:59 CET",
        "ada: 2026-12-03 12:00 CET",
    ]
    set_due(classroom.course, "toy", "none", "ada")
    set_due(classroom.course, "toy", "none")
    assert list(due_dates(classroom.course, "toy").lines()) == ["toy: no due date"]


@pytest.mark.parametrize(
    ("name", "date", "student", "words"),
    [
        ("toy", "2026-12-01", "eve", "nobody is called 'eve'"),
        ("toy", "2026-12-01", "ada", "has no due date to extend"),
        ("chess", "2026-12-01", "", "chess is not in the gradebook"),
    ],
)
def test_a_date_for_nobody_or_nothing_is_refused_by_name(classroom, name, date, student, words):
    classroom.submit("ada", {})
    with pytest.raises((ValueError, RuntimeError), match=words):
        set_due(classroom.course, name, date, student)


def test_a_damaged_list_of_extensions_is_told_by_name(classroom):
    (classroom.course.directory / "extensions.json").write_text('{"toy": {"ada": "soon"}}')
    with pytest.raises(ValueError, match=r"extensions\.json is damaged"):
        extensions(classroom.course, "toy")


def test_whoever_has_no_time_is_named_once_there_is_a_date_to_miss(classroom):
    classroom.submit("ada", {})
    (classroom.submit("bob", {}).parent / "timestamp.txt").write_text(LATE)
    assert standing(classroom.course, "toy").undated == ()
    set_due(classroom.course, "toy", LATER)
    assert "no time told, so on time: 1: ada" in standing(classroom.course, "toy").lines()


@pytest.mark.slow
def test_a_penalty_is_lifted_when_its_reason_goes_and_nothing_is_judged_again(classroom):
    with (classroom.course.root / "nbgrader_config.py").open("a") as file:
        file.write(PLUGIN)
    mark = classroom.submit("ada", RIGHT).parent / "timestamp.txt"
    course = classroom.course
    reasons = {
        "the date goes": (lambda: set_due(course, "toy", "none"), lambda: set_due(course, "toy", DUE)),
        "an extension": (
            lambda: set_due(course, "toy", LATER, "ada"),
            lambda: set_due(course, "toy", "none", "ada"),
        ),
        "the time goes": (mark.unlink, lambda: mark.write_text(LATE)),
    }
    mark.write_text(LATE)
    set_due(course, "toy", DUE)
    for number, (take_away, bring_back) in enumerate(reasons.values()):
        row = classroom.grade()["ada"]
        assert (row.penalty, row.fresh) == (10, number == 0)
        assert "less 10 for handing in late" in classroom.page("ada")
        take_away()
        row = classroom.grade()["ada"]
        assert (row.penalty, row.fresh) == (0, False)
        assert "handing in late" not in classroom.page("ada")
        bring_back()


def test_after_a_collection_it_is_told_how_the_class_stands(classroom, tmp_path):
    from autograder.ways.standing import enroll

    table = tmp_path / "class.csv"
    table.write_text("username,name\nada,Ada\nbob,Bob Byron\ncleo,Cleo\n")
    assert enroll(classroom.course, table) == 3
    set_due(classroom.course, "toy", "2026-12-01T12:00Z")
    path = classroom.submit("ada", {})
    (path.parent / "timestamp.txt").write_text("2026-12-02 13:05:00 UTC")
    classroom.submit("eve", {})
    outcomes = [
        Outcome("bob", "bob/x.pdf", "no notebook", "instead of one: x.pdf"),
        Outcome("cleo", "cleo/a.ipynb", "not collected", "a.ipynb and b.ipynb differ"),
        Outcome("ada", "ada/toy.ipynb", "not collected", "the one there is not older"),
        Outcome("..", "../toy.ipynb", "not collected", "its path leads out of the archive"),
    ]
    assert list(standing(classroom.course, "toy", outcomes).lines()) == [
        "handed in: 1 of 3",
        "not handed in: 2: bob, cleo",
        "no notebook: bob: instead of one: x.pdf",
        "not collected: cleo: a.ipynb and b.ipynb differ",
        "late: ada: 1 day 1 hour 5 minutes",
        "no time told, so on time: 1: eve",
        "not on the roster: eve",
    ]
    with classroom.book() as book:
        assert book.find_student("bob").first_name == "Bob"


def test_a_plugin_for_late_work_that_cannot_be_imported_is_named(classroom):
    with (classroom.course.root / "nbgrader_config.py").open("a") as file:
        file.write('c.AssignLatePenalties.plugin_class = "nowhere.Penalty"\n')
    (classroom.submit("ada", RIGHT).parent / "timestamp.txt").write_text(LATE)
    set_due(classroom.course, "toy", DUE)
    with pytest.raises(GradebookError, match=r"'nowhere\.Penalty' could not be imported.*PYTHONPATH"):
        classroom.grade()
