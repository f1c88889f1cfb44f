"""Gammas and betas: means and draws over many orders of magnitude."""

import math

import pytest
import torch
from family_cases import distance, generator, t
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ebmkit import exponential_families as ef

SHAPES = st.floats(0.01, 1e4)


@settings(max_examples=40, deadline=None)
@given(SHAPES, SHAPES)
def test_gamma_and_beta_means_invert_over_six_orders_of_magnitude(a, b):
    for family in (ef.Gamma(), ef.Beta()):
        mean = family.mean_parameters(family.natural(t(a)[0], t(b)[0]))
        if bool(family.in_mean_domain(mean)):
            again = family.mean_parameters(family.natural_parameters(mean))
            torch.testing.assert_close(again, mean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [1e-3, 0.2, 1.0, 50.0])
def test_gamma_samples_are_right_for_small_and_large_shapes(shape):
    samples = ef.Gamma().sample(t(shape - 1, -1.0), (20_000,), generator=generator(2))
    # What underflows (half of all where the shape is 1e-3) is the smallest float, and counts there.
    assert distance(samples, stats.gamma(shape).cdf) < 0.03


F64 = torch.float64


@pytest.mark.parametrize(
    ("mean", "variance", "dtype"), [(2000.0, 1.0, torch.float32), (1e6, 1e-4, F64), (-3e7, 1e-6, F64)]
)
def test_a_gaussian_far_from_0_keeps_its_digits(mean, variance, dtype):
    gaussian = ef.Gaussian()
    m, v = (torch.tensor(number, dtype=dtype) for number in (mean, variance))
    theta, wider = gaussian.natural(m, v), gaussian.natural(m, math.e * v)
    at_the_mean = gaussian.log_prob(m, theta)
    digits = 1e-5 if dtype == torch.float32 else 1e-7
    assert at_the_mean.item() == pytest.approx(-0.5 * math.log(2 * math.pi * variance), abs=digits)
    # KL(N(m, v) ‖ N(m, e v)) = ½ (1/e - 1 + 1) = 1 / 2e.
    assert gaussian.kl_divergence(theta, wider).item() == pytest.approx(0.5 / math.e, abs=digits)
    # One standard deviation apart, as far as the numbers themselves can say it: KL = ½ (m - m')² / v.
    moved = m + v.sqrt()
    other = gaussian.natural(moved, v)
    exact = 0.5 * (moved.item() - mean) ** 2 / v.item()
    assert gaussian.kl_divergence(theta, other).item() == pytest.approx(exact, rel=1e-4)
