"""Restricted Boltzmann machines against enumeration: energies, conditionals, kernels and log Z."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import EXACT, boltzmann, dbm, gaussian_rbm, rbm

from ebmkit import enumeration
from ebmkit.annealing import anneal
from ebmkit.boltzmann_machines import (
    RBM,
    GaussianRBM,
    bit_states,
)


def every_pair(n, m):
    """All (v, h), v along the first axis and h along the second."""
    return bit_states(n)[:, None].expand(-1, 2**m, -1), bit_states(m)[None].expand(2**n, -1, -1)


@given(n=st.integers(1, 5), m=st.integers(1, 5), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_the_free_energy_sums_the_hidden_units_of_the_joint_energy(n, m, seed):
    model = rbm(n, m, seed)
    v, h = every_pair(n, m)
    joint = model.joint_energy(v, h)
    torch.testing.assert_close(model.energy(bit_states(n)), -torch.logsumexp(-joint, 1), **EXACT)
    written_out = -v @ model.a - h @ model.b - torch.einsum("vhi,ij,vhj->vh", v, model.W, h)
    torch.testing.assert_close(joint, written_out, **EXACT)


def test_the_conditionals_of_an_rbm_are_those_of_its_joint_distribution():
    model = rbm()
    joint = model.joint_energy(*every_pair(3, 4)).neg().exp()
    given_v, given_h = joint / joint.sum(1, keepdim=True), joint / joint.sum(0)
    torch.testing.assert_close(model.hidden_probability(bit_states(3)), given_v @ bit_states(4), **EXACT)
    torch.testing.assert_close(model.visible_probability(bit_states(4)), given_h.T @ bit_states(3), **EXACT)


def test_the_gibbs_step_of_an_rbm_leaves_p_invariant_and_is_reversible(transition_matrix):
    model = rbm()
    matrix, p = transition_matrix(model.gibbs_step, bit_states(3)), boltzmann(model.energy(bit_states(3)))
    torch.testing.assert_close(p @ matrix, p, **EXACT)
    flow = p[:, None] * matrix
    torch.testing.assert_close(flow, flow.T, **EXACT)
    torch.testing.assert_close(model.transition_matrix(), matrix, **EXACT)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_annealed_gibbs_step_leaves_its_own_distribution_invariant(transition_matrix, beta):
    annealed = rbm().annealed(beta)
    p = boltzmann(annealed.energy(bit_states(3)))
    torch.testing.assert_close(p @ transition_matrix(annealed.gibbs_step, bit_states(3)), p, **EXACT)


@pytest.mark.parametrize("make", [rbm, gaussian_rbm])
def test_an_annealed_transition_is_the_weight_and_then_the_gibbs_step(make):
    model, generator = make(), torch.Generator()
    x = model.sample_base(50, generator=generator.manual_seed(1))
    moved, log_weight = model.annealing_step(x, 0.2, 0.7, generator=generator.manual_seed(2))
    expected = model.annealed(0.2).energy(x) - model.annealed(0.7).energy(x)
    torch.testing.assert_close(log_weight, expected, **EXACT)
    assert torch.equal(moved, model.annealed(0.7).gibbs_step(x, generator=generator.manual_seed(2)))


@pytest.mark.parametrize("make", [rbm, gaussian_rbm, dbm])
def test_annealing_takes_the_step_that_shares_its_products(make, monkeypatch):
    model, taken = make(), []
    step = type(model).annealing_step

    def counted(self, x, before, after, generator):
        taken.append(after)
        return step(self, x, before, after, generator=generator)

    monkeypatch.setattr(type(model), "annealing_step", counted)
    anneal(model, betas=[0, 0.3, 0.7, 1], n_chains=2, generator=torch.Generator().manual_seed(0))
    assert {0.3, 0.7, 1.0} == set(taken)


@pytest.mark.parametrize("make", [rbm, gaussian_rbm])
def test_annealing_ends_at_the_model(make):
    model = make()
    x = model.sample_base(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.annealed(1.0).energy(x), model.energy(x), **EXACT)


def test_annealing_starts_at_the_base_rates_with_a_known_log_partition(outcome_probabilities):
    model = rbm()
    data = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    model.set_base_rates(data)
    torch.testing.assert_close(
        model.base_a.sigmoid(), torch.tensor([3 / 4, 1 / 4, 2 / 4], dtype=torch.float64), **EXACT
    )
    energies = model.annealed(0.0).energy(bit_states(3))
    torch.testing.assert_close(model.base_log_partition(), torch.logsumexp(-energies, 0), **EXACT)
    drawn = outcome_probabilities(
        lambda x, generator: model.sample_base(len(x), generator=generator), bit_states(3)[0], bit_states(3)
    )
    torch.testing.assert_close(drawn, boltzmann(energies), **EXACT)


@given(n=st.integers(1, 6), m=st.integers(1, 6), seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_the_exact_log_partition_and_its_gradient_agree_with_enumeration(n, m, seed):
    model = rbm(n, m, seed)
    expected = torch.autograd.grad(enumeration.log_partition(model), (model.W, model.a, model.b))
    found = torch.autograd.grad(model.exact_log_partition(), (model.W, model.a, model.b))
    torch.testing.assert_close(model.exact_log_partition(), enumeration.log_partition(model), **EXACT)
    torch.testing.assert_close(found, expected, **EXACT)


def test_an_rbm_too_large_to_sum_says_so_and_names_the_way_out():
    with pytest.raises(
        ValueError, match=r'at most 25 units, got 26; use log_partition\(model, method="ais"\)'
    ):
        RBM(30, 26).exact_log_partition()
    with pytest.raises(ValueError, match=r"at most 25, got 26"):
        GaussianRBM(3, 26).exact_log_partition()


@pytest.mark.parametrize("make", [RBM, GaussianRBM])
def test_a_wrong_shape_or_dtype_is_named(make):
    model = make(4, 2)
    with pytest.raises(ValueError, match=r"v must end in an axis of 4 units, got shape \(5, 3\)"):
        model.energy(torch.zeros(5, 3))
    with pytest.raises(TypeError, match=r"v is torch.float64 on cpu, the model torch.float32"):
        model.energy(torch.zeros(5, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="n_hidden=0"):
        make(4, 0)


def test_a_generator_fixes_the_first_weights():
    first, second = (RBM(5, 4, generator=torch.Generator().manual_seed(3)).W for _ in range(2))
    assert torch.equal(first, second)
    assert first.std() > 0


@pytest.mark.usefixtures("engine")
def test_a_gibbs_step_in_float32_moves_by_the_exact_transition_matrix():
    # Of 8 · 8 frequencies over 40,000 chains, one is off by six standard deviations with a chance below 2e-7.
    exact = rbm(3, 4).transition_matrix()
    model, n = rbm(3, 4).float(), 40_000
    after = model.gibbs_step(
        bit_states(3).float().repeat_interleave(n, 0), generator=torch.Generator().manual_seed(0)
    )
    number = (after @ torch.tensor([4.0, 2.0, 1.0])).long().reshape(8, n)
    found = torch.stack([row.bincount(minlength=8) for row in number]) / n
    assert ((found - exact).abs() <= 6 * (exact * (1 - exact) / n).sqrt() + 1e-9).all()
