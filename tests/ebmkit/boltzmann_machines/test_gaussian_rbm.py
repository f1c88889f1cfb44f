"""Gaussian visible units against quadrature and closed forms."""

import math

import pytest
import torch
from machine_cases import EXACT, boltzmann, gaussian_rbm
from scipy import integrate

from ebmkit.boltzmann_machines import (
    bit_states,
)


def test_the_gaussian_free_energy_sums_the_hidden_units():
    model = gaussian_rbm()
    v = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    h = bit_states(3)
    joint = model.joint_energy(v[:, None].expand(-1, 8, -1), h.expand(7, -1, -1))
    torch.testing.assert_close(model.energy(v), -torch.logsumexp(-joint, 1), **EXACT)
    scaled = v / model.log_sigma.exp()
    written_out = (
        ((v - model.a) / model.log_sigma.exp()).square().sum(-1)[:, None] / 2
        - h @ model.b
        - scaled @ model.W @ h.T
    )
    torch.testing.assert_close(joint, written_out, **EXACT)
    torch.testing.assert_close(model.hidden_probability(v), (-joint).softmax(1) @ h, **EXACT)


def test_the_gaussian_log_partition_agrees_with_quadrature_and_its_gradient_with_differences():
    model = gaussian_rbm(1, 3)

    def log_partition():
        def density(v):
            return math.exp(-model.energy(torch.tensor([v], dtype=torch.float64)).item())

        return math.log(integrate.quad(density, -40, 40, points=[0.0], limit=200)[0])

    assert model.exact_log_partition().item() == pytest.approx(log_partition(), abs=1e-8)
    for parameter in (model.W, model.a, model.b, model.log_sigma):
        (slope,) = torch.autograd.grad(model.exact_log_partition(), parameter)
        values = []
        for shift in (1e-4, -1e-4):
            with torch.no_grad():
                parameter.view(-1)[0] += shift
                values.append(log_partition())
                parameter.view(-1)[0] -= shift
        assert slope.view(-1)[0].item() == pytest.approx((values[0] - values[1]) / 2e-4, abs=1e-5)


class FixedChance:
    """Answers every draw with what the test chose."""

    def __init__(self, h, noise):
        self.h, self.noise = h, noise

    def bernoulli(self, probability):
        self.asked = probability
        return self.h.bool().expand(probability.shape)

    def normal(self, like):
        return self.noise.expand(like.shape)


def test_the_gaussian_gibbs_step_leaves_p_invariant():
    model = gaussian_rbm(1, 3)
    grid = torch.linspace(-25, 25, 2001, dtype=torch.float64)[:, None]
    p = boltzmann(model.energy(grid))
    sigma, arrival = model.log_sigma.exp(), torch.zeros_like(p)
    for h in bit_states(3):
        chance = FixedChance(h, torch.zeros(1, dtype=torch.float64))
        mean = model.gibbs_step(grid, generator=chance)
        chance.noise = torch.ones(1, dtype=torch.float64)
        torch.testing.assert_close(
            model.gibbs_step(grid, generator=chance) - mean, sigma.expand(2001, 1), **EXACT
        )
        weight = torch.where(h.bool(), chance.asked, 1 - chance.asked).prod(-1)
        landing = (-(((grid - mean[0]) / sigma) ** 2) / 2)[:, 0].softmax(0)
        arrival += (p * weight).sum() * landing
    torch.testing.assert_close(arrival, p, rtol=0, atol=1e-10)


def test_the_gaussian_annealing_starts_at_an_independent_gaussian():
    model = gaussian_rbm(1, 3)
    grid = torch.linspace(-30, 30, 6001, dtype=torch.float64)[:, None]
    log_z = torch.logsumexp(-model.annealed(0.0).energy(grid), 0) + math.log(0.01)
    torch.testing.assert_close(model.base_log_partition(), log_z, rtol=0, atol=1e-8)
    # 40,000 draws: the mean is within six standard errors but for a probability of 2e-9.
    draws = model.sample_base(40_000, generator=torch.Generator().manual_seed(0))
    sigma = model.log_sigma.exp()
    assert abs(draws.mean() - model.base_a) < 6 * sigma / 200


@pytest.mark.parametrize("data", [torch.zeros(0, 3), torch.tensor([[0.0, math.nan, 1.0]])])
def test_the_rates_of_a_gaussian_rbm_need_data_that_are_numbers(data):
    with pytest.raises(ValueError, match=r"data must (be finite|hold at least one row), got"):
        gaussian_rbm(3, 2).set_base_rates(data.double())
