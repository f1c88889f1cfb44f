"""Hamiltonian dynamics: reversible, volume preserving, and a step size that is found."""

import math

import torch
from kernel_cases import Line, seeded
from toy_models import Gaussian, Quartic, correlated_gaussian

from ebmkit.mcmc import (
    HMC,
    leapfrog,
    sample,
)


def test_leapfrog_returns_when_the_momentum_is_turned():
    x, p = torch.randn(2, 20, generator=seeded(), dtype=torch.float64)
    end, momentum = leapfrog(Quartic(), x, p, 0.1, 25, 1.3)
    back, turned = leapfrog(Quartic(), end, -momentum, 0.1, 25, 1.3)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(-turned, p, rtol=0, atol=1e-10)


def test_leapfrog_preserves_volume():
    # On a Gaussian the leapfrog is linear, so its matrix can be read off the images of the basis.
    model = Gaussian(torch.zeros(2, dtype=torch.float64), correlated_gaussian().precision.detach())
    basis = torch.eye(4, dtype=torch.float64)
    matrix = torch.cat(leapfrog(model, basis[:, :2], basis[:, 2:], 0.3, 7, torch.tensor([1.0, 2.0])), -1)
    torch.testing.assert_close(torch.linalg.det(matrix).item(), 1.0, rtol=0, atol=1e-12)


def test_the_energy_error_of_a_trajectory_is_of_second_order():
    model = Quartic()
    x, p = torch.randn(2, 200, generator=seeded(), dtype=torch.float64)

    def error(n):
        end, momentum = leapfrog(model, x, p, 1.0 / n, n, inverse_mass=1.3)
        return (model.energy(end) + 1.3 * momentum**2 / 2 - model.energy(x) - 1.3 * p**2 / 2).abs().mean()

    ratios = torch.stack([error(n) / error(2 * n) for n in (32, 64, 128)])
    torch.testing.assert_close(ratios, torch.full_like(ratios, 4.0), rtol=0.02, atol=0)


def test_a_hopeless_trajectory_is_called_divergent():
    kernel = HMC(Line(1e-6), 1.0, 3)
    state, info = kernel.step(kernel.init(torch.full((4,), 1e-3, dtype=torch.float64)), generator=seeded())
    assert info.divergent.all()
    assert torch.equal(state.position, torch.full((4,), 1e-3, dtype=torch.float64))


def test_jitter_breaks_the_period_of_a_gaussian():
    """Four steps of 0.5 are half a period of one direction, so that without jitter the chains mirror themselves.

    The variance of 4,000 chains has a standard error of 2 √(2/4000); six of them are a false alarm of 2e-9.
    """
    model, start = correlated_gaussian(), torch.tensor([[1.0, -2.0]], dtype=torch.float64).expand(4000, 2)
    mass = torch.tensor([1.0, 2.0], dtype=torch.float64)
    variance = {}
    for jitter in (0.0, 0.2):
        kernel = HMC(model, 0.5, 4, mass, jitter)
        draws = sample(kernel, start, 1, generator=seeded(1), burn_in=49)[0]
        variance[jitter] = float(draws[:, 1].var())
    bound = 6 * 2 * math.sqrt(2 / 4000)
    assert abs(variance[0.2] - 2) < bound
    assert abs(variance[0.0] - 2) > bound
