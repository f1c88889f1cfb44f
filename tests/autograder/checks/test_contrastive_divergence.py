"""The contrastive divergence assignment: its references agree with the library, its laws are exact."""

import numpy as np
import pytest
import torch

from autograder.checks.contrastive_divergence.definitions import (
    bit_states,
    contrast,
    exact_gradient_of,
    gibbs_of,
    log_likelihood_of,
    statistics,
    train_of,
)
from autograder.checks.contrastive_divergence.inputs import machine, sure_machine, telling_start
from autograder.checks.contrastive_divergence.train import LEARNED, bars_and_stripes, train
from autograder.exercises.attempt import LocalAttempt
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.draws import bits
from ebmkit import boltzmann_machines, contrastive_divergence, data


def rbm_of(theta):
    """The library's machine with these parameters."""
    model = boltzmann_machines.RBM(*theta.W.shape, dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in zip((model.a, model.b, model.W), theta):
            parameter.copy_(torch.tensor(value))
    return model


def minus(gradient):
    """The library descends minus the likelihood."""
    return [-gradient[name].numpy() for name in "abW"]


# --- The references and the library agree


@pytest.mark.parametrize(("n", "m", "B"), [(1, 1, 1), (4, 3, 5), (3, 6, 2)])
def test_the_reference_of_the_exact_gradient_is_the_library_s(n, m, B):
    rng = np.random.default_rng(0)
    theta, v = machine(rng, n, m), bits(rng, B, n)
    theirs = minus(contrastive_divergence.maximum_likelihood(rbm_of(theta), torch.tensor(v)).parameters)
    for ours, value in zip(exact_gradient_of(v, *theta), theirs):
        assert np.allclose(ours, value, rtol=1e-9, atol=1e-12)


def test_the_reference_of_the_log_likelihood_is_the_library_s():
    rng = np.random.default_rng(1)
    theta, v = machine(rng, 5, 4), bits(rng, 7, 5)
    model, x = rbm_of(theta), torch.tensor(v)
    expected = (-model.energy(x).mean() - model.exact_log_partition()).item()
    assert log_likelihood_of(v, *theta) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_law_of_the_chains_gives_the_gradient_that_the_library_expects_of_cd(k):
    """E[CD-k] from the exact law of the chain's end, against the library's enumeration of all paths."""
    theta, start = telling_start(np.random.default_rng(2))
    law = np.linalg.matrix_power(theta.step_law(), k)[int(start @ [4, 2, 1])]
    states = bit_states(3)
    negative = statistics(states, theta.b, theta.W, law)
    ours = contrast(statistics(start[None], theta.b, theta.W), negative)
    theirs = contrastive_divergence.expected_cd_gradient(rbm_of(theta), torch.tensor(start[None]), k)
    for value, expected in zip(ours, minus(theirs)):
        assert np.allclose(value, expected)


def test_the_exact_law_of_a_step_is_the_library_s():
    theta = machine(np.random.default_rng(3), 4, 3)
    assert np.allclose(theta.step_law(), rbm_of(theta).transition_matrix())


def test_the_pictures_are_the_library_s():
    theirs = data.bars_and_stripes(3).reshape(14, 9).numpy()
    assert {tuple(p) for p in bars_and_stripes()} == {tuple(p) for p in theirs}


# --- The inputs are what their descriptions say


@pytest.mark.parametrize("seed", range(10))
def test_a_sure_machine_has_no_choice(seed):
    rng = np.random.default_rng(seed)
    theta = sure_machine(rng, 5, 4)
    fields = theta.b + bit_states(5) @ theta.W, theta.a + bit_states(4) @ theta.W.T
    assert min(abs(f).min() for f in fields) >= 40
    v = bits(rng, 8, 5)
    assert np.array_equal(*(gibbs_of(v, *theta, np.random.default_rng(s)) for s in (1, 2)))


def test_independent_pixels_do_not_come_near_the_goals():
    pictures = bars_and_stripes()
    start = np.zeros(9), np.zeros(1), np.zeros((9, 1))
    assert np.allclose(pictures.mean(axis=0), 0.5)
    assert log_likelihood_of(pictures, *start) == pytest.approx(-9 * np.log(2))
    assert -9 * np.log(2) + 1 < LEARNED


# --- Partial credit


def test_training_half_way_gets_the_points_for_half_way(complaints):
    """Fewer steps of the solution reach -4.5 and not -3.5."""

    def half_way(data, n_hidden, rng):
        a, b, W = train_of(data, n_hidden, rng)
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            reached = log_likelihood_of(data, middle * a, middle * b, middle * W)
            low, high = (middle, high) if reached < -4.0 else (low, middle)
        return low * a, low * b, low * W

    assert list(complaints(train, half_way)) == ["train.2", "train.3"]


@pytest.mark.parametrize(
    ("name", "value"), [("returns the start", -6.24), ("learns without a negative phase", None)]
)
def test_who_misses_the_goal_is_told_what_was_reached_on_the_pictures_of_the_notebook(name, value):
    """In words of three lines; what hidden pictures reach is told nobody."""
    exercise = assignment_named("contrastive_divergence").exercise("train")
    (mistake,) = [m for m in exercise.mistakes if m.name == name]
    first, goal, last = exercise.example(LocalAttempt(exercise, mistake.function, 0)).splitlines()
    assert first.startswith("train(pictures, 16, rng)")
    assert goal.endswith("-3.5")
    reached = float(last.removeprefix("# your function reached "))
    assert reached < -3.5
    assert value is None or abs(reached - value) < 0.1
