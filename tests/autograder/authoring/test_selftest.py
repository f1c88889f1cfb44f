"""The grader's own examination notices what it is there to notice."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from autograder.authoring import percent
from autograder.authoring.hostile import ATTACKS, LEAK, Attack
from autograder.authoring.selftest import attacked, endured, selftest
from autograder.authoring.wild import WILD, Wild
from autograder.exercises.exercise import Assignment, Exercise

SOLUTION = """# %% exercise="double"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% tests="double" points=100
assert double(1) == 2
"""


def double(x):
    return 2 * x


def twice_by_adding(x):
    return x + x


def twice_by_shifting(x):
    return x * 4 / 2


def twice_by_halving(x):
    return x / 0.5


def triples(x):
    return 3 * x


def squares(x):
    return x * x


def halves(x):
    return x / 2


def negates(x):
    return -2 * x


def forgets_to_double(x):
    return x


def doubles_small_numbers_only(x):
    return 2 * x if x < 1e6 else x


MISTAKES = (triples, squares, halves, negates, forgets_to_double)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """An assignment of one exercise for which everything is as it should be."""
    monkeypatch.setattr(percent, "solution_of", lambda name: tmp_path / f"{name}.py")
    (tmp_path / "toy.py").write_text(SOLUTION)
    exercise = Exercise("double", "Twice", double)

    @exercise.check(100, "random numbers")
    def _(attempt):
        attempt.compare([(float(x),) for x in attempt.rng.normal(size=5)])

    for function in (twice_by_adding, twice_by_shifting, twice_by_halving):
        exercise.alternative(function)
    for function in MISTAKES:
        exercise.mistake("Multiply by 2.")(function)
    return Assignment("toy", (exercise,))


def test_a_sound_assignment_holds_and_its_table_says_so(toy):
    table = selftest(toy, range(5))
    assert table.holds, str(table)
    assert "toy: holds" in str(table)
    assert {row.verdict for row in table.rows if row.kind == "mistake"} == {"rejected"}
    assert all(row.named == row.naming_seeds == 5 for row in table.rows if row.kind == "mistake")
    assert [row.name for row in table.rows][:2] == ["double", "twice by adding"]


def test_a_mistake_that_the_checks_let_through_is_found(toy):
    toy.exercises[0].mistake("Large numbers too.")(doubles_small_numbers_only)
    table = selftest(toy, range(3))
    assert not table.holds
    assert [row.name for row in table.wrong()] == ["doubles small numbers only"]
    assert table.wrong()[0].verdict == "accepted"


def test_a_correct_alternative_that_a_check_fails_is_found(toy):
    toy.exercises[0].alternative(triples)
    table = selftest(toy, range(3))
    assert [row.kind for row in table.wrong()] == ["alternative"]
    assert "✗ alternative" in str(table)


def test_a_mistake_that_hides_behind_another_name_is_found(toy):
    def also_triples(x):
        return x + x + x

    toy.exercises[0].mistake("Three is not two.")(also_triples)
    row = next(row for row in selftest(toy, range(3)).rows if row.name == "also triples")
    assert not row.holds
    assert (row.named, row.misnamed) == (0, 3)


def test_what_an_exercise_lacks_is_named(toy):
    exercise = toy.exercises[0]
    exercise.alternatives.pop()
    exercise.mistakes[:2] = [dataclasses.replace(exercise.mistakes[0], hint=" ")]
    exercise.checks[0] = dataclasses.replace(exercise.checks[0], tries="", points=90)
    faults = " / ".join(selftest(toy, range(1)).faults)
    for complaint in (
        "2 alternatives",
        "4 mistakes",
        "'triples' has no hint",
        "does not say what it tries",
        "its cell gives 100 points and its checks 90",
    ):
        assert complaint in faults


def test_points_that_do_not_add_to_100_are_named(toy):
    path = percent.solution_of("toy")
    path.write_text(
        path.read_text() + '\n# %% [markdown] question="why" points=5\n'
        "# ### BEGIN SOLUTION\n# Because.\n# ### END SOLUTION\n"
    )
    table = selftest(toy, range(1))
    assert table.faults == ("the points add to 105; course.toml demands 100",)
    assert not table.holds


def test_a_broken_check_is_not_taken_for_a_verdict(toy):
    @toy.exercises[0].check(0.5, "a fault of ours")
    def _(attempt):
        np.zeros(2) @ np.zeros(3)

    with pytest.raises(ValueError, match="mismatch"):
        selftest(toy, range(1))


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.xdist_group("sandbox")
def test_habits_stand_in_the_table_and_one_that_costs_points_is_named(toy, sandbox, notebook, monkeypatch):
    solved = notebook("import numpy as np", "def double(x):\n    return 2 * np.asarray(x)")
    monkeypatch.setattr("autograder.authoring.selftest.solution_notebook", lambda name: solved)
    harmless = [wild for wild in WILD if wild.family == "streams"]
    table = dataclasses.replace(selftest(toy, range(1)), wild=endured(toy, harmless, sandbox))
    assert table.holds
    assert f"wild streams {len(harmless)} habits 0 points lost accepted" in words(table)

    def emptied(tree):
        tree["cells"].clear()

    table = dataclasses.replace(table, wild=endured(toy, [Wild("cells", "nothing left", emptied)], sandbox))
    assert not table.holds
    assert "✗ wild cells 1 habits 100 points lost COSTS POINTS: nothing left" in words(table)


def words(table):
    return " ".join(str(table).split())


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.xdist_group("sandbox")
def test_attacks_stand_in_the_table_and_one_that_gains_or_reads_something_is_named(toy, sandbox):
    known = {attack.name: attack for attack in ATTACKS}
    futile = [
        known[name] for name in ("equal to everything", "prints a score", "float subclass", "exits hard")
    ]
    table = dataclasses.replace(selftest(toy, range(1)), hostile=attacked(toy, futile, sandbox))
    assert table.holds
    assert [(family.attacks, family.points) for family in table.hostile] == [(2, 0), (1, 0), (1, 0)]
    assert "hostile lie with objects 2 attacks 0 points gained rejected" in words(table)

    gains = Attack("lie with objects", "answers", "answer_with(lambda x: 2 * x)")
    reads = Attack("read the secret", "reads", "leak(1)")
    table = dataclasses.replace(table, hostile=attacked(toy, [*futile, gains, reads], sandbox))
    assert not table.holds
    assert "✗ hostile lie with objects 3 attacks 100 points gained SUCCEEDED: answers" in words(table)
    assert "✗ hostile read the secret 1 attacks 0 points gained SUCCEEDED: reads" in words(table)


@pytest.mark.parametrize(("init", "leaks"), [(None, False), ("", True)])
def test_an_empty_folder_in_place_of_the_autograder_is_no_leak_and_the_autograder_is(tmp_path, init, leaks):
    (attack,) = (attack for attack in ATTACKS if attack.name == "imports the autograder")
    (tmp_path / "autograder").mkdir()
    if init is not None:
        (tmp_path / "autograder" / "__init__.py").write_text(init)
    cells = [cell["source"] for cell in json.loads(attack.notebook(["double"]))["cells"]]
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]\n" + "\n".join(map("".join, cells))
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert (LEAK in ran.stdout) is leaks
