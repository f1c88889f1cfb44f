"""One name for log Z: the methods agree, and the wrong method says which is right."""

import math

import pytest
import torch

import ebmkit
from ebmkit import EnergyModel, enumeration, log_partition, partition
from ebmkit.annealing import ais_bracket
from ebmkit.energy import Estimate
from ebmkit.ising import Ising, exact_sample


class Bits(EnergyModel):
    values = (0.0, 1.0)

    def __init__(self, size):
        super().__init__()
        self.event_shape = (size,)

    def energy(self, x):
        return -0.3 * x.sum(-1)


class Gaussian(EnergyModel):
    event_shape = (1,)

    def energy(self, x):
        return x.square().sum(-1) / 2


def test_auto_enumerates_a_small_model():
    estimate = log_partition(Bits(4))
    assert isinstance(estimate, Estimate)
    torch.testing.assert_close(
        estimate.value, torch.tensor(4 * math.log1p(math.exp(0.3)), dtype=torch.float64)
    )
    assert estimate.error == 0


def test_auto_asks_the_model_before_it_enumerates():
    class Knows(Bits):
        def exact_log_partition(self):
            return torch.tensor(7.0)

    assert log_partition(Knows(3)).value == 7


@pytest.mark.parametrize("model", [Bits(40), Gaussian()])
def test_auto_without_an_exact_method_names_the_estimators(model):
    with pytest.raises(ValueError, match=r"ais.*thermodynamic_integration.*bridge"):
        log_partition(model)


@pytest.mark.parametrize("log_z", [math.nan, math.inf, -math.inf])
def test_a_log_z_that_is_not_finite_is_an_error_not_an_exact_answer(log_z):
    class Broken(Bits):
        def exact_log_partition(self):
            return torch.tensor(log_z)

    with pytest.raises(ValueError, match=rf"log Z of Broken by method 'auto' is {log_z}; .*check"):
        log_partition(Broken(2))


def test_an_unknown_method_is_answered_with_the_list():
    with pytest.raises(
        ValueError,
        match=r"unknown method 'magic'.*auto, enumeration, transfer_matrix, kaufman, elimination, quadrature, ais",
    ):
        log_partition(Bits(2), method="magic")


@pytest.mark.parametrize("method", ["transfer_matrix", "kaufman"])
def test_lattice_methods_refuse_other_models(method):
    with pytest.raises(ValueError, match=r"Ising models, got Bits"):
        log_partition(Bits(2), method=method)


def test_three_exact_methods_agree_on_a_torus():
    model = Ising((3, 4), 0.4, periodic=True)
    values = [
        log_partition(model, method=m).value for m in ("enumeration", "transfer_matrix", "kaufman", "auto")
    ]
    torch.testing.assert_close(torch.stack(values), values[0].expand(4), rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(), (1,), (2,)])
def test_quadrature_finds_a_gaussian_integral_within_the_error_it_states(shape):
    class Tilted(EnergyModel):
        event_shape = shape

        def energy(self, x):
            x = x if shape else x[..., None]
            return ((x - 0.5).square() / 2 + 1000.0).sum(-1)

    d = math.prod(shape)
    exact = d * (0.5 * math.log(2 * math.pi) - 1000.0)
    estimate = log_partition(Tilted(), method="quadrature")
    assert 0 <= estimate.error < 1e-8
    assert abs(float(estimate.value) - exact) <= max(float(estimate.error), 1e-12 * abs(exact))
    bounded = log_partition(Tilted(), method="quadrature", lower=[0.5] * d if shape else 0.5)
    assert float(bounded.value) == pytest.approx(exact - d * math.log(2), abs=1e-8)


def test_auto_points_at_quadrature_only_where_it_can_integrate():
    with pytest.raises(ValueError, match="method='quadrature'"):
        log_partition(Gaussian())
    with pytest.raises(ValueError, match="no exact method") as refusal:
        log_partition(Bits(40))
    assert "quadrature" not in str(refusal.value)
    with pytest.raises(ValueError, match="continuous x"):
        log_partition(Bits(2), method="quadrature")


@pytest.mark.parametrize("method", sorted(set(partition._METHODS) - {"quadrature"}))
def test_every_method_in_the_table_can_be_called(method):
    model = Ising((2, 4), 0.2, periodic=True)
    draws = torch.multinomial(
        enumeration.probabilities(model), 100, True, generator=torch.Generator().manual_seed(1)
    )
    chains = {"n_steps": 20, "burn_in": 10}
    sampling = {
        "ais": {"betas": 100},
        "smc": {"n_chains": 300},
        "ais_bracket": {"betas": 100, "samples": enumeration.states(model)[draws]},
        "thermodynamic_integration": {"n_nodes": 4, **chains},
        "bridge": chains,
    }.get(method, {})
    options = {"generator": torch.Generator().manual_seed(0), **sampling} if sampling else {}
    estimate = log_partition(model, method=method, **options)
    exact = log_partition(model, method="enumeration").value
    assert estimate.error > 0 if sampling else estimate.error == 0
    # No statistics here: each estimator is tested with its own module. A wrong base or sign is off by far more.
    assert abs(estimate.value - exact) < (0.5 if sampling else 1e-10)


def test_the_ais_bracket_is_given_by_its_middle_and_half_width():
    model = Ising((2, 3), 0.4)
    samples = exact_sample(model, (20,), generator=torch.Generator().manual_seed(0))
    value, half_width, kind = log_partition(
        model, "ais_bracket", samples=samples, betas=3, generator=torch.Generator().manual_seed(1)
    )
    lower, upper = ais_bracket(model, samples, betas=3, generator=torch.Generator().manual_seed(1))
    ends, errors = (lower.value, upper.value), lower.error + upper.error
    torch.testing.assert_close(value, sum(ends) / 2)
    assert kind == "bound"
    torch.testing.assert_close(2 * half_width, max(ends) - min(ends) + errors)
    with pytest.raises(ValueError, match="needs samples=x, exact draws"):
        log_partition(model, "ais_bracket", generator=torch.Generator())


def test_the_estimate_is_reachable_from_the_package():
    assert ebmkit.Estimate is Estimate
    assert ebmkit.log_partition is log_partition


def test_elimination_takes_grids_and_says_what_else_it_takes():
    wide = Ising((3, 60), 0.4, field=0.1, periodic=True)  # a ring of rings, of width 6
    torch.testing.assert_close(
        log_partition(wide, "elimination").value,
        log_partition(wide, "transfer_matrix").value,
        rtol=1e-12,
        atol=0,
    )
    with pytest.raises(ValueError, match=r"for the models of ebmkit\.graphs and for grids, got Bits"):
        log_partition(Bits(3), "elimination")
    with pytest.raises(ValueError, match="method='transfer_matrix', or detach"):
        log_partition(Ising((2, 2), torch.tensor(0.3, requires_grad=True)), "elimination")
