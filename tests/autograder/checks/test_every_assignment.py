"""What holds for every assignment: right code passes however it is written, mistakes fail and are named.

`EBM_SEEDS` says on how many seeds right and wrong code is tried here, three unless told; `make selftest` takes two
hundred.
A correct sampler fails a check by chance with probability at most 1e-9, so all of this fails by chance below 1e-5.
"""

import ast
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from autograder.authoring import percent
from autograder.authoring.samples import notebook_with, solution_notebook, unsolved_notebook
from autograder.authoring.selftest import selftest
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.exercises.exercise import Assignment, Exercise
from autograder.judging.judge import judge
from autograder.judging.report import Report
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox

SEEDS = range(int(os.environ.get("EBM_SEEDS", "3")))
ASSIGNMENTS = {name: assignment_named(name) for name in available_assignments()}
EXERCISES = [(a, e) for a in ASSIGNMENTS.values() for e in a.exercises]
by_exercise = pytest.mark.parametrize(
    ("assignment", "exercise"), EXERCISES, ids=[f"{a.name}-{e.name}" for a, e in EXERCISES]
)
by_assignment = pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=ASSIGNMENTS)

NONSENSE = {
    "none": lambda *a: None,
    "nan": lambda *a: float("nan"),
    "text": lambda *a: "0",
    "empty": lambda *a: np.zeros((2, 0, 5)),
    "ragged": lambda *a: [[0, 1], [1]],
    "generator": lambda *a: (x for x in a),
    "huge": lambda *a: np.full((3, 3), 1e300),
    "complex": lambda *a: torch.zeros(2, 2, dtype=torch.complex64),
    "dictionary": lambda *a: {"value": 1.0},
    "dictionary of an argument": lambda *a: {"labels": a[0]},
    "two nones": lambda *a: (None, None),
    "two texts": lambda *a: ("0", "0"),
    "empty and ragged": lambda *a: (np.zeros((2, 0, 5)), [[0, 1], [1]]),
    "an argument thrice": lambda *a: (a[0],) * 3,
    "an argument twice and none": lambda *a: (a[0], a[0], None),
    "four nans": lambda *a: (np.nan,) * 4,
    "nans like an argument": lambda *a: np.full(np.shape(a[0]), np.nan),
    "twos like an argument": lambda *a: np.full(np.shape(a[0]), 2),
    "raises": lambda *a: 1 / 0,
}


@pytest.mark.slow
@by_exercise
def test_right_code_passes_on_every_seed_and_every_mistake_fails_and_is_named(
    assignment: Assignment, exercise: Exercise
) -> None:
    table = selftest(dataclasses.replace(assignment, exercises=(exercise,)), SEEDS, naming_seeds=2)
    assert table.holds, str(table)


@pytest.mark.slow
@by_exercise
def test_right_code_passes_every_check_and_every_mistake_fails_one(
    assignment: Assignment, exercise: Exercise, complaints
) -> None:
    for function in (exercise.reference, *exercise.alternatives):
        assert complaints(exercise, function) == {}, function.__name__
    failed = {
        mistake.name: frozenset(complaints(exercise, mistake.function)) for mistake in exercise.mistakes
    }
    assert all(failed.values()), failed
    assert frozenset.union(*failed.values()) == {check.name for check in exercise.checks}
    if (
        exercise.name != "train"
    ):  # whose checks are goals further and further up; its own tests climb half way
        assert len(set(failed.values())) >= 2, (
            "every mistake fails the same checks: there is no partial credit"
        )


@by_exercise
@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_fails_every_check_and_breaks_none(
    assignment: Assignment, exercise: Exercise, answer, complaints
) -> None:
    assert complaints(exercise, answer).keys() == {check.name for check in exercise.checks}


def in_its_form(value, number):
    """A value of the same types and shapes whose numbers are all one."""
    if isinstance(value, tuple | list):
        return type(value)(in_its_form(part, number) for part in value)
    if isinstance(value, str):
        return value
    if isinstance(value, torch.Tensor):
        return torch.full(value.shape, float(number), dtype=torch.float64)
    return np.full(np.shape(value), number)


