"""The product-of-experts assignment: its references agree with the library, its laws are exact."""

import math

import numpy as np
import pytest
import torch

from autograder.checks.product_of_experts.definitions import (
    and_or_of,
    log_product_of,
    product_of_gaussians_of,
    weight_gradient_of,
)
from autograder.checks.product_of_experts.inputs import log_tables
from autograder.checks.product_of_experts.log_product import half_space, quadratic, wave
from autograder.checks.product_of_experts.product_of_gaussians import gaussians
from autograder.checks.product_of_experts.sample_product import LETTERS, Letters
from autograder.exercises.attempt import local
from autograder.exercises.sequential import Count
from ebmkit import product_of_experts as library
from ebmkit.energy import EnergyModel

# --- The references and the library agree


@pytest.mark.parametrize("size", [(1,), (3,), (4, 2), (2, 3, 5)])
def test_the_reference_of_the_gaussian_product_is_the_library_s(size):
    means, variances = gaussians(np.random.default_rng(0), size)
    theirs = library.product_of_gaussians(torch.tensor(means), torch.tensor(variances))
    for ours, value in zip(product_of_gaussians_of(means, variances), theirs):
        assert np.allclose(ours, value, rtol=1e-10)


def test_the_gaussian_reference_is_the_product_at_every_point():
    rng = np.random.default_rng(1)
    means, variances = gaussians(rng, (4,))
    mean, variance, log_z = product_of_gaussians_of(means, variances)
    for x in rng.normal(0, 3, 5):
        each = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (x - means) ** 2 / variances
        one = -0.5 * math.log(2 * math.pi * variance) - 0.5 * (x - mean) ** 2 / variance
        assert each.sum() == pytest.approx(log_z + one)


@pytest.mark.parametrize("M", [1, 2, 7])
def test_the_references_of_and_and_or_are_the_library_s(M):
    log_p = log_tables(np.random.default_rng(2), M, 5)
    log_p[0, 3] = -np.inf
    product, mixture = and_or_of(log_p)
    assert np.allclose(product, library.product_of_categoricals(torch.tensor(log_p)).log_prob.exp())
    assert np.allclose(mixture, library.mixture_of_categoricals(torch.tensor(log_p)).exp())


class Expert(EnergyModel):
    """A hidden check's expert as a model of the library."""

    event_shape = (2,)

    def __init__(self, function):
        super().__init__()
        self.function = function

    def energy(self, x):
        return -torch.as_tensor(self.function(x.numpy()))


def test_the_reference_of_the_log_product_is_minus_the_library_s_energy():
    rng = np.random.default_rng(3)
    experts = local([make(rng, 2) for make in (quadratic, wave, half_space)])
    x = rng.normal(0, 2, (20, 2))
    for weights in ([1.5, -0.3, 0.8], [0.5, 1.0, 0.0]):
        model = library.ProductOfExperts([Expert(e) for e in experts], weights)
        assert np.allclose(log_product_of(experts, weights, x), -model.energy(torch.tensor(x)))


def test_the_reference_of_the_weights_gradient_is_the_derivative_of_the_library_s_product():
    rng = np.random.default_rng(4)
    log_p, data = log_tables(rng, 3, 6), rng.integers(0, 6, 30)
    weights = torch.tensor(rng.uniform(0.3, 2.0, 3), requires_grad=True)
    likelihood = library.product_of_categoricals(torch.tensor(log_p), weights).log_prob[data].mean()
    (gradient,) = torch.autograd.grad(likelihood, weights)
    value, found = weight_gradient_of(log_p, weights.detach().numpy(), data)
    assert value == pytest.approx(likelihood.item())
    assert np.allclose(found, gradient)


# --- The exact laws that the checks rest on


def test_letters_are_proposed_and_accepted_as_their_law_says():
    """Fails by chance with probability below 1e-8: eight exact binomial tests at 1e-9."""
    letters = Letters(np.random.default_rng(5))
    propose, log_others = local(letters.arguments)
    x = propose(20_000, np.random.default_rng(6)).astype(int)
    seen = np.bincount(x, minlength=LETTERS)
    for hits, p in zip(seen, letters.first):
        assert Count("", int(hits), len(x), float(p)).p_value > 1e-9
    joint = letters.first * np.exp(log_others(np.arange(LETTERS)))
    assert np.allclose(joint / joint.sum(), letters.law)


@pytest.mark.parametrize("seed", range(20))
def test_a_rejection_sampler_finds_its_draws_soon(seed):
    """More than 15 % of the proposals are accepted: loops over single proposals end within the time limit."""
    letters = Letters(np.random.default_rng(seed))
    assert letters.first @ letters.accepts > 0.15


# --- The notebook


def test_the_notebook_s_ascent_gives_an_expert_and_its_copy_one_weight_together(solved):
    weights = solved("product_of_experts").names["weights"]
    assert weights[0] == pytest.approx(weights[1])
    assert weights[0] + weights[1] == pytest.approx(1, abs=0.1)
