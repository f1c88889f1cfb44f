"""Quadrature within its own error estimate."""

import copy
import math

import pytest
import torch
from density_cases import INF
from torch import nn

from ebmkit import EnergyModel
from ebmkit import normalization as norm


def test_the_kronrod_rule_integrates_polynomials_of_degree_22_and_the_gauss_rule_of_degree_13():
    nodes, kronrod, gauss = norm._quadrature._rule_on_unit_cell(1, torch.zeros(0, dtype=torch.float64))
    for degree in range(23):
        powers = nodes[:, 0] ** degree
        assert (powers @ kronrod).item() == pytest.approx(1 / (degree + 1), rel=1e-13)
        if degree <= 13:
            assert (powers @ gauss).item() == pytest.approx(1 / (degree + 1), rel=1e-13)


ONE_DIMENSIONAL = {
    "exp on [0, 1]": (torch.exp, 0, 1, math.e - 1),
    "Gaussian on the line": (lambda x: torch.exp(-(x**2) / 2), -INF, INF, math.sqrt(2 * math.pi)),
    "narrow Gaussian off centre": (
        lambda x: torch.exp(-((x - 3) ** 2) * 5e3), -INF, INF, math.sqrt(math.pi / 5e3)
    ),
    "Cauchy": (lambda x: 1 / (1 + x**2), -INF, INF, math.pi),
    "right half": (lambda x: torch.exp(-2 * x), 1, INF, math.exp(-2) / 2),
    "left half": (lambda x: torch.exp(2 * x), -INF, 1, math.exp(2) / 2),
    "odd": (lambda x: x**3, -1, 1, 0),
    "square-root singularity": (lambda x: x**-0.5, 0, 1, 2),
    "kink": (lambda x: (x - 0.3).abs(), 0, 1, 0.29),
    "oscillation": (lambda x: torch.sin(50 * x), 0, 1, (1 - math.cos(50)) / 50),
    "tiny": (lambda x: 1e-200 * torch.exp(x), 0, 1, 1e-200 * (math.e - 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_DIMENSIONAL)
def test_quadrature_on_an_interval_is_within_its_own_error_estimate(name):
    f, lower, upper, exact = ONE_DIMENSIONAL[name]
    value, error, _ = norm.quadrature(f, lower, upper)
    assert abs(value.item() - exact) <= error.item() + 1e-14 * abs(exact)
    assert error.item() <= max(1e-9 * abs(exact), 1e-13)


TWO_DIMENSIONAL = {
    "polynomial": (lambda x: x[:, 0] ** 2 * x[:, 1], (0, 0), (1, 2), 2 / 3),
    "correlated Gaussian": (
        lambda x: torch.exp(-(x[:, 0] ** 2 + x[:, 0] * x[:, 1] + x[:, 1] ** 2)),
        (-INF, -INF), (INF, INF), 2 * math.pi / math.sqrt(3),
    ),
    "half plane": (lambda x: torch.exp(-x[:, 0] - x[:, 1] ** 2), (0, -INF), (INF, INF), math.sqrt(math.pi)),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO_DIMENSIONAL)
def test_quadrature_on_a_rectangle_is_within_its_own_error_estimate(name):
    f, lower, upper, exact = TWO_DIMENSIONAL[name]
    value, error, _ = norm.quadrature(f, lower, upper, rtol=1e-8)
    assert abs(value.item() - exact) <= error.item() + 1e-14
    assert error.item() <= 1e-8 * exact


def test_quadrature_is_differentiable_in_the_parameters():
    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    value, _, _ = norm.quadrature(lambda x: torch.exp(-((x / scale) ** 2) / 2))
    (gradient,) = torch.autograd.grad(value, scale)
    assert gradient.item() == pytest.approx(math.sqrt(2 * math.pi), rel=1e-8)


@pytest.mark.parametrize(
    ("f", "lower", "upper", "error", "message"),
    [
        (lambda x: 1 / x, 0, 1, RuntimeError, "does the integral diverge"),
        (
            torch.ones_like,
            -INF,
            INF,
            RuntimeError,
            "quadrature stopped at .*does the integral diverge.*finite bounds",
        ),
        (torch.ones_like, 0, INF, RuntimeError, "does the integral diverge"),
        (
            lambda x: torch.ones_like(x[:, 0]),
            (-INF, 0),
            (INF, INF),
            RuntimeError,
            "does the integral diverge",
        ),
        (lambda x: 1 / (1 + x.abs()), -INF, INF, RuntimeError, "does the integral diverge"),
        (lambda x: torch.exp(x), -INF, INF, ValueError, "not finite at x ="),
        (lambda x: x, 1, 0, ValueError, "lower bound must be below"),
        (lambda x: x, float("nan"), 0, ValueError, "lower bound must be below"),
        (lambda x: x.sum(), 0, 1, ValueError, "f must map x"),
        (lambda x: x.sum(-1), (0, 0, 0), (1, 1, 1), ValueError, "one or two dimensions"),
    ],
)
def test_quadrature_says_what_is_wrong(f, lower, upper, error, message):
    with pytest.raises(error, match=message):
        norm.quadrature(f, lower, upper, max_evaluations=100_000)


def test_an_integrand_that_was_0_wherever_it_was_looked_at_has_no_error_estimate():
    value, error, _ = norm.quadrature(lambda x: torch.exp(-((x - 1e6) ** 2)))
    assert value == 0
    assert error == INF


@pytest.mark.parametrize("offset", [-5000.0, 0.0, 5000.0])
def test_log_quadrature_survives_energies_in_the_thousands(offset):
    model = norm.from_exp(lambda x: offset - x**2 / 2)
    value, error, _ = norm.log_quadrature(model)
    assert value.item() == pytest.approx(offset + 0.5 * math.log(2 * math.pi), abs=1e-8)
    assert error.item() < 1e-8


def test_gradient_of_log_quadrature_is_minus_the_mean_energy_gradient():
    class Quartic(EnergyModel):
        event_shape = (1,)

        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

        def energy(self, x):
            return self.a * x[..., 0] ** 4

    model = Quartic()
    (gradient,) = torch.autograd.grad(norm.log_quadrature(model).value, model.a)
    assert gradient.item() == pytest.approx(-1 / (4 * 0.7), rel=1e-8)  # log Z = const - ¼ log a


def test_log_quadrature_works_in_the_dtype_of_the_model():
    f = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    single = norm.from_exp(f, (2,))
    double = copy.deepcopy(single).double()
    a, b = (norm.log_quadrature(m, -1, 1, rtol=1e-5).value for m in (single, double))
    assert a.dtype == torch.float32
    assert a.item() == pytest.approx(b.item(), abs=1e-4)


def test_log_quadrature_refuses_discrete_or_large_models():
    with pytest.raises(ValueError, match="continuous x"):
        norm.log_quadrature(norm.from_exp(lambda x: x, values=(0.0, 1.0)))
    with pytest.raises(ValueError, match=r"event shape \(3,\)"):
        norm.log_quadrature(norm.from_exp(lambda x: x.sum(-1), (3,)))


@pytest.mark.parametrize("a", [0.55, 0.56, 0.6, 0.7, 0.75, 0.76, 1.0, 2.0])
def test_the_error_of_a_heavy_tail_is_no_smaller_than_what_is_wrong(a):
    # ∫ (1 + x²)^-a dx = √π Γ(a - ½) / Γ(a) for a > ½: the nearer a comes, the more of it lies beyond any bound.
    value, error, _ = norm.log_quadrature(norm.from_exp(lambda x: -a * torch.log1p(x**2)))
    exact = 0.5 * math.log(math.pi) + math.lgamma(a - 0.5) - math.lgamma(a)
    assert abs(value.item() - exact) <= error.item() + 1e-14
    assert error.item() <= 1e-9


@pytest.mark.parametrize("a", [0.3, 0.5, 0.51, 0.54])
def test_tails_too_heavy_to_sum_are_refused(a):
    model = norm.from_exp(lambda x: -a * torch.log1p(x**2))
    with pytest.raises(RuntimeError, match=r"stopped at \d.* ± \d.*does the integral diverge.*finite bounds"):
        norm.log_quadrature(model)
