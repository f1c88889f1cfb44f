"""Parallel tempering leaves the product of its laws invariant."""

import math

import pytest
import torch
from kernel_cases import SPINS, Still, assert_invariant, assert_irreducible, flip, seeded
from toy_models import Boltzmann

from ebmkit import enumeration
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import (
    Gibbs,
    ParallelTempering,
    Tempered,
    tempered_kernels,
)


@pytest.mark.parametrize(("n", "betas"), [(2, (0.4, 1.0)), (1, (0.2, 0.6, 1.0))], ids=["two", "three"])
@pytest.mark.parametrize("make", [Gibbs, flip], ids=["Gibbs", "flip"])
def test_parallel_tempering_leaves_the_product_invariant(n, betas, make, transition_matrix):
    model = Boltzmann(n)
    kernel = ParallelTempering(tempered_kernels(model, betas, make))

    def step(x, generator):
        return kernel.step(kernel.init(x.transpose(0, 1)), generator=generator)[0].position.transpose(0, 1)

    single = enumeration.states(model)
    choices = torch.cartesian_prod(*[torch.arange(len(single))] * len(betas))
    joint = torch.ones(len(choices), dtype=torch.float64)
    for beta, column in zip(betas, choices.T):
        joint = joint * enumeration.probabilities(Tempered(model, beta)).detach()[column]
    matrix = transition_matrix(step, single[choices])
    assert_invariant(matrix, joint)
    assert_irreducible(matrix)


def test_parallel_tempering_reports_the_swap_rates_it_uses():
    model = Boltzmann(3, scale=1.0)
    kernel = ParallelTempering([Still(Tempered(model, beta)) for beta in (0.3, 1.0)])
    x = torch.tensor([[[1.0, 1.0, 1.0]], [[-1.0, 1.0, 1.0]]], dtype=torch.float64)
    _, info = kernel.step(kernel.init(x), generator=seeded())
    cold, hot = model.energy(x[:, 0])
    expected = torch.exp((0.3 - 1.0) * (cold - hot)).clamp(max=1.0)
    torch.testing.assert_close(info.swap_acceptance, expected.reshape(1, 1))


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf])
def test_a_state_whose_energy_is_not_finite_at_the_next_temperature_is_never_swapped(value):
    class Partial(EnergyModel):
        event_shape, values = (1,), SPINS

        def energy(self, x):
            return torch.where(x[..., 0] > 0, value, 0.0)

    flat = Tempered(Boltzmann(1), 0.0)
    kernel = ParallelTempering([Still(flat), Still(Partial())])
    x = torch.tensor([[[1.0]], [[-1.0]]], dtype=torch.float64)
    state, info = kernel.step(kernel.init(x), generator=seeded())
    assert torch.equal(state.position, x)
    assert info.swap_acceptance.tolist() == [[0.0]]


def test_parallel_tempering_refuses_a_position_without_replicas():
    kernel = ParallelTempering(tempered_kernels(Boltzmann(3), (0.5, 1.0), Gibbs))
    with pytest.raises(ValueError, match="one entry for each of the 2 replicas"):
        kernel.init(torch.ones(3, 3))
