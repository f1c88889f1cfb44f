"""The Boltzmann machine assignment: its references agree with the library, and its laws are exact."""

import itertools

import numpy as np
import pytest
import torch

from autograder.checks.boltzmann_machines.definitions import (
    all_bits,
    conditionals_of,
    dbm_energy_of,
    energies_of,
    gibbs_step_of,
    log_likelihood_of,
    mean_field_pass_of,
)
from autograder.checks.boltzmann_machines.gibbs_step import (
    FEATURES,
    N_HIDDEN,
    N_VISIBLE,
    probabilities,
    random_step,
)
from autograder.checks.boltzmann_machines.inputs import deep_machine, machine
from autograder.exercises.sequential import Count
from ebmkit import boltzmann_machines as library


def rbm_of(a, b, W):
    model = library.RBM(*W.shape, dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in ((model.a, a), (model.b, b), (model.W, W)):
            parameter.copy_(torch.tensor(value))
    return model


def dbm_of(biases, weights):
    model = library.DBM([len(b) for b in biases], dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in zip([*model.biases, *model.weights], [*biases, *weights]):
            parameter.copy_(torch.tensor(value))
    return model


# --- The references against the library


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_energies_conditionals_and_likelihood_are_the_librarys(scale):
    v, h, *parameters = machine(np.random.default_rng(1), 6, 5, 3, scale)
    model = rbm_of(*parameters)
    x, y = torch.tensor(v), torch.tensor(h)
    with torch.no_grad():
        E, F = energies_of(v, h, *parameters)
        assert np.allclose(E, model.joint_energy(x, y))
        assert np.allclose(F, model.energy(x))
        p_h, p_v = conditionals_of(v, h, *parameters)
        assert np.allclose(p_h, model.hidden_probability(x))
        assert np.allclose(p_v, model.visible_probability(y))
        fit = -model.energy(x).mean() - model.exact_log_partition()
    assert log_likelihood_of(v, *parameters) == pytest.approx(float(fit))


def test_the_library_steps_with_the_law_of_the_sampler_s_check():
    """p(v' | v), summed over the hidden states, is the library's transition matrix."""
    step = random_step(np.random.default_rng(2))
    P = rbm_of(step.a, step.b, step.W).transition_matrix().numpy()
    states = library.bit_states(N_VISIBLE).numpy()
    rows = [int(np.flatnonzero((states == start).all(1))[0]) for start in step.starts]
    columns = [int(np.flatnonzero((states == v).all(1))[0]) for v in all_bits(N_VISIBLE)]
    assert np.allclose(step.law().sum(1), P[np.ix_(rows, columns)])


@pytest.mark.parametrize("sizes", [[3, 2], [3, 4, 2], [2, 3, 2, 4], [2, 1, 3, 2, 2]])
def test_the_deep_energy_is_the_librarys(sizes):
    layers, biases, weights = deep_machine(np.random.default_rng(3), sizes, 5)
    model = dbm_of(biases, weights)
    with torch.no_grad():
        theirs = model.energy(model.join([torch.tensor(x) for x in layers]))
    assert np.allclose(dbm_energy_of(layers, biases, weights), theirs)


def test_a_pass_of_mean_field_is_the_librarys_and_repeated_raises_its_bound():
    """With two hidden layers the library visits them in the same order, from means of one half."""
    layers, biases, weights = deep_machine(np.random.default_rng(4), [4, 3, 2], 5)
    model = dbm_of(biases, weights)
    means = [layers[0], np.full((5, 3), 0.5), np.full((5, 2), 0.5)]
    bounds = []
    for k in range(1, 6):
        means = [layers[0], *mean_field_pass_of(means, biases, weights)]
        theirs = model.mean_field(torch.tensor(layers[0]), n_steps=k, tolerance=0.0)
        assert np.allclose(np.concatenate(means, 1), theirs)
        hidden = np.concatenate(means[1:], 1)
        entropy = -(hidden * np.log(hidden) + (1 - hidden) * np.log1p(-hidden)).sum(1)
        bounds.append(entropy - dbm_energy_of(means, biases, weights))
    assert (np.diff(bounds, axis=0) > -1e-12).all()


# --- The exact laws that the checks rest on


def test_the_law_of_a_step_is_a_law_and_keeps_the_boltzmann_distribution():
    step = random_step(np.random.default_rng(5))
    v = all_bits(N_VISIBLE)
    everywhere = step._replace(starts=v).law()
    assert np.allclose(everywhere.sum((1, 2)), 1)
    _, free = energies_of(v, np.zeros((len(v), N_HIDDEN)), step.a, step.b, step.W)
    p = np.exp(-free) / np.exp(-free).sum()
    assert np.allclose(p @ everywhere.sum(1), p)


def test_the_reference_steps_with_that_law():
    """Fails by chance with probability below 36 · 1e-9: exact binomial tests of all features."""
    step = random_step(np.random.default_rng(6))
    n = 4000
    h, v = gibbs_step_of(np.repeat(step.starts, n, axis=0), step.a, step.b, step.W, np.random.default_rng(7))
    h_code, v_code = (h @ [2, 1]).astype(int).reshape(3, n), (v @ [4, 2, 1]).astype(int).reshape(3, n)
    expected = probabilities(step.law())
    for start, (k, (_, indicator)) in itertools.product(range(3), enumerate(FEATURES)):
        hits = int(indicator[h_code[start], v_code[start]].sum())
        assert Count("", hits, n, float(expected[start, k])).p_value > 1e-9


def test_enumeration_of_either_layer_gives_one_z():
    _, _, a, b, W = machine(np.random.default_rng(8), 1, 4, 6)
    v = all_bits(4)
    log_p = [log_likelihood_of(row[None], a, b, W) for row in v]
    assert np.exp(log_p).sum() == pytest.approx(1)
    v = all_bits(6)
    log_p = [log_likelihood_of(row[None], b, a, W.T) for row in v]
    assert np.exp(log_p).sum() == pytest.approx(1)
