"""Langevin dynamics with and without correction, against Gaussians."""

import math

import pytest
import torch
from kernel_cases import GivenNoise, Line, seeded
from toy_models import Gaussian, correlated_gaussian

from ebmkit.kernel import initial_state
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
    a, b = kernel.step(kernel.init(x), generator=GivenNoise(noise))[0].position
    settled = variance / (1 - step_size / (2 * variance))
    torch.testing.assert_close(a**2 * settled + b**2, settled * torch.ones_like(a), rtol=1e-12, atol=0)


def test_langevin_can_be_run_with_other_noise():
    kernel = Langevin(Line(1.0), 0.5, noise=0.01)
    noise = torch.tensor([1.0, -2.0], dtype=torch.float64)
    state, _ = kernel.step(kernel.init(torch.ones(2, dtype=torch.float64)), generator=GivenNoise(noise))
    torch.testing.assert_close(state.position, 0.5 + 0.01 * noise)


def test_mala_accepts_by_the_metropolis_hastings_ratio():
    model, epsilon = correlated_gaussian(), 0.3
    x, noise = torch.randn(2, 50, 2, generator=seeded(), dtype=torch.float64)
    state, info = MALA(model, epsilon).step(MALA(model, epsilon).init(x), generator=GivenNoise(noise))

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
    (a, a_info), (b, b_info) = (
        kernel.step(kernel.init(x), generator=GivenNoise(noise)) for kernel in (mala, hmc)
    )
    torch.testing.assert_close(a.position, b.position)
    torch.testing.assert_close(a_info.acceptance, b_info.acceptance)


class Counted(Gaussian):
    """Counts how often its energy is asked for, and how often by a gradient."""

    def __init__(self):
        precision = torch.tensor([[2.0, 0.3], [0.3, 1.0]], dtype=torch.float64)
        super().__init__(torch.zeros(2, dtype=torch.float64), precision)
        self.energies = self.gradients = 0

    def energy(self, x):
        self.energies += 1
        self.gradients += x.requires_grad
        return super().energy(x)


@pytest.mark.parametrize(
    ("make", "gradients"),
    [(lambda m: MALA(m, 0.1), 1), (lambda m: Langevin(m, 0.1), 1), (lambda m: HMC(m, 0.1, 7), 7)],
    ids=["MALA", "Langevin", "HMC"],
)
def test_a_step_asks_for_each_gradient_once_and_for_no_energy_besides(make, gradients):
    model = Counted()
    kernel = make(model)
    state, _ = kernel.step(kernel.init(torch.ones(5, 2, dtype=torch.float64)), generator=seeded())
    model.energies = model.gradients = 0
    for index in range(3):
        state, _ = kernel.step(state, generator=seeded(index))
    # Gaussian.energy stands below Counted's, which alone counts: one call, one gradient.
    assert (model.energies, model.gradients) == (3 * gradients, 3 * gradients)
    torch.testing.assert_close(state.slope.score, model.score(state.position))


@pytest.mark.parametrize(
    "make", [lambda m: MALA(m, 0.1), lambda m: Langevin(m, 0.1), lambda m: HMC(m, 0.1, 3)]
)
def test_a_slope_is_not_used_for_another_model_or_after_learning(make):
    model, other = correlated_gaussian(), Gaussian(torch.ones(2, dtype=torch.float64), torch.eye(2).double())
    x = torch.randn(5, 2, generator=seeded(), dtype=torch.float64)
    state, _ = make(model).step(make(model).init(x), generator=seeded(1))
    there = initial_state(other, state.position)
    moved, _ = make(other).step(there._replace(slope=state.slope), generator=seeded(2))
    fresh, _ = make(other).step(there, generator=seeded(2))
    assert torch.equal(moved.position, fresh.position)
    with torch.no_grad():
        model.mean.add_(1.0)
    there = initial_state(model, state.position)
    moved, _ = make(model).step(there._replace(slope=state.slope), generator=seeded(2))
    fresh, _ = make(model).step(there, generator=seeded(2))
    assert torch.equal(moved.position, fresh.position)
