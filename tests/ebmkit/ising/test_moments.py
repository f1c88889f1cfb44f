"""Exact expectations and exact samples."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ising_cases import generator, random_ising, small_grids

from ebmkit import enumeration, ising
from ebmkit.ising import Ising


@settings(deadline=None, max_examples=25)
@given(small_grids, st.sampled_from([0.5, 60.0]))
def test_exact_moments_are_the_expectations_they_claim(grid, scale):
    n, m, periodic, seed = grid
    model = random_ising(n, m, periodic, scale=scale, seed=seed)
    moments = ising.exact_moments(model)
    spins = enumeration.expectation(model, lambda s: s)
    across = enumeration.expectation(model, lambda s: s * s.roll(-1, -1)) * (model.horizontal != 0)
    down = enumeration.expectation(model, lambda s: s * s.roll(-1, -2)) * (model.vertical != 0)
    for found, expected in zip(moments, (spins, across, down)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "model", [random_ising(3, 2), random_ising(2, 4), random_ising(4, 1), random_ising(2, 3, scale=9.0)]
)
def test_exact_samples_have_exactly_the_boltzmann_distribution(model, outcome_probabilities):
    states = enumeration.states(model)
    law = outcome_probabilities(
        lambda x, generator: ising.exact_sample(model, (len(x),), generator=generator), states[0], states
    )
    torch.testing.assert_close(law, enumeration.probabilities(model), rtol=0, atol=1e-12)


def test_exact_samples_come_in_any_shape_and_show_the_exact_mean():
    model = random_ising(10, 12)
    spins = ising.exact_sample(model, (40, 50), generator=generator())
    assert spins.shape == (40, 50, 10, 12)
    mean = spins.mean((0, 1))
    # Hoeffding for 2,000 values in [-1, 1] at 120 sites: P(false alarm) < 240·e^{-2000·0.15²/2} < 5e-8.
    assert (mean - ising.exact_moments(model).spins).abs().max() < 0.15


def test_exact_samples_are_refused_where_they_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"free boundary.*use swendsen_wang"):
        ising.exact_sample(Ising((4, 4), 0.1, periodic=True), (1,), generator=generator())
    with pytest.raises(ValueError, match=r"30×30.*too wide"):
        ising.exact_sample(Ising((30, 30), 0.1), (1,), generator=generator())
