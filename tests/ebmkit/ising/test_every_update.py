"""Every update of spins: its exact transition matrix, and one contract."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ising_cases import F64, generator, random_ising, random_spins

from ebmkit import enumeration, ising, mcmc
from ebmkit.ising import Ising

UPDATES = {
    "gibbs": ising.gibbs_sweep,
    "metropolis": ising.metropolis_sweep,
    "swendsen_wang": ising.swendsen_wang,
    "wolff": ising.wolff,
}

LATTICES = {
    "grid": random_ising(2, 3),
    "ring_of_five": random_ising(1, 5, periodic=True),
    "ring_of_four_without_field": random_ising(4, 1, periodic=True, field=False),
    "smallest_torus": random_ising(2, 2, periodic=True),
    "odd_torus": random_ising(3, 2, periodic=True, scale=0.4),
    "free_spins": Ising((2, 2), 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("update", UPDATES)
def test_every_update_leaves_the_boltzmann_distribution_invariant(update, lattice, transition_matrix):
    model = LATTICES[lattice]
    matrix = transition_matrix(
        lambda x, generator: UPDATES[update](model, x, generator=generator), enumeration.states(model)
    )
    p = enumeration.probabilities(model)
    torch.testing.assert_close(matrix.sum(1), torch.ones_like(p), rtol=0, atol=1e-12)
    torch.testing.assert_close(p @ matrix, p, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("update", UPDATES)
def test_every_update_reaches_every_state(update, lattice, transition_matrix):
    model = LATTICES[lattice]
    matrix = transition_matrix(
        lambda x, generator: UPDATES[update](model, x, generator=generator), enumeration.states(model)
    )
    # The identity is added because Wolff on free spins flips one of them at every step: it has period 2.
    assert (torch.linalg.matrix_power((matrix + torch.eye(len(matrix))) / 2, 64) > 0).all()


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("update", ["swendsen_wang", "wolff"])
def test_cluster_updates_are_in_detailed_balance(update, lattice, transition_matrix):
    model = LATTICES[lattice]
    matrix = transition_matrix(
        lambda x, generator: UPDATES[update](model, x, generator=generator), enumeration.states(model)
    )
    flow = enumeration.probabilities(model)[:, None] * matrix
    torch.testing.assert_close(flow, flow.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lattice", ["grid", "odd_torus"])
def test_the_heat_bath_of_one_colour_is_in_detailed_balance_and_the_sweep_is_not(lattice, transition_matrix):
    model = LATTICES[lattice]
    states, p = enumeration.states(model), enumeration.probabilities(model)
    for sites in ising.colour_classes(model):
        half = transition_matrix(
            lambda x, generator, s=sites: ising.gibbs_update(model, x, s, generator=generator), states
        )
        torch.testing.assert_close(p[:, None] * half, (p[:, None] * half).T, rtol=0, atol=1e-12)
    sweep = p[:, None] * transition_matrix(
        lambda x, generator: ising.gibbs_sweep(model, x, generator=generator), states
    )
    assert (sweep - sweep.T).abs().max() > 1e-3


def test_metropolis_that_proposes_every_flip_would_run_in_circles():
    """Why `propose` is below 1: on a 4×4 torus each spin of these stripes feels no field, and all flip at once."""
    model = Ising((4, 4), 0.5, periodic=True)
    i, j = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    stripes = torch.where((i + j) % 4 < 2, 1.0, -1.0).double()
    assert not model.local_field(stripes).any()
    with pytest.raises(ValueError, match="at 1 the sweep can cycle"):
        ising.metropolis_sweep(model, stripes, generator=generator(), propose=1.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_colours_partition_the_sites_and_separate_neighbours(n, m, periodic):
    model = Ising((n, m), 1.0, periodic=periodic)
    classes = ising.colour_classes(model)
    assert sorted(torch.cat(classes).tolist()) == list(range(n * m))
    odd_ring = periodic and any(side % 2 and side > 1 for side in (n, m))
    assert len(classes) <= (3 if odd_ring else 2)
    for sites in classes:
        inside = torch.zeros(n * m, dtype=F64)
        inside[sites] = 1
        inside = inside.reshape(n, m)
        assert not (
            inside * ((model.horizontal * inside.roll(-1, -1)) + model.vertical * inside.roll(-1, -2))
        ).any()


@pytest.mark.parametrize("update", UPDATES)
def test_updates_keep_shape_and_dtype_and_leave_their_argument_alone(update):
    model, spins = random_ising(3, 4), random_spins((2, 5, 3, 4)).to(torch.int8)
    before = spins.clone()
    after = UPDATES[update](model, spins, generator=generator())
    assert torch.equal(spins, before)
    assert after.shape == spins.shape
    assert after.dtype == spins.dtype
    assert set(after.unique().tolist()) == {-1, 1}


@pytest.mark.parametrize("update", UPDATES)
def test_the_same_generator_gives_the_same_spins(update):
    model, spins = random_ising(3, 4), random_spins((8, 3, 4))
    first, again, other = (UPDATES[update](model, spins, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kernel", [ising.Metropolis, ising.SwendsenWang, ising.Wolff, mcmc.Gibbs])
def test_kernels_carry_the_energy_of_where_they_are(kernel):
    model, spins = random_ising(3, 4), random_spins((7, 3, 4))
    state = kernel(model).init(spins)
    for _ in range(3):
        state, info = kernel(model).step(state, generator=generator())
        torch.testing.assert_close(state.energy, model.energy(state.position), rtol=0, atol=1e-12)
    assert info.acceptance.shape == info.divergent.shape == (7,)
    assert ((info.acceptance >= 0) & (info.acceptance <= 1)).all()
    assert not info.divergent.any()


@pytest.mark.parametrize("kernel", [ising.Metropolis, ising.SwendsenWang, ising.Wolff])
def test_a_kernel_refuses_a_start_without_chains_and_one_that_holds_no_spins(kernel):
    model = ising.Ising((3, 4), 0.4)
    with pytest.raises(ValueError, match=r"holds no chain, its shape is \(0, 3, 4\)"):
        kernel(model).init(torch.empty(0, 3, 4))
    with pytest.raises(ValueError, match=r"one of \(-1.0, 1.0\), got 0"):
        kernel(model).init(torch.zeros(2, 3, 4))
