"""Coins, counts and waiting times: their draws."""

import math

import pytest
import torch
from family_cases import distance, generator, t
from scipy import stats

from ebmkit import exponential_families as ef


@pytest.mark.parametrize("rate", [1e-3, 0.5, 30.0, 1e5])
def test_poisson_samples_are_right_for_small_and_large_rates(rate):
    samples = ef.Poisson().sample(t(math.log(rate)), (20_000,), generator=generator(2))
    assert distance(samples, stats.poisson(rate).cdf) < 0.03


@pytest.mark.parametrize("rate", [1e-3, 0.5, 30.0, 1e5])
def test_the_rarest_poisson_draw_is_beyond_all_but_a_share_of_float64s_resolution(rate):
    class Last:
        def uniform(self, like):
            return torch.full_like(like, 1 - 2.0**-53)

    rarest = ef.Poisson().sample(t(math.log(rate)), (1,), generator=Last())
    assert stats.poisson(rate).sf(rarest.item()) < 2.0**-52


@pytest.mark.parametrize("rate", [1e13, 1e16, 1e300])
def test_poisson_draws_end_at_any_rate(rate):
    # Here as the normal law that the counts follow to within 1/√rate, so far as float64 tells them apart. By the
    # inequality of Dvoretzky, Kiefer and Wolfowitz a distance of 0.03 is a false alarm of 2 e^-36.
    theta = t(math.log(rate))
    mean = math.exp(theta.item())
    samples = ef.Poisson().sample(theta, (20_000,), generator=generator(2))
    assert abs(samples - mean).max() <= 8 * math.sqrt(mean) + 4 * math.ulp(mean)
    if math.ulp(mean) < 0.01 * math.sqrt(mean):
        assert distance(samples, stats.norm(mean, math.sqrt(mean)).cdf) < 0.03
