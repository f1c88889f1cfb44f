"""nbgrader's exchange: release, fetch, submit, collect, autograde, generate, release and fetch feedback."""

import pytest
from nbgrader.apps import NbGraderAPI
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default import ExchangeFetchAssignment, ExchangeFetchFeedback, ExchangeSubmit
from toy_course import RIGHT

from autograder.classroom.gradebook import settings
from autograder.ways.collect import COLLECTED, collect
from autograder.ways.nbgrader import close_lanes

pytestmark = pytest.mark.slow


@pytest.fixture
def exchange(classroom, tmp_path, monkeypatch):
    """The course's configuration with an exchange of its own; commands run in the student's home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    config = settings(classroom.course)
    config.CourseDirectory.assignment_id = "toy"
    config.JudgeNotebook.isolation = "none"
    config.Exchange.root = str(tmp_path / "exchange")
    config.Exchange.cache = str(tmp_path / "cache")
    return config


def run(step, config, **place):
    for name, value in place.items():
        config.CourseDirectory[name] = value
    coursedir, authenticator = CourseDirectory(config=config), Authenticator(config=config)
    step(coursedir=coursedir, authenticator=authenticator, config=config).start()


def done(answer):
    assert answer["success"], answer.get("log")


@pytest.mark.parametrize("collector", ["nbgrader", "autograder"])
@pytest.mark.parametrize("grader", ["nbgrader", "autograder"])
def test_a_submission_goes_in_and_our_page_comes_back(classroom, exchange, tmp_path, collector, grader):
    api = NbGraderAPI(coursedir=CourseDirectory(config=exchange), config=exchange)
    done(api.release_assignment("toy"))
    student = exchange.copy()
    run(ExchangeFetchAssignment, student)
    (tmp_path / "home" / "toy" / "toy.ipynb").write_bytes(classroom.answered(RIGHT))
    run(ExchangeSubmit, student, student_id="ada")
    if collector == "nbgrader":
        done(api.collect("toy"))
    else:
        found = list(collect(classroom.course, "toy", tmp_path / "exchange" / "ebm" / "inbound"))
        assert [(o.student, o.status) for o in found] == [("ada", COLLECTED)]
    if grader == "nbgrader":
        done(api.autograde("toy", "ada"))
        close_lanes()
    else:
        classroom.grade()
    ours = classroom.page("ada")
    assert "Twice as much" in ours
    done(api.generate_feedback("toy", "ada", force=True))
    assert classroom.page("ada") == ours, "nbgrader replaced our page"
    done(api.release_feedback("toy"))
    run(ExchangeFetchFeedback, student, student_id="ada")
    (page,) = (tmp_path / "home" / "toy" / "feedback").rglob("*.html")
    assert page.read_text() == ours


def test_feedback_of_what_came_otherwise_stays_unread_and_stops_nobody_elses(classroom, exchange, tmp_path):
    api = NbGraderAPI(coursedir=CourseDirectory(config=exchange), config=exchange)
    done(api.release_assignment("toy"))
    classroom.submit("bob", RIGHT)
    classroom.grade()
    done(api.release_feedback("toy"))
    (page,) = (tmp_path / "exchange" / "ebm" / "feedback").glob("*.html")
    assert page.read_text() == classroom.page("bob")
