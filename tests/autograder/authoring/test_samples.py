"""The source of an assignment is read right, and the sample students are what they are called."""

import copy
import dataclasses
import json
import os

import pytest

from autograder.authoring import percent
from autograder.authoring.samples import (
    notebook_with,
    samples,
    solution_notebook,
    unsolved_notebook,
    write_samples,
)
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.judge import judge
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox

ASSIGNMENT = assignment_named("ising")


def sources(data):
    return {
        c["metadata"].get("nbgrader", {}).get("grade_id", c["id"]): "".join(c["source"])
        for c in json.loads(data)["cells"]
    }


# --- The source of an assignment


def test_answers_tests_and_questions_carry_the_metadata_of_nbgrader():
    cells = {c.metadata.nbgrader.grade_id: c for c in percent.nbgrader_notebook("ising").cells if c.metadata}
    answer, tests, question = (cells[n] for n in ("energy", "energy-tests", "why_icm_gets_stuck"))
    marks = [(c.metadata.nbgrader.solution, c.metadata.nbgrader.grade) for c in (answer, tests, question)]
    assert marks == [(True, False), (False, True), (True, True)]
    assert [c.metadata.nbgrader.get("points") for c in (answer, tests, question)] == [None, 15, 10]
    assert [c.metadata.nbgrader.locked for c in (answer, tests, question)] == [False, True, False]
    assert question.cell_type == "markdown"


def test_cells_have_the_same_ids_whenever_they_are_derived():
    first, second = (json.loads(solution_notebook("ising")) for _ in range(2))
    assert first == second
    assert len({c["id"] for c in first["cells"]}) == len(first["cells"])


def test_a_solution_is_replaced_by_a_stub_of_the_same_depth():
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"
    assert percent.without_solution(source) == f"def f():\n    {percent.STUB}\n"


def test_an_unknown_assignment_is_refused_with_the_known_ones():
    with pytest.raises(FileNotFoundError, match="ising"):
        percent.read("alchemy")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('# %% exercise="f"\ndef f(): pass\n\n# %% tests="f" points=1\nf()\n', "BEGIN SOLUTION"),
        ('# %% exercise="f"\n### BEGIN SOLUTION\nf = 1\n### END SOLUTION\n', "must be its tests"),
        (
            '# %% exercise="f"\n### BEGIN SOLUTION\nf = 1\n### END SOLUTION\n\n# %% tests="f"\nf\n',
            "carry no points",
        ),
        (
            "# %% [markdown]\n# | exercise | points |\n# |---|---|\n# | 1. f | 1 |\n",
            "table of points; remove it",
        ),
    ],
)
def test_a_cell_that_lacks_something_is_named(tmp_path, monkeypatch, text, complaint):
    monkeypatch.setattr(percent, "solution_of", lambda name: tmp_path / f"{name}.py")
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        percent.read("broken")


# --- The sample students


def test_nothing_of_a_solution_is_left_in_the_unsolved_notebook():
    unsolved = unsolved_notebook("ising").decode()
    assert "SOLUTION" not in unsolved
    assert "Rubric" not in unsolved
    for exercise in ASSIGNMENT.exercises:
        assert unsolved.count(f'NotImplementedError(\\"{exercise.name} is not solved yet') == 1


def test_only_the_answers_named_are_replaced():
    changed = sources(notebook_with("ising", {"energy": "def energy(*a):\n    return 0\n"}))
    right = sources(solution_notebook("ising"))
    assert {name for name in right if right[name] != changed[name]} == {"energy"}


def test_an_answer_without_a_cell_is_an_error():
    with pytest.raises(KeyError, match="alchemy"):
        notebook_with("ising", {"alchemy": ""})


def test_samples_are_written_where_nbgrader_looks_for_submissions(tmp_path):
    written = write_samples(Course(tmp_path), "ising")
    students = samples("ising")
    assert len(written) == len(set(written)) == len(students) >= 8
    for path in written:
        student = path.relative_to(tmp_path).parts[2]
        assert path == tmp_path / "course" / "submitted" / student / "ising" / "ising.ipynb"
        assert path.read_bytes() == students[student]


@pytest.fixture(scope="module")
def sandbox():
    try:
        with Sandbox("auto", ASSIGNMENT.provides, ASSIGNMENT.imports) as opened:
            yield opened
    except NoIsolation as error:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise
        pytest.skip(f"no isolation on this machine: {error}")


def mistake_points():
    """What each student with one mistake loses at most: the points of that exercise."""
    return {f"mistake-{e.mistakes[0].name.replace(' ', '-')}": e.points for e in ASSIGNMENT.exercises}


def impatient():
    """The assignment, whose last exercise, which one sample never ends, has a second for each check."""
    last = copy.copy(ASSIGNMENT.exercises[-1])
    last.checks = [dataclasses.replace(check, seconds=1.0) for check in last.checks]
    return dataclasses.replace(ASSIGNMENT, exercises=(*ASSIGNMENT.exercises[:-1], last))


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.parametrize("student", samples("ising"))
def test_every_sample_gets_what_it_deserves(student, sandbox):
    assignment = impatient() if student == "infinite-loop" else ASSIGNMENT
    report = judge(samples("ising")[student], assignment, sandbox, b"a key").report
    if student in mistake_points():
        assert report.max_score - mistake_points()[student] <= report.score < report.max_score
        return
    lost_by_looping = ASSIGNMENT.exercises[-1].points
    expected = {
        "right": 90,
        "right-but-noisy": 90,
        "half-done": sum(e.points for e in ASSIGNMENT.exercises[:3]),
        "infinite-loop": 90 - lost_by_looping,
        "crash": 90,
    }
    assert report.score == expected.get(student, 0)
    assert report.status == (
        "unreadable" if student in ("truncated", "empty", "not-a-notebook") else "graded"
    )
