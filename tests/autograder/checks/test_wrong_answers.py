"""A corpus of wrong answers: no name is told that is not theirs.

Slips of the pen in the right alternatives, by the hundred. A run of the tests takes the first of each alternative,
`EBM_SLIPS` takes more, and `autograder selftest` all of them.
"""

import os

import pytest

from autograder.authoring.wrong import SLIPS, slips, told
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.exercises.exercise import Exercise

EXERCISES = [e for name in available_assignments() for e in assignment_named(name).exercises]
MOST = int(os.environ.get("EBM_SLIPS", "1"))


def test_the_corpus_holds_more_than_four_hundred_wrong_answers_and_one_of_nearly_every_exercise():
    found = {exercise.name: len(list(slips(exercise, SLIPS))) for exercise in EXERCISES}
    assert sum(found.values()) > 400
    assert {name for name, n in found.items() if n < 2} <= {"denoise", "sample_product", "train"}


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])
def test_a_slip_is_told_no_name_that_is_not_its_own(exercise: Exercise) -> None:
    found = [told(exercise, slip) for slip in slips(exercise, MOST)]
    assert [f"{one.slip}: {one.name}" for one in found if one.misleading] == []
    assert not found or sum(one.failed for one in found) >= len(found) / 2


def test_a_name_that_fits_some_inputs_alone_is_called_misleading() -> None:
    """The oracle itself: a slip that is a mistake only where it was tried."""
    import numpy as np

    from autograder.authoring.wrong import Slip

    exercise = Exercise("double", "Twice", lambda x: 2 * x)

    @exercise.check(1, "one number")
    def _(attempt):
        attempt.compare([(float(attempt.rng.integers(1, 3)),)])

    @exercise.mistake("Add.")
    def squares(x):
        return x * x + 1

    @exercise.mistake("Not three times.")
    def triples(x):
        return 3.0 * x if x != 1 else 2.0 * x

    first = next(seed for seed in range(20) if np.random.default_rng(seed).integers(1, 3) == 2)
    other = next(seed for seed in range(20) if np.random.default_rng(seed).integers(1, 3) == 1)
    slip = Slip("by hand", 1, "five for two and seven for one", lambda x: 5.0 if x == 2 else 7.0)
    assert told(exercise, slip, first, [other]).misleading
    assert told(exercise, slip, first, [first]).name == "squares"
