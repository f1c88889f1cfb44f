"""Deep Boltzmann machines against enumeration: conditionals, free energies and bounds."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import EXACT, boltzmann, dbm, rbm

from ebmkit import enumeration
from ebmkit.boltzmann_machines import (
    DBM,
    bit_states,
)


@pytest.mark.parametrize("sizes", [(3, 2), (3, 2, 2), (2, 2, 1, 2)])
def test_the_gibbs_step_of_a_dbm_leaves_p_invariant(transition_matrix, sizes):
    model = dbm(sizes)
    states = bit_states(sum(sizes))
    p = boltzmann(model.energy(states))
    torch.testing.assert_close(p @ transition_matrix(model.gibbs_step, states), p, **EXACT)


def test_the_conditionals_of_a_dbm_are_those_of_its_joint_distribution():
    model = dbm((2, 2, 1, 2))
    states = bit_states(7)
    p = boltzmann(model.energy(states))
    for l, start in enumerate((0, 2, 4, 5)):
        conditional = model.conditional(model.split(states), l)
        for unit in range(model.sizes[l]):
            flipped = states.clone()
            flipped[:, start + unit] = 1
            on = boltzmann(model.energy(states))[(flipped @ 2.0 ** torch.arange(6, -1, -1).double()).long()]
            flipped[:, start + unit] = 0
            off = p[(flipped @ 2.0 ** torch.arange(6, -1, -1).double()).long()]
            # Units of one layer do not meet, so the odds of one are the same given the layer's others.
            torch.testing.assert_close(conditional[:, unit], on / (on + off), **EXACT)


def test_the_energy_of_a_dbm_is_the_sum_over_its_edges_and_biases():
    model = dbm((3, 2, 2))
    x = bit_states(7)
    v, first, second = model.split(x)
    W0, W1 = model.weights
    written_out = -(
        torch.einsum("ni,ij,nj->n", v, W0, first) + torch.einsum("ni,ij,nj->n", first, W1, second)
    )
    written_out = written_out - x @ torch.cat(list(model.biases))
    torch.testing.assert_close(model.energy(x), written_out, **EXACT)
    assert torch.equal(model.join(model.split(x)), x)


@pytest.mark.parametrize("sizes", [(3, 2), (3, 2, 2), (2, 3, 1), (2, 1, 3), (2, 2, 1, 2)])
def test_free_energy_and_log_partition_of_a_dbm_agree_with_enumeration(sizes):
    model = dbm(sizes)
    energies = model.energy(bit_states(sum(sizes))).reshape(2 ** sizes[0], -1)
    free_energy = model.free_energy(bit_states(sizes[0]))
    torch.testing.assert_close(free_energy, -torch.logsumexp(-energies, 1), **EXACT)
    torch.testing.assert_close(model.exact_log_partition(), torch.logsumexp(-energies.flatten(), 0), **EXACT)
    as_rbm = model.bipartite()
    assert as_rbm.event_shape == (sum(sizes[1::2]),)
    torch.testing.assert_close(enumeration.log_partition(as_rbm), model.exact_log_partition(), **EXACT)


def test_a_dbm_is_its_own_annealing_path(transition_matrix):
    model = dbm((3, 2, 2))
    model.set_base_rates(bit_states(3)[[1, 3, 5]])
    annealed, odd = model.annealed(0.4), bit_states(2)
    torch.testing.assert_close(
        model.base_log_partition(), enumeration.log_partition(model.annealed(0.0)), **EXACT
    )
    torch.testing.assert_close(
        model.base_log_partition(), torch.log1p(model.base_a.exp()).sum() + 4 * math.log(2), **EXACT
    )
    torch.testing.assert_close(
        enumeration.log_partition(model.annealed(1.0)), model.exact_log_partition(), **EXACT
    )
    p = boltzmann(annealed.energy(odd))
    matrix = transition_matrix(
        lambda x, generator: model.annealing_step(x, 0.1, 0.4, generator=generator)[0], odd
    )
    torch.testing.assert_close(p @ matrix, p, **EXACT)
    assert model.sample_base(6, generator=torch.Generator().manual_seed(0)).shape == (6, 2)


def test_a_dbm_of_two_layers_is_an_rbm():
    machine, deep = rbm(3, 2), DBM((3, 2), dtype=torch.float64)
    with torch.no_grad():
        for target, source in zip(deep.parameters(), (machine.W, machine.a, machine.b)):
            target.copy_(source)
    torch.testing.assert_close(deep.free_energy(bit_states(3)), machine.energy(bit_states(3)), **EXACT)
    torch.testing.assert_close(
        deep.mean_field(bit_states(3))[:, 3:], machine.hidden_probability(bit_states(3))
    )
    # Given v the hidden units of an RBM are independent: mean field is exact and the bound is tight.
    torch.testing.assert_close(
        deep.mean_field_free_energy(bit_states(3)), machine.energy(bit_states(3)), **EXACT
    )


@given(seed=st.integers(0, 999), scale=st.floats(0.1, 3.0))
@settings(max_examples=30, deadline=None)
def test_the_variational_bound_is_below_the_exact_log_likelihood_and_rises_with_every_step(seed, scale):
    model = dbm((3, 2, 2), seed, scale)
    v = bit_states(3)
    log_z = model.exact_log_partition()
    bound = model.variational_bound(v, log_z)
    assert (bound <= -model.free_energy(v) - log_z + 1e-12).all()

    def bound_after(n_steps):
        x = model.mean_field(v, n_steps, tolerance=0.0)
        means = x[:, 3:]
        entropy = -(torch.xlogy(means, means) + torch.xlogy(1 - means, 1 - means)).sum(-1)
        return entropy - model.energy(x)

    bounds = [bound_after(n) for n in range(1, 8)]
    assert all((later >= earlier - 1e-12).all() for earlier, later in itertools.pairwise(bounds))


def test_mean_field_ends_at_a_fixed_point():
    model = dbm((3, 2, 2), scale=0.7)
    layers = model.split(model.mean_field(bit_states(3), n_steps=1000, tolerance=1e-14))
    for l in (1, 2):
        torch.testing.assert_close(layers[l], model.conditional(layers, l), **EXACT)


def test_a_dbm_names_what_is_wrong_with_its_input():
    model = DBM((4, 3, 2))
    with pytest.raises(ValueError, match=r"axis of 9 units.*got shape \(5, 4\); complete\(v\)"):
        model.energy(torch.zeros(5, 4))
    with pytest.raises(ValueError, match=r"two layers or more.*\[4\]"):
        DBM((4,))
    with pytest.raises(
        ValueError, match=r"at most 16 hidden units, got 17 .* and 18 .*mean_field_free_energy"
    ):
        DBM((2, 17, 18)).free_energy(torch.zeros(1, 2))
