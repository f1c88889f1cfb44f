"""The bias of contrastive divergence, enumerated."""

import pytest
import torch
from learner_cases import BITS, EXACT, dbm, log_likelihood, rbm

from ebmkit import enumeration
from ebmkit.boltzmann_machines import bit_states
from ebmkit.contrastive_divergence import (
    expected_cd_gradient,
    maximum_likelihood,
)
from ebmkit.testing import branches


@pytest.mark.parametrize("k", [1, 2])
def test_the_expected_cd_gradient_sums_over_every_path_of_the_gibbs_steps(k):
    model = rbm(3, 2)
    data = bit_states(3)[[1, 6, 6]]

    def steps(x, *, generator):
        for _ in range(k):
            x = model.gibbs_step(x, generator=generator)
        return x

    paths = branches(steps, data)
    negative = (paths.probability * model.energy(paths.outcome)).sum() / len(data)
    loss = model.energy(data).mean() - negative
    expected = dict(zip(("W", "a", "b"), torch.autograd.grad(loss, (model.W, model.a, model.b))))
    torch.testing.assert_close(expected_cd_gradient(model, data, k), expected, **EXACT)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_expected_cd_gradient_is_zero_where_the_data_are_the_models_distribution(k):
    model = rbm()
    weights = enumeration.probabilities(model).detach()
    gradient = expected_cd_gradient(model, enumeration.states(model), k, weights=weights)
    assert all(g.abs().max() < 1e-12 for g in gradient.values())
    other = expected_cd_gradient(rbm(seed=1), enumeration.states(model), k, weights=weights)
    assert max(g.abs().max() for g in other.values()) > 1e-3


def test_the_expected_cd_gradient_tends_to_the_likelihoods_at_the_second_eigenvalues_rate():
    model = rbm(seed=2)
    exact = maximum_likelihood(model, BITS).parameters
    eigenvalues = torch.linalg.eigvals(model.transition_matrix()).abs().sort(descending=True).values

    def bias(k):
        found = expected_cd_gradient(model, BITS, k)
        return torch.cat([(found[name] - exact[name]).flatten() for name in exact]).norm().item()

    assert bias(1) > 1e-2
    assert bias(9) / bias(8) == pytest.approx(eigenvalues[1].item(), rel=1e-3)
    assert all(bias(k + 1) < bias(k) for k in range(1, 8))


@pytest.mark.slow
def test_following_cd_1_ends_near_but_not_at_the_likelihoods_maximum():
    data = bit_states(3)[[0, 0, 0, 1, 3, 5, 6, 6, 7]]

    def ascended(gradient):
        model = rbm(3, 1, seed=3)
        for _ in range(1000):
            step = gradient(model)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter -= step[name]
        return log_likelihood(model, data)

    best = ascended(lambda model: maximum_likelihood(model, data).parameters)
    assert 1e-6 < best - ascended(lambda model: expected_cd_gradient(model, data)) < 0.05


def test_the_expected_cd_gradient_takes_any_kernels_matrix():
    model = rbm()
    matrix = model.transition_matrix()
    found = expected_cd_gradient(model, BITS, 2, transition=matrix @ matrix)
    torch.testing.assert_close(found, expected_cd_gradient(model, BITS, 4), **EXACT)
    with pytest.raises(TypeError, match="DBM does not know its transition matrix"):
        expected_cd_gradient(dbm(), bit_states(8)[:2])
    with pytest.raises(ValueError, match=r"must take the values \(0.0, 1.0\)"):
        expected_cd_gradient(model, BITS / 2)
