"""A course can demand isolation: below its floor nothing is graded, and the message says what was reached."""

import pytest

import autograder
from autograder.classroom import floor
from autograder.classroom.store import Store
from autograder.course import Course
from autograder.sandbox.levels import LEVELS, NoIsolation

ORDER = [
    "namespaces+seccomp+landlock",
    "namespaces+seccomp",
    "namespaces",
    "bubblewrap",
    "user",
    "landlock",
    "none",
]


def demand(course: Course, level: str) -> None:
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write(f"\nc.JudgeNotebook.isolation_floor = {level!r}\n")


@pytest.mark.parametrize("reached", ORDER)
@pytest.mark.parametrize("wanted", ORDER)
def test_what_is_stronger_than_the_floor_passes_and_what_is_weaker_does_not(reached, wanted):
    if ORDER.index(reached) <= ORDER.index(wanted):
        floor.require(reached, wanted)
    else:
        with pytest.raises(NoIsolation, match="nothing was graded") as refused:
            floor.require(reached, wanted)
        assert wanted in str(refused.value)
        assert f"reached {reached}" in str(refused.value)


def test_a_filter_that_is_demanded_is_not_made_up_for_by_namespaces():
    floor.require("namespaces+seccomp", "bubblewrap+seccomp")
    with pytest.raises(NoIsolation):
        floor.require("namespaces+landlock", "bubblewrap+seccomp")
    with pytest.raises(NoIsolation):
        floor.require("namespaces+seccomp", "bubblewrap+seccomp+landlock")
    floor.require("namespaces+seccomp+landlock", "bubblewrap+landlock")


def test_the_levels_are_those_of_the_sandbox():
    assert list(LEVELS) == [level for level in ORDER if "+" not in level]


def test_without_a_setting_everything_is_accepted_but_no_isolation(empty_classroom):
    (empty_classroom.course.root / "nbgrader_config.py").write_text("c = get_config()\n")
    assert floor.floor_of(empty_classroom.course) == LEVELS[-2]


def test_a_floor_that_names_no_level_is_answered_with_those_there_are(empty_classroom):
    demand(empty_classroom.course, "docker")
    with pytest.raises(ValueError, match=r"one of namespaces, bubblewrap.*'docker'"):
        floor.floor_of(empty_classroom.course)


@pytest.mark.slow
def test_grading_below_the_floor_refuses_before_any_student_code_runs(classroom, right, tmp_path):
    trace = tmp_path / "ran"
    classroom.submit("ada", right | {"toy-01": f"open({str(trace)!r}, 'w')"})
    demand(classroom.course, "bubblewrap")
    with pytest.raises(NoIsolation, match="demands the isolation bubblewrap, and this machine reached none"):
        classroom.grade()
    assert not trace.exists()
    assert Store(classroom.course, "toy").students() == []
    demand(classroom.course, "none")
    classroom.grade()
    assert Store(classroom.course, "toy").students() == ["ada"]


@pytest.mark.slow
def test_nbgrader_refuses_below_the_floor_too(classroom, right):
    from types import SimpleNamespace

    from autograder.ways.nbgrader import JudgeNotebook, close_lanes

    classroom.submit("ada", right)
    demand(classroom.course, "namespaces")
    place = SimpleNamespace(student="ada", assignment="toy", notebook="toy")
    with pytest.raises(NoIsolation, match="demands the isolation namespaces"):
        JudgeNotebook(isolation="none").preprocess(None, {"nbgrader": vars(place)})
    close_lanes()


@pytest.mark.slow
def test_a_notebook_graded_from_python_meets_the_courses_own_checks_and_its_floor(classroom, right):
    path = classroom.submit("ada", right)
    assert autograder.grade(path, "toy", "none").score == 80
    demand(classroom.course, "namespaces")
    with pytest.raises(NoIsolation, match="demands the isolation namespaces, and this machine reached none"):
        autograder.grade(path, "toy", "none")
    (classroom.course.root / "nbgrader_config.py").unlink()
    with pytest.raises(NoIsolation, match="demands the isolation landlock, and this machine reached none"):
        autograder.grade(path, "toy", "none")
