"""Whatever a function returns, to look for the mistake that it behaves like costs nobody the verdict."""

import numpy as np

from autograder.exercises.attempt import LocalAttempt, Wrong
from autograder.exercises.exercise import Tried
from autograder.exercises.likeness import matching_mistake
from autograder.exercises.sequential import Count

ODD = {
    "no rows, many columns": np.zeros((0, 1 << 40)),
    "many rows, no columns": np.zeros((5, 0)),
    "no numbers": np.zeros((0,)),
    "no number in a pair": (np.zeros((0, 3)), 1.0),
    "no dimension": np.array(1.0),
    "an integer beyond floats": 10**400,
    "integers beyond floats": [10**400, 1],
    "integers beyond arrays": [2**70, -(2**70)],
    "not numbers": np.full((200, 3), np.nan),
    "infinite": np.full((200, 3), np.inf),
    "as large as can be": np.full((200, 3), 1.7e308),
    "complex": np.full(3, 1j),
    "texts": np.array(["right"] * 3),
    "ragged": [[1.0], [1.0, 2.0]],
    "deep": [[[[[[1.0]]]]]],
    "named": {"x": 1.0, "samples": np.zeros((0, 2))},
    "truth": True,
    "text": "1.0",
    "nothing in a list": [None, None],
    "many dimensions": np.zeros((1,) * 32),
}


def tried_with(exercise, value):
    """What the judge keeps of a function that returns one value whatever it is asked."""
    tried = []
    for check in exercise.checks:
        attempt, complaint = LocalAttempt(exercise, lambda *a, **k: value, 7), ""
        try:
            exercise.run(check, attempt)
        except Wrong as error:
            complaint = str(error)
        except Exception:  # the judge finds that the check is sound, and says so
            complaint = "a value that could not be checked"
        tried.append(Tried(check, 7, attempt, complaint))
    return tried


def test_no_value_however_odd_makes_the_search_for_a_mistake_raise(toy):
    exercise = toy.exercises[0]
    for name, value in ODD.items():
        tried = tried_with(exercise, value)
        assert all(one.complaint for one in tried), name
        assert matching_mistake(exercise, tried) is None, name


def test_values_beside_counts_that_nothing_compares_are_like_no_mistake(toy):
    """As where a function returns the right draws and something odd beside them."""
    exercise, odd = toy.exercises[0], list(ODD.values())
    tried = tried_with(exercise, 0.0)
    for value in odd:
        for one in tried:
            one.attempt.counts = (Count("a value above one", 5, 10, 0.5),)
            one.attempt.values = [value, (value, value)]
        assert matching_mistake(exercise, tried) is None
