"""The comparison with other autograders is fair: the same work for all, right where it should be, and harmless."""

import ast
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from autograder.exercises.attempt import LocalAttempt

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def rivals():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("EBM_CHECKS", str(BENCHMARKS / "checks"))
        yield importlib.import_module("rivals")
        for name in ("rivals", "throughput", "checks", "checks.plain"):
            sys.modules.pop(name, None)


def test_the_attacks_are_many_different_and_of_several_families(rivals):
    attacks = rivals.attacks()
    assert len({attack.name for attack in attacks}) == len(attacks) >= 12
    assert len({attack.family for attack in attacks}) >= 4
    for attack in attacks:
        ast.parse(attack.source)


def test_everybody_gets_the_same_notebooks(rivals):
    corpus = rivals.ising()
    trials = rivals.trials(corpus)
    assert len(trials) == 2 + len(rivals.attacks()) + len(rivals.NOISE)
    graded = [f"{name}-tests" for name in corpus.points]
    for data in trials.values():
        cells = json.loads(data)["cells"]
        ids = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
        assert set(graded) <= set(ids)
        assert "BEGIN SOLUTION" not in "".join("".join(c["source"]) for c in cells[1:])


def test_habits_are_tried_on_the_same_right_work_and_those_left_out_say_why(rivals):
    solved = rivals.ising().notebook({})
    tried = [habit.name for habit in rivals.habits()]
    assert len(set(tried)) == len(tried) >= 80
    assert set(tried) | set(rivals.NOT_TRIED) == {habit.name for habit in rivals.WILD}
    assert not set(tried) & set(rivals.NOT_TRIED)
    assert all(rivals.NOT_TRIED.values())
    first = next(cell for cell in json.loads(solved)["cells"] if cell["cell_type"] == "code")
    assert "import numpy" in "".join(first["source"]), "habits stand in the cell that imports"


def test_noisy_work_is_right_work(rivals):
    corpus = rivals.ising()
    answer = corpus.answers()["energy"].split("### END")[0]
    for noise in rivals.NOISE.values():
        names: dict[str, object] = {"np": np}
        exec(rivals.NOISY.format(noise="pass" if "LOUD" in noise else noise), names)
        exec(answer, names)
        exec("energy = noisy(energy)", names)
        with pytest.warns(UserWarning, match="slow") if "warn" in noise else pytest.MonkeyPatch.context():
            assert names["energy"](np.ones((2, 2)), np.ones((2, 2)), 1.0, 0.0) == -4.0


@pytest.mark.parametrize("name", ["ising", "plain_functions"])
def test_the_plain_asserts_hold_for_the_solution_and_fail_for_nothing(rivals, name):
    corpus = getattr(rivals, name)()
    assert set(corpus.hidden) == set(corpus.points)
    names: dict[str, object] = {"np": np}
    for answer in corpus.answers().values():
        exec(answer, names)
    for asserts in corpus.hidden.values():
        exec(asserts, names)
    for exercise, asserts in corpus.hidden.items():
        with pytest.raises((AssertionError, TypeError, AttributeError, IndexError)):
            exec(asserts, names | {exercise: lambda *_: None})


def test_the_plain_assignment_accepts_its_reference(rivals):
    for exercise in rivals.plain.assignment.exercises:
        for check in exercise.checks:
            LocalAttempt.passes(exercise, check, exercise.reference, 1)
