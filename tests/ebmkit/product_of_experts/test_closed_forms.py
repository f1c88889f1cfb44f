"""Closed forms of products and mixtures against their factors and enumeration."""

import pytest
import torch
from expert_cases import D, randn, random_table
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from ebmkit import enumeration
from ebmkit import product_of_experts as poe


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_gaussian_product_equals_its_factors_at_every_point(seed, m, d):
    means = randn(2, m, d, seed=seed)
    a = randn(2, m, d, d, seed=seed + 1)
    covariances = a @ a.mT + 0.5 * torch.eye(d, dtype=D)
    weights = randn(2, m, seed=seed + 2).exp()
    mean, covariance, log_z = poe.product_of_multivariate_gaussians(means, covariances, weights)
    x = randn(2, d, seed=seed + 3)
    factors = distributions.MultivariateNormal(means, covariances).log_prob(x.unsqueeze(1))
    product = distributions.MultivariateNormal(mean, covariance).log_prob(x)
    torch.testing.assert_close((weights * factors).sum(-1), log_z + product, rtol=1e-8, atol=1e-8)


def test_precisions_add_and_a_weight_below_zero_takes_one_away():
    means, variances = torch.tensor([1.0, 3.0], dtype=D), torch.tensor([0.5, 2.0], dtype=D)
    both = poe.product_of_gaussians(means, variances)
    assert 1 / both.covariance.item() == pytest.approx(1 / 0.5 + 1 / 2.0)
    assert both.mean.item() == pytest.approx((1 / 0.5 + 3 / 2.0) / (1 / 0.5 + 1 / 2.0))
    again = poe.product_of_gaussians(
        torch.stack([both.mean, means[1]]),
        torch.stack([both.covariance, variances[1]]),
        torch.tensor([1.0, -1.0]),
    )
    assert (again.mean.item(), again.covariance.item()) == pytest.approx((1.0, 0.5))


def test_gaussian_products_that_cannot_be_normalized_are_refused():
    one = torch.ones(2, dtype=D)
    with pytest.raises(ValueError, match="add to a positive definite one"):
        poe.product_of_gaussians(one, one, torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="must be symmetric and positive definite"):
        poe.product_of_gaussians(one, torch.tensor([1.0, -1.0], dtype=D))
    with pytest.raises(ValueError, match=r"must be symmetric and positive definite, got .*1.0, 0.0, 2.0"):
        poe.product_of_multivariate_gaussians(one[None], torch.tensor([[[2.0, 1.0], [0.0, 2.0]]], dtype=D))
    with pytest.raises(ValueError, match="M ≥ 1"):
        poe.product_of_gaussians(one[:0], one[:0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_categorical_closed_forms_equal_the_enumerated_models(seed, m):
    experts = [random_table(seed + i) for i in range(m)]
    log_probs = torch.stack([e.p.log() for e in experts])
    weights = randn(m, seed=seed).exp()
    product = poe.product_of_categoricals(log_probs, weights)
    model = poe.ProductOfExperts(experts, weights)
    torch.testing.assert_close(product.log_prob.exp(), enumeration.probabilities(model))
    torch.testing.assert_close(product.log_partition, enumeration.log_partition(model))
    mixture = poe.mixture_of_categoricals(log_probs, weights)
    torch.testing.assert_close(mixture.exp(), enumeration.probabilities(poe.Mixture(experts, weights)))


def test_categoricals_that_contradict_each_other_have_no_product():
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log()
    with pytest.raises(ValueError, match="no category is allowed by every expert"):
        poe.product_of_categoricals(certain)
    assert poe.mixture_of_categoricals(certain).exp().tolist() == [0.5, 0.5]
    only_first = poe.product_of_categoricals(certain, torch.tensor([1.0, 0.0]))
    assert only_first.log_prob.exp().tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="not negative"):
        poe.product_of_categoricals(certain, torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="nor all zero"):
        poe.mixture_of_categoricals(certain, torch.zeros(2))
