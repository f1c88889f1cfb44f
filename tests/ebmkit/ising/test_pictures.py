"""Models of pictures against Bayes' rule and tables of potentials."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ising_cases import F64, generator, small_grids

from ebmkit import enumeration, ising
from ebmkit.ising import Ising


def test_the_denoising_model_is_bayes_rule_for_the_ising_prior_and_flip_noise():
    noisy = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    flip_probability, coupling = 0.2, 0.7
    prior = Ising((2, 3), coupling)
    states = enumeration.states(prior)
    n_flips = (ising.to_labels(states) != noisy).sum((1, 2)).double()
    log_likelihood = n_flips * math.log(flip_probability) + (6 - n_flips) * math.log(1 - flip_probability)
    posterior = torch.softmax(log_likelihood - prior.energy(states), 0)
    model = ising.denoising_model(noisy, flip_probability, coupling)
    torch.testing.assert_close(enumeration.probabilities(model), posterior, rtol=1e-12, atol=0)


@pytest.mark.parametrize("flip_probability", [0.0, 1.0, -0.1])
def test_noise_must_be_possible_and_uncertain(flip_probability):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        ising.denoising_model(torch.ones(2, 2), flip_probability, 1.0)


@settings(deadline=None, max_examples=40)
@given(small_grids, st.booleans())
def test_any_pairwise_potentials_are_an_ising_model_up_to_the_constant(grid, shared):
    n, m, periodic, seed = grid
    g = generator(seed)
    unary = torch.randn(n, m, 2, generator=g, dtype=F64)
    missing = [0 if periodic and side > 1 else 1 for side in (n, m)]
    sizes = ((n, m - missing[1], 2, 2), (n - missing[0], m, 2, 2))
    tables = [torch.randn((2, 2) if shared else size, generator=g, dtype=F64) for size in sizes]
    model, constant = ising.from_potentials(unary, *tables, periodic=periodic)
    y = torch.randint(0, 2, (n, m), generator=g)
    across, down = (table.expand(size) for table, size in zip(tables, sizes))
    total = sum(unary[i, j, y[i, j]] for i in range(n) for j in range(m))
    for i, j in [(i, j) for i in range(n) for j in range(m)]:
        if j < across.shape[1]:
            total = total + across[i, j, y[i, j], y[i, (j + 1) % m]]
        if i < down.shape[0]:
            total = total + down[i, j, y[i, j], y[(i + 1) % n, j]]
    torch.testing.assert_close(constant - model.energy(ising.to_spins(y)), total, rtol=0, atol=1e-11)


def test_potentials_of_the_wrong_shape_are_named():
    table = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"unary must have shape \(n, m, 2\), got \(2, 2\)"):
        ising.from_potentials(table, table, table)
    with pytest.raises(
        ValueError, match=r"vertical must have shape \(2, 2\) or \(1, 3, 2, 2\), got \(2, 3, 2, 2\)"
    ):
        ising.from_potentials(torch.zeros(2, 3, 2), table, torch.zeros(2, 3, 2, 2))
