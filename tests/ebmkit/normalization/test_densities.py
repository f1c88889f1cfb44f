"""Densities from any function."""

import math

import pytest
import torch
from density_cases import generator
from torch import nn

from ebmkit import normalization as norm

TRANSFORMS = {
    norm.from_square: lambda f: f**2,
    norm.from_exp: torch.exp,
    norm.from_abs: torch.abs,
    norm.from_softplus: lambda f: torch.log1p(f.exp()),
}


@pytest.mark.parametrize("build", TRANSFORMS)
def test_energy_is_minus_log_of_the_positive_transform_of_f(build):
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    model = build(lambda x: x**3 - 2 * x + 0.1)
    expected = TRANSFORMS[build](x**3 - 2 * x + 0.1)
    torch.testing.assert_close(torch.exp(-model.energy(x)), expected, rtol=1e-12, atol=1e-300)


def test_softplus_density_neither_overflows_nor_underflows():
    x = torch.tensor([-700.0, -41.0, -39.0, 0.0, 700.0], dtype=torch.float64)
    energy = norm.from_softplus(lambda y: y).energy(x)
    expected = torch.tensor([700.0, 41.0, 39.0, -math.log(math.log(2)), -math.log(700)], dtype=torch.float64)
    torch.testing.assert_close(energy, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("build", TRANSFORMS)
def test_score_of_a_network_density_matches_finite_differences(build):
    f = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double()
    model = build(f, (2,))
    assert set(map(id, model.parameters())) == set(map(id, f.parameters()))
    x = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
    step = 1e-6 * torch.eye(2, dtype=torch.float64)
    numeric = torch.stack([(model.energy(x - h) - model.energy(x + h)) / 2e-6 for h in step], -1)
    torch.testing.assert_close(model.score(x), numeric, rtol=1e-5, atol=1e-6)


def test_a_function_that_is_not_one_number_per_x_is_refused():
    with pytest.raises(ValueError, match=r"one number for each x, shape \(3,\), got \(3, 2\)"):
        norm.from_exp(lambda x: x, (2,)).energy(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"x must have shape \(..., 2\), got \(3,\)"):
        norm.from_exp(lambda x: x.sum(-1), (2,)).energy(torch.zeros(3))
