"""Gammas and betas: means and draws over many orders of magnitude."""

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
    samples = ef.Gamma().sample(t(shape - 1, -1.0), generator(2), (20_000,))
    # What underflows (half of all where the shape is 1e-3) is the smallest float, and counts there.
    assert distance(samples, stats.gamma(shape).cdf) < 0.03
