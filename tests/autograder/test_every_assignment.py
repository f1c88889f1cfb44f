"""What holds for every assignment: right code passes however it is written, mistakes fail and are named.

`EBM_SEEDS` says on how many seeds right and wrong code is tried here; `make selftest` takes two hundred.
A correct sampler fails a check by chance with probability at most 1e-9, so all of this fails by chance below 1e-5.
"""

import ast
import dataclasses
import os
import sys
from collections.abc import Iterator

import pytest

from autograder import percent
from autograder.exercise import Assignment, Exercise, Function, LocalAttempt, Wrong
from autograder.judge import available_assignments, judge, load_assignment
from autograder.report import Report
from autograder.samples import notebook_with, solution_notebook, unsolved_notebook
from autograder.sandbox import NoIsolation, Sandbox
from autograder.selftest import selftest

SEEDS = range(int(os.environ.get("EBM_SEEDS", "20")))
ASSIGNMENTS = {name: load_assignment(name) for name in available_assignments()}
EXERCISES = [(a, e) for a in ASSIGNMENTS.values() for e in a.exercises]
by_exercise = pytest.mark.parametrize(
    ("assignment", "exercise"), EXERCISES, ids=[f"{a.name}-{e.name}" for a, e in EXERCISES]
)


@pytest.mark.slow
@by_exercise
def test_right_code_passes_on_every_seed_and_every_mistake_fails_and_is_named(
    assignment: Assignment, exercise: Exercise
) -> None:
    table = selftest(dataclasses.replace(assignment, exercises=(exercise,)), SEEDS, naming_seeds=2)
    assert table.holds, str(table)


def failed_checks(exercise: Exercise, function: Function) -> frozenset[str]:
    failed = set()
    for check in exercise.checks:
        try:
            LocalAttempt.passes(exercise, check, function, seed=0)
        except Wrong:
            failed.add(check.name)
    return frozenset(failed)


@by_exercise
def test_right_code_passes_every_check_and_every_mistake_fails_one(
    assignment: Assignment, exercise: Exercise
) -> None:
    for function in (exercise.reference, *exercise.alternatives):
        assert failed_checks(exercise, function) == frozenset(), function.__name__
    failed = {mistake.name: failed_checks(exercise, mistake.function) for mistake in exercise.mistakes}
    assert all(failed.values()), failed
    assert frozenset.union(*failed.values()) == {check.name for check in exercise.checks}
    if (
        exercise.name != "train"
    ):  # whose checks are goals further and further up; its own tests climb half way
        assert len(set(failed.values())) >= 2, (
            "every mistake fails the same checks: there is no partial credit"
        )


@pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
def test_points_add_to_90_and_every_exercise_has_alternatives_mistakes_and_hints(
    assignment: Assignment,
) -> None:
    assert 4 <= len(assignment.exercises) <= 6
    stated = percent.exercise_points(assignment.name)
    assert sum(stated.values()) == 100
    assert {exercise.name: exercise.points for exercise in assignment.exercises}.items() <= stated.items()
    assert sum(exercise.points for exercise in assignment.exercises) == 90  # and ten for the free text
    for exercise in assignment.exercises:
        assert len(exercise.alternatives) >= 3
        assert len(exercise.mistakes) >= 5
        assert all(mistake.hint.endswith(".") for mistake in exercise.mistakes), exercise.name
        assert assignment.name not in assignment.provides


@pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
def test_the_sandbox_imports_beforehand_what_the_notebook_imports(assignment: Assignment) -> None:
    tree = ast.parse((percent.SOLUTIONS / f"{assignment.name}.py").read_text())
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
    """One notebook carries one alternative of every exercise, its figures included."""
    exercises = classroom[0].exercises
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
