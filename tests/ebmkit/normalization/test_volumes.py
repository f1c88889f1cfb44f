"""Closed forms and sums of exponentials against SciPy and torch."""

import math

import pytest
import torch
from density_cases import INF, generator
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from ebmkit import normalization as norm


@given(st.floats(0.05, 20))
def test_gaussian_and_exponential_volumes_match_scipy_quadrature(parameter):
    t = torch.tensor(parameter, dtype=torch.float64)
    gaussian = integrate.quad(
        lambda x: math.exp(-(x**2) / (2 * parameter**2)), -40 * parameter, 40 * parameter
    )
    exponential = integrate.quad(lambda x: math.exp(-parameter * x), 0, 40 / parameter)
    assert norm.gaussian_log_partition(t).exp().item() == pytest.approx(gaussian[0], rel=1e-7)
    assert norm.exponential_log_partition(t).exp().item() == pytest.approx(exponential[0], rel=1e-7)


def test_multivariate_gaussian_volume_is_the_product_along_the_principal_axes():
    a = torch.randn(4, 3, 3, generator=generator(), dtype=torch.float64)
    precision = a @ a.mT + torch.eye(3)
    axes = norm.gaussian_log_partition(torch.linalg.eigvalsh(precision) ** -0.5).sum(-1)
    torch.testing.assert_close(norm.multivariate_gaussian_log_partition(precision), axes)


def test_volumes_refuse_parameters_without_a_finite_integral():
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        norm.gaussian_log_partition(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="rate must be positive and finite"):
        norm.exponential_log_partition(torch.tensor(float("nan")))
    with pytest.raises(ValueError, match="positive definite"):
        norm.multivariate_gaussian_log_partition(torch.diag(torch.tensor([1.0, -1.0])))
    with pytest.raises(ValueError, match=r"must be symmetric .* got \[\[2.0, 1.0\], \[0.0, 2.0\]\]; .*mT"):
        norm.multivariate_gaussian_log_partition(torch.tensor([[2.0, 1.0], [0.0, 2.0]]))
    with pytest.raises(ValueError, match=r"shape \(..., D, D\), got \(2, 3\)"):
        norm.multivariate_gaussian_log_partition(torch.ones(2, 3))


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6), st.floats(-1e4, 1e4))
def test_log_sum_exp_moves_with_a_shift_and_equals_torch(terms, shift):
    x = torch.tensor(terms, dtype=torch.float64)
    torch.testing.assert_close(norm.log_sum_exp(x), torch.logsumexp(x, -1), rtol=1e-14, atol=1e-11)
    torch.testing.assert_close(
        norm.log_sum_exp(x + shift), norm.log_sum_exp(x) + shift, rtol=1e-12, atol=1e-11
    )


def test_log_sum_exp_treats_minus_infinity_as_zero_probability():
    x = torch.tensor([[-INF, -INF], [-INF, 2.0], [1e300, 0.0]], dtype=torch.float64)
    assert norm.log_sum_exp(x).tolist() == [-INF, 2.0, 1e300]
    assert norm.log_sum_exp(x, (0, 1)).item() == 1e300
    assert norm.log_sum_exp(x, keepdim=True).shape == (3, 1)


def test_gradient_of_log_sum_exp_is_the_softmax():
    x = torch.randn(4, 5, generator=generator(), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm.log_sum_exp(x).sum(), x)
    torch.testing.assert_close(gradient, x.softmax(-1))


def test_log_sum_exp_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one term"):
        norm.log_sum_exp(torch.zeros(3, 0))


def test_log_probabilities_of_bits_are_torchs():
    logits = torch.linspace(-30, 30, 7, dtype=torch.float64).expand(2, 7)
    x = torch.stack([torch.zeros(7), torch.ones(7)]).double()
    each = torch.distributions.Bernoulli(logits=logits).log_prob(x)
    torch.testing.assert_close(norm.bernoulli_log_prob(x, logits), each)
