"""One rule in all exercises: a function leaves what it is given as it is, or loses the last check."""

import inspect

import numpy as np
import pytest

from autograder.authoring import percent
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.sandbox.worker import codec

ASSIGNMENTS = [assignment_named(name) for name in available_assignments()]
EXERCISES = [e for a in ASSIGNMENTS for e in a.exercises]
NUMBERS_AND_FUNCTIONS = ("volumes", "enumerate_log_z", "sample_product")
"""Exercises whose functions are given nothing that could be changed."""


def spoil(value) -> bool:
    """Change an argument in place, where something of it can be changed."""
    if isinstance(value, np.ndarray) and value.size:
        value.flat[0] = 1 - value.flat[0] if value.dtype.kind != "f" else value.flat[0] + 1
        return True
    if codec.is_tensor(value) and value.numel():
        value.view(-1)[0] += 1
        return True
    if isinstance(value, list):
        return sum(spoil(part) for part in value) > 0
    return False


def answer_that_spoils(exercise, place, once=False):
    """The reference, which then changes the argument at `place`; in its first call alone if `once`."""
    spoilt = []

    def answer(*args):
        value = exercise.reference(*args)
        if not (once and spoilt) and spoil(args[place]):
            spoilt.append(place)
        return value

    return answer, spoilt


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])
def test_an_argument_that_is_changed_costs_the_last_check_and_no_other(exercise, complaints):
    names = list(inspect.signature(exercise.reference).parameters)
    changeable = 0
    for place, name in enumerate(names):
        answer, spoilt = answer_that_spoils(exercise, place)
        said = complaints(exercise, answer)
        if spoilt:
            changeable += 1
            assert said.keys() == {exercise.checks[-1].name}, (name, said)
            assert f"changed its argument `{name}`" in said[exercise.checks[-1].name]
    assert changeable or exercise.name in NUMBERS_AND_FUNCTIONS


def test_a_change_in_any_call_is_seen_whichever_check_it_belongs_to(complaints):
    exercise = assignment_named("mcmc").exercise("langevin")
    answer, _ = answer_that_spoils(exercise, 0, once=True)
    assert complaints(exercise, answer).keys() == {exercise.checks[-1].name}


def test_asking_a_given_tensor_for_gradients_changes_it(complaints):
    exercise = assignment_named("contrastive_divergence").exercise("contrastive_loss")

    def answer(energy, parameters, *rest):
        value = exercise.reference(energy, parameters, *rest)
        for p in parameters:
            p.requires_grad_()
        return value

    assert "changed its argument `parameters`" in complaints(exercise, answer)[exercise.checks[-1].name]


@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=[a.name for a in ASSIGNMENTS])
def test_the_rule_stands_once_in_every_notebook(assignment):
    text = " ".join(
        c.source.replace("\n", " ")
        for c in percent.nbgrader_notebook(assignment.name).cells
        if c.cell_type == "markdown"
    )
    assert text.count(percent.RULE.replace("\n", " ")) == 1
    assert text.count(percent.WAYS.replace("\n", " ")) == 1
    assert "eave this array as it is" not in text
