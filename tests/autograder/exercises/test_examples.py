"""The public example of a failed check: it can be run, it is right, and it holds nothing of the student's."""

import math

import numpy as np
import pytest
import torch

from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.exercises.examples import example_of

EXERCISES = [e for name in available_assignments() for e in assignment_named(name).exercises]


def examples_of(exercise, function, seed=5):
    tried = exercise.tried(function, lambda check: seed)
    return [found for t in tried if t.complaint and (found := example_of(exercise, t.check, t.attempt))]


def run(example, exercise, function):
    """What the first line gives with `function` as the answer, and what the second says."""
    call, told = example.split("\n# must give ")
    names = {"np": np, "torch": torch, "math": math, exercise.name: function}
    return eval(call, names), eval(told, names)


@pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])
def test_an_example_can_be_run_in_the_notebook_and_says_what_is_right(exercise):
    for mistake in exercise.mistakes[:3]:
        for example in examples_of(exercise, mistake.function):
            if "default_rng" in example or "Generator" in example:
                continue  # where chance has no choice the values are told, where it has none are
            found, told = run(example, exercise, exercise.reference)
            assert close(found, told), example
            assert len(example) < 2500


def close(found, told):
    if isinstance(told, tuple | list):
        return len(found) == len(told) and all(close(a, b) for a, b in zip(found, told))
    found, told = (x.detach() if hasattr(x, "detach") else x for x in (found, told))
    return np.allclose(np.asarray(found), np.asarray(told), rtol=1e-3, atol=1e-4, equal_nan=True)


def test_most_mistakes_of_deterministic_exercises_show_on_their_example():
    shown = wrong = 0
    for exercise in EXERCISES:
        for mistake in exercise.mistakes[:3]:
            for example in examples_of(exercise, mistake.function)[:1]:
                if "default_rng" in example or "Generator" in example:
                    continue
                shown += 1
                try:
                    with np.errstate(all="ignore"):
                        found, told = run(example, exercise, mistake.function)
                    wrong += not close(found, told)
                except (ArithmeticError, TypeError, ValueError):
                    wrong += 1
    assert shown > 50
    assert wrong >= 0.9 * shown


def test_an_example_depends_on_nothing_that_counted():
    """Other hidden inputs, and another wrong answer that fails at the same place: the same example."""
    exercise = assignment_named("ising").exercise("energy")
    first = examples_of(exercise, lambda *a: 1e6, seed=1)
    assert first
    assert first == examples_of(exercise, lambda *a: -123456.0, seed=2)
    assert not any("1e6" in example or "123456" in example for example in first)


def test_a_call_that_raised_has_an_example_too():
    exercise = assignment_named("ising").exercise("energy")
    assert examples_of(exercise, lambda *a: a[0][99])[0].startswith("energy(np.array(")
    assert close(*run(examples_of(exercise, lambda *a: a[0][99])[0], exercise, exercise.reference))


def test_a_tuple_of_another_length_is_told_its_length():
    from autograder.exercises.values import shape_complaint

    assert shape_complaint((1.0, 2.0), (0.0, 0.0, 0.0)).endswith(
        "returned a tuple of 2; expected a tuple of 3 values"
    )