@by_exercise
@pytest.mark.parametrize("number", [0.0, -7.25, np.inf, -1.7e308])
def test_one_number_in_the_right_form_fails_every_check(
    assignment: Assignment, exercise: Exercise, number, complaints
) -> None:
    def answer(*args):
        return in_its_form(exercise.reference(*args), number)

    assert complaints(exercise, answer).keys() == {check.name for check in exercise.checks}


@by_exercise
def test_complaints_about_mistakes_hold_no_value_that_was_drawn_or_expected(
    assignment: Assignment, exercise: Exercise, complaints
) -> None:
    said = {text for mistake in exercise.mistakes for text in complaints(exercise, mistake.function).values()}
    goal = re.compile(r"(\d\.\d) that the text states")
    text = "".join(c.source for c in percent.read(assignment.name).cells if c.cell_type == "markdown")
    assert all(number in text for complaint in said for number in goal.findall(complaint))
    tolerance = re.compile(r"and not to 1e-\d+:")  # how near is meant by equal, the same for every input
    bare = [tolerance.sub("", goal.sub("", complaint)) for complaint in said]
    assert [c for c in bare if re.search(r"\d\.\d|\[|e-\d", c)] == []


# --- Answers in their notebook


@by_assignment
def test_the_solved_notebook_runs_from_top_to_bottom_and_defines_every_exercise(
    assignment: Assignment, solved
) -> None:
    assert {exercise.name for exercise in assignment.exercises} <= solved(assignment.name).names.keys()


@by_assignment
def test_exercises_have_the_names_and_the_order_of_the_notebook_and_say_what_to_write(
    assignment: Assignment,
) -> None:
    cells = [cell for cell in percent.read(assignment.name).cells if "exercise" in cell.metadata]
    assert [cell.metadata.exercise for cell in cells] == [exercise.name for exercise in assignment.exercises]
    for cell in cells:
        assert f"def {cell.metadata.exercise}(" in cell.source
        assert '"""' in cell.source


@by_exercise
def test_the_notebook_s_solution_passes_every_check(
    assignment: Assignment, exercise: Exercise, solved, complaints
) -> None:
    answer = solved(assignment.name).names[exercise.name]
    assert [complaints(exercise, answer, seed) for seed in range(2)] == [{}] * 2


@pytest.mark.slow
@by_exercise
def test_mistakes_and_alternatives_need_nothing_of_the_notebook_but_its_imports(
    assignment: Assignment, exercise: Exercise, solved, complaints
) -> None:
    """Their sources stand in students' notebooks, whose other cells may hold anything."""
    for function in [*exercise.alternatives, *(mistake.function for mistake in exercise.mistakes)]:
        names = dict(solved(assignment.name).imports)
        exec(exercise.source(function), names)
        assert complaints(exercise, names[exercise.name]) == complaints(exercise, function), function.__name__


@by_exercise
def test_visible_tests_pass_whatever_is_right(assignment: Assignment, exercise: Exercise, solved) -> None:
    notebook = solved(assignment.name)
    visible = notebook.sources[f"{exercise.name}-tests"]
    exec(visible, notebook.before[exercise.name] | {exercise.name: exercise.reference})
    for alternative in exercise.alternatives:
        names = dict(notebook.before[exercise.name])
        exec(exercise.source(alternative), names)
        exec(compile(visible, alternative.__name__, "exec"), names)


@by_exercise
@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda *a: None, "{}.* returned None"),
        (lambda *a: np.zeros((7, 7, 7)), r"got .*(7|ndarray)|must return the tuple"),
    ],
    ids=["missing return", "wrong shape"],
)
def test_visible_tests_catch_a_missing_return_and_a_wrong_shape_with_a_message(
    assignment: Assignment, exercise: Exercise, answer, complaint: str, solved
) -> None:
    notebook = solved(assignment.name)
    with pytest.raises(AssertionError, match=complaint.format(exercise.name)):
        exec(
            notebook.sources[f"{exercise.name}-tests"],
            notebook.before[exercise.name] | {exercise.name: answer},
        )


# --- The assignment as a whole


