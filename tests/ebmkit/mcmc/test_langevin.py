"""Langevin dynamics with and without correction, against Gaussians."""

import math

import pytest
import torch
from kernel_cases import GivenNoise, Line, seeded
from toy_models import correlated_gaussian

from ebmkit.mcmc import (
    HMC,
    MALA,
    Langevin,
)


@pytest.mark.parametrize("step_size", [0.05, 0.5, 1.5, 2.9])
def test_langevin_on_a_gaussian_settles_at_its_inflated_variance(step_size):
    # One step is x' = a x + b ξ, so the variance v with a² v + b² = v is the stationary one.
    variance = 1.5
    kernel = Langevin(Line(variance), step_size)
    x, noise = torch.eye(2, dtype=torch.float64)
    a, b = kernel.step(kernel.init(x), GivenNoise(noise))[0].position
    settled = variance / (1 - step_size / (2 * variance))
    torch.testing.assert_close(a**2 * settled + b**2, settled * torch.ones_like(a), rtol=1e-12, atol=0)


def test_langevin_can_be_run_with_other_noise():
    kernel = Langevin(Line(1.0), 0.5, noise=0.01)
    noise = torch.tensor([1.0, -2.0], dtype=torch.float64)
    state, _ = kernel.step(kernel.init(torch.ones(2, dtype=torch.float64)), GivenNoise(noise))
    torch.testing.assert_close(state.position, 0.5 + 0.01 * noise)


def test_mala_accepts_by_the_metropolis_hastings_ratio():
    model, epsilon = correlated_gaussian(), 0.3
    x, noise = torch.randn(2, 50, 2, generator=seeded(), dtype=torch.float64)
    state, info = MALA(model, epsilon).step(MALA(model, epsilon).init(x), GivenNoise(noise))

    def log_q(to, start):
        law = torch.distributions.Normal(start + epsilon * model.score(start), math.sqrt(2 * epsilon))
        return law.log_prob(to).sum(-1)

    y = state.position
    log_ratio = model.energy(x) - model.energy(y) + log_q(x, y) - log_q(y, x)
    torch.testing.assert_close(info.acceptance, log_ratio.clamp(max=0).exp().detach(), rtol=1e-10, atol=0)
    torch.testing.assert_close(y, x + epsilon * model.score(x) + math.sqrt(2 * epsilon) * noise)


def test_mala_is_hmc_with_one_leapfrog_step():
    model, epsilon = correlated_gaussian(), 0.2
    x, noise = torch.randn(2, 50, 2, generator=seeded(), dtype=torch.float64)
    mala, hmc = MALA(model, epsilon), HMC(model, math.sqrt(2 * epsilon), 1, jitter=0.0)
    (a, a_info), (b, b_info) = (kernel.step(kernel.init(x), GivenNoise(noise)) for kernel in (mala, hmc))
    torch.testing.assert_close(a.position, b.position)
    torch.testing.assert_close(a_info.acceptance, b_info.acceptance)