@by_assignment
def test_points_add_to_90_and_every_exercise_has_alternatives_mistakes_and_hints(
    assignment: Assignment,
) -> None:
    assert 4 <= len(assignment.exercises) <= 7
    stated = percent.exercise_points(assignment.name)
    assert sum(stated.values()) == 100
    assert {exercise.name: exercise.points for exercise in assignment.exercises}.items() <= stated.items()
    assert sum(exercise.points for exercise in assignment.exercises) == 90  # and ten for the free text
    for exercise in assignment.exercises:
        assert len(exercise.alternatives) >= 3
        assert len(exercise.mistakes) >= 5
        assert all(mistake.hint.endswith(".") for mistake in exercise.mistakes), exercise.name
        assert assignment.name not in assignment.provides


@by_assignment
def test_the_sandbox_imports_beforehand_what_the_notebook_imports(assignment: Assignment) -> None:
    tree = ast.parse(percent.solution_of(assignment.name).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert set(assignment.imports) == imported - {"numpy"}


@pytest.fixture(scope="module", params=ASSIGNMENTS.values(), ids=list(ASSIGNMENTS))
def classroom(request: pytest.FixtureRequest) -> Iterator[tuple[Assignment, Sandbox]]:
    """Each assignment in turn, with a sandbox that provides what its notebook may import."""
    try:
        with Sandbox("auto", request.param.provides, request.param.imports) as sandbox:
            yield request.param, sandbox
    except NoIsolation as error:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise
        pytest.skip(f"no isolation on this machine: {error}")


def graded(data: bytes, classroom: tuple[Assignment, Sandbox]) -> Report:
    assignment, sandbox = classroom
    return judge(data, assignment, sandbox, b"a key").report


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_solution_scores_full_marks_and_an_unsolved_notebook_none(classroom) -> None:
    name = classroom[0].name
    solved = graded(solution_notebook(name), classroom)
    assert (solved.status, solved.score, solved.max_score, solved.notes) == ("graded", 90, 90, ())
    unsolved = graded(unsolved_notebook(name), classroom)
    assert (unsolved.status, unsolved.score) == ("graded", 0)
    assert all("not solved yet" in check.message for e in unsolved.exercises for check in e.checks)


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize("index", range(max(len(e.alternatives) for _, e in EXERCISES)))
def test_alternatives_score_full_marks(index: int, classroom) -> None:
    """One notebook carries one alternative of every exercise that has so many, its figures included."""
    assignment, sandbox = classroom
    exercises = tuple(e for e in assignment.exercises if index < len(e.alternatives))
    if not exercises:
        return
    answers = {e.name: e.source(e.alternatives[index]) for e in exercises}
    report = graded(
        notebook_with(assignment.name, answers),
        (dataclasses.replace(assignment, exercises=exercises), sandbox),
    )
    assert (report.score, report.notes) == (sum(e.points for e in exercises), ())


@pytest.fixture
def busy() -> Iterator[None]:
    """Four programs for each processor that do nothing but keep it."""
    command = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(command) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.usefixtures("busy")
def test_right_work_scores_full_marks_on_a_busy_machine_too(classroom) -> None:
    """The first alternatives in turn; every one, which takes long, where `EBM_BUSY` is set."""
    exercises = classroom[0].exercises
    most = max(len(e.alternatives) for e in exercises) if os.environ.get("EBM_BUSY") else 1
    for index in range(most):
        answers = {e.name: e.source(e.alternatives[index % len(e.alternatives)]) for e in exercises}
        report = graded(notebook_with(classroom[0].name, answers), classroom)
        assert (report.score, report.notes) == (90, ())


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize("index", range(max(len(e.mistakes) for _, e in EXERCISES)))
def test_a_mistake_fails_is_told_its_name_and_costs_no_other_exercise(index: int, classroom) -> None:
    """One notebook carries one mistake of every exercise that has so many."""
    exercises = classroom[0].exercises
    chosen = {e.name: e.mistakes[index] for e in exercises if index < len(e.mistakes)}
    if not chosen:
        return
    answers = {e.name: e.source(chosen[e.name].function) for e in exercises if e.name in chosen}
    report = graded(notebook_with(classroom[0].name, answers), classroom)
    for result in report.exercises:
        told = {check.mistake for check in result.checks if check.score < check.points}
        if result.name in chosen:
            assert result.score < result.points, result.name
            assert chosen[result.name].name in told, (result.name, told)
        else:
            assert result.score == result.points, result.name
