"""Boltzmann machines against enumeration: energies, conditionals, kernels, log Z, bounds and clamping."""

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from ebmkit import chance, enumeration
from ebmkit.annealing import anneal, annealed_importance_sampling
from ebmkit.boltzmann_machines import (
    DBM,
    RBM,
    Clamped,
    GaussianRBM,
    _dbm,
    _sums,
    bit_states,
    classify,
    inpaint,
)

EXACT = {"rtol": 0, "atol": 1e-12}


def randomised(model, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.normal_(std=scale, generator=generator)
    return model


def rbm(n_visible=3, n_hidden=4, seed=0, scale=1.0):
    return randomised(RBM(n_visible, n_hidden, dtype=torch.float64), seed, scale)


def gaussian_rbm(n_visible=2, n_hidden=3, seed=0):
    model = randomised(GaussianRBM(n_visible, n_hidden, dtype=torch.float64), seed)
    with torch.no_grad():
        model.log_sigma.mul_(0.3)
    return model


def dbm(sizes=(3, 2, 2), seed=0, scale=1.0):
    return randomised(DBM(sizes, dtype=torch.float64), seed, scale)


def every_pair(n, m):
    """All (v, h), v along the first axis and h along the second."""
    return bit_states(n)[:, None].expand(-1, 2**m, -1), bit_states(m)[None].expand(2**n, -1, -1)


def boltzmann(energies):
    return (-energies).softmax(-1)


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
    x = model.sample_base(50, generator.manual_seed(1))
    moved, log_weight = model.annealing_step(x, 0.2, 0.7, generator.manual_seed(2))
    expected = model.annealed(0.2).energy(x) - model.annealed(0.7).energy(x)
    torch.testing.assert_close(log_weight, expected, **EXACT)
    assert torch.equal(moved, model.annealed(0.7).gibbs_step(x, generator.manual_seed(2)))


@pytest.mark.parametrize("make", [rbm, gaussian_rbm, dbm])
def test_annealing_takes_the_step_that_shares_its_products(make, monkeypatch):
    model, taken = make(), []
    step = type(model).annealing_step

    def counted(self, x, before, after, generator):
        taken.append(after)
        return step(self, x, before, after, generator)

    monkeypatch.setattr(type(model), "annealing_step", counted)
    anneal(model, betas=[0, 0.3, 0.7, 1], n_chains=2, generator=torch.Generator().manual_seed(0))
    assert {0.3, 0.7, 1.0} == set(taken)


@pytest.mark.parametrize("make", [rbm, gaussian_rbm])
def test_annealing_ends_at_the_model(make):
    model = make()
    x = model.sample_base(20, torch.Generator().manual_seed(0))
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
        lambda x, chance: model.sample_base(len(x), chance), bit_states(3)[0], bit_states(3)
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


@pytest.mark.parametrize("n_summed", [3, 9, 17])
@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_compiled_sum_agrees_with_the_streamed_one(n_summed, scale):
    product_expansion = pytest.importorskip(
        "ebmkit.boltzmann_machines._product_expansion", exc_type=ImportError
    )
    model = rbm(37, n_summed, scale=scale)
    parameters = (model.a.data, model.W.data, model.b.data)
    streamed = _sums.log_sum_over_bits(_sums._closed_form_term, n_summed, *parameters)
    assert product_expansion.log_sum(*(p.numpy() for p in parameters)) == pytest.approx(
        float(streamed), rel=1e-13
    )


def test_the_compiled_sum_declines_what_would_overflow_and_the_answer_stays_right(monkeypatch):
    product_expansion = pytest.importorskip(
        "ebmkit.boltzmann_machines._product_expansion", exc_type=ImportError
    )
    monkeypatch.setattr(_sums, "_WORTH_COMPILING", 0)
    model = rbm(40, 8, scale=200.0)
    assert product_expansion.log_sum(model.a.data.numpy(), model.W.data.numpy(), model.b.data.numpy()) is None
    # With edges this strong one state holds almost all of Z: a lower and an upper bound pinch it.
    h = bit_states(8)
    best = (h @ model.b + (h @ model.W.T + model.a).relu().sum(-1)).max()
    assert best <= model.exact_log_partition() <= best + (40 + 8) * math.log(2)


def test_sums_in_small_blocks_are_the_same_sums(monkeypatch):
    machine, deep = rbm(6, 5), dbm((3, 3, 4))

    def answers():
        log_z, free_energy = machine.exact_log_partition(), deep.free_energy(bit_states(3))
        slopes = torch.autograd.grad(log_z, (machine.W, machine.a, machine.b))
        return log_z, free_energy, *slopes

    whole = answers()
    monkeypatch.setattr(_sums, "_STATES_AT_ONCE", 3)
    monkeypatch.setattr(_dbm, "_ELEMENTS_AT_ONCE", 3)
    torch.testing.assert_close(answers(), whole, **EXACT)


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


# --- Gaussian visible units ------------------------------------------------------------------------------


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
        mean = model.gibbs_step(grid, chance)
        chance.noise = torch.ones(1, dtype=torch.float64)
        torch.testing.assert_close(model.gibbs_step(grid, chance) - mean, sigma.expand(2001, 1), **EXACT)
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
    draws = model.sample_base(40_000, torch.Generator().manual_seed(0))
    sigma = model.log_sigma.exp()
    assert abs(draws.mean() - model.base_a) < 6 * sigma / 200


# --- deep machines ---------------------------------------------------------------------------------------


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
    matrix = transition_matrix(lambda x, chance: model.annealing_step(x, 0.1, 0.4, chance)[0], odd)
    torch.testing.assert_close(p @ matrix, p, **EXACT)
    assert model.sample_base(6, torch.Generator().manual_seed(0)).shape == (6, 2)


@pytest.mark.parametrize("make", [lambda: rbm(6, 5), lambda: dbm((4, 3, 3))])
def test_annealed_importance_sampling_finds_the_exact_log_partition(make):
    model = make()
    # E[weight] is Z exactly; 400 chains and 200 temperatures leave a log-weight spread below 0.4, so an error
    # of 0.2 is ten standard errors.
    estimate = annealed_importance_sampling(
        model, betas=200, n_chains=400, generator=torch.Generator().manual_seed(0)
    )
    assert estimate.std_error < 0.02
    assert abs(estimate.value - model.exact_log_partition()) < 0.2


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


# --- clamping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "free"), [(lambda: rbm(4, 3), (1, 3)), (lambda: dbm((4, 2, 1)), (1, 3, 4, 5, 6))]
)
def test_clamped_gibbs_leaves_the_conditional_distribution_invariant(transition_matrix, make, free):
    model = make()
    size = model.event_shape[0]
    known = torch.ones(size, dtype=torch.bool)
    known[list(free)] = False
    values = torch.ones(size, dtype=torch.float64)
    states = values.repeat(2 ** len(free), 1)
    states[:, list(free)] = bit_states(len(free))
    clamped = Clamped(model, values, known)
    p = boltzmann(model.energy(states))
    torch.testing.assert_close(p @ transition_matrix(clamped.gibbs_step, states), p, **EXACT)
    torch.testing.assert_close(
        clamped.energy(torch.zeros_like(states) + (~known) * states), model.energy(states)
    )


def test_an_odd_layer_cannot_be_clamped():
    model, known = dbm((3, 2, 2)), torch.zeros(7, dtype=torch.bool)
    known[3] = True
    with pytest.raises(ValueError, match="odd layer"):
        Clamped(model, torch.zeros(7), known)
    with pytest.raises(TypeError, match="known must be a bool tensor, got"):
        Clamped(model, torch.zeros(7), torch.zeros(7))


@pytest.mark.parametrize("make", [lambda: rbm(4, 3), lambda: dbm((4, 3, 2)), lambda: gaussian_rbm(4, 3)])
def test_inpainting_keeps_the_known_pixels_and_draws_the_others(make):
    v = torch.full((500, 4), 0.25, dtype=torch.float64)
    v[:, :2] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    known = torch.tensor([True, True, False, False])
    filled = inpaint(make(), v, known, 3, torch.Generator().manual_seed(0))
    assert torch.equal(filled[:, :2], v[:, :2])
    assert (filled[:, 2:] != 0.25).all()
    assert len(filled[:, 2:].unique()) > 1


@pytest.mark.parametrize("generator", [None, 0, np.random.default_rng(0), np.random.RandomState(0)])
@pytest.mark.parametrize("draw", ["bernoulli", "bits", "categorical", "uniform", "normal"])
def test_a_draw_from_what_is_no_generator_names_torchs(draw, generator):
    with pytest.raises(TypeError, match=r"torch.Generator, got .*; use torch.Generator\(\).manual_seed\(0\)"):
        getattr(chance, draw)(torch.full((2, 2), 0.5), generator)


def test_inpainting_refuses_a_negative_number_of_steps():
    with pytest.raises(ValueError, match="n_steps must be at least 0, got -1"):
        inpaint(rbm(2, 2), torch.zeros(2, dtype=torch.float64), torch.tensor([True, False]), -1, None)


@pytest.mark.parametrize("data", [torch.zeros(0, 3), torch.tensor([[0.0, math.nan, 1.0]])])
def test_the_rates_of_a_gaussian_rbm_need_data_that_are_numbers(data):
    with pytest.raises(ValueError, match=r"data must be finite and at least one row, got shape"):
        gaussian_rbm(3, 2).set_base_rates(data.double())


@pytest.mark.parametrize(
    ("make", "free_energy"), [(lambda: rbm(5, 4), "energy"), (lambda: dbm((5, 3, 2)), "free_energy")]
)
def test_classifying_by_clamped_labels_is_bayes_rule_over_one_hot_labels(make, free_energy):
    energy = getattr(make(), free_energy)
    pixels, labels = bit_states(3), torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    joint = torch.stack([(-energy(torch.cat([pixels, y.expand(8, -1)], 1))).exp() for y in labels], 1)
    torch.testing.assert_close(classify(energy, pixels, 2).exp(), joint / joint.sum(1, keepdim=True), **EXACT)


def test_the_compiled_exact_sum_leaves_the_number_of_torchs_threads_alone():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 + (os.cpu_count() or 1))  # numba would choose the number of cores
        RBM(2**12, 12).exact_log_partition()
        assert torch.get_num_threads() == 1 + (os.cpu_count() or 1)
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_are_0_or_1_with_the_given_probability(dtype):
    # The mean of n draws is more than six of its standard deviations away from p with a chance below 2e-8 in all.
    p = torch.tensor([0.0, 0.003, 0.5, 0.8, 1 - 2**-10, 1.0], dtype=dtype)
    x = chance.bits(p.repeat(400_001, 1), torch.Generator().manual_seed(0))
    assert ((x.double().mean(0) - p).abs() <= 6 * (p * (1 - p) / len(x)).sqrt()).all()
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert x.dtype == dtype


@pytest.mark.usefixtures("engine")
def test_bits_keep_a_probability_below_one_step_of_16_random_bits():
    # 45.8 ones are expected. Left to torch, one number decides for each of 200 calls whether ones are possible at
    # all, so their count is Poisson with mean 0.92 Binomial(200, 1/4): below 10 or above 100 with a chance below
    # 3e-7. Compiled it is Poisson with mean 45.8, and so with a chance below 1e-9.
    p, generator = torch.full((60_001,), 2**-18), torch.Generator().manual_seed(0)
    assert 10 <= sum(chance.bits(p, generator).sum().item() for _ in range(200)) <= 100


@pytest.mark.parametrize(("dtype", "below_1"), [(torch.float32, 1 - 2**-24), (torch.float64, 1 - 2**-53)])
def test_bits_of_probability_1_are_on_even_at_the_largest_random_numbers(dtype, below_1, monkeypatch):
    def largest(self, low, high, generator):
        return self.fill_(-1 if high is None else high - 1)  # -1 has every bit set

    monkeypatch.setattr(torch.Tensor, "random_", largest)
    p = torch.tensor([1.0, below_1, 0.5, 0.0], dtype=dtype)
    assert chance.bits(p, torch.Generator()).tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.usefixtures("engine")
def test_bits_of_one_call_are_independent_of_each_other():
    # Over 600,000 pairs a correlation is off zero by six of its standard deviations 1/√600,000 with chance 2e-9.
    p = torch.full((600_000, 3), 0.4)
    x = chance.bits(p, torch.Generator().manual_seed(1))
    later = chance.bits(p, torch.Generator().manual_seed(2))
    for one, other in ((x[:, 0], x[:, 1]), (x[:, 1], x[:, 2]), (x[1:, 0], x[:-1, 2]), (x[:, 0], later[:, 0])):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 6 / 600_000**0.5


# --- Draws that are compiled


def words_of(stream, count):
    """SFC as its author writes it down, in Python's integers: the words of each generator in turn."""
    mask = 2**32 - 1
    a, b, c = ([int(word) for word in part] for part in np.split(stream, 3))
    for counter in range(count):
        for q in range(len(a)):
            word = (a[q] + b[q] + counter) & mask
            a[q] = b[q] ^ (b[q] >> 9)
            b[q] = (c[q] + (c[q] << 3)) & mask
            c[q] = ((c[q] << 21 | c[q] >> 11) + word) & mask
            yield word


@pytest.fixture
def kernels():
    return pytest.importorskip("ebmkit._chance_kernels", exc_type=ImportError)


def compiled_layer(kernels, field, bias, n_drawn, **sums):
    """p, bits and the words they were drawn with."""
    p, drawn = field.clone(), torch.empty(n_drawn, field.shape[1])
    words = chance.stream(kernels, torch.Generator().manual_seed(3))
    arrays = {name: tensor.numpy() for name, tensor in sums.items()}
    kernels.draw_layer(p.numpy(), bias.numpy(), drawn.numpy(), words.copy(), **arrays)
    return p, drawn, words


def test_a_compiled_bit_is_on_where_its_own_24_random_bits_are_below_its_probability(kernels):
    p = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    p[::7], p[1::7] = 0, 1
    words = chance.stream(kernels, torch.Generator().manual_seed(1))
    drawn = torch.empty_like(p)
    kernels.draw(p.numpy(), drawn.numpy(), words.copy())
    expected = [float((word >> 8) / 2**24 < q) for word, q in zip(words_of(words, 16), p.tolist())]
    assert drawn.tolist() == expected


def test_the_streams_of_several_parts_are_words_of_their_own(kernels):
    words = chance.streams(4, kernels, torch.Generator().manual_seed(1))
    assert words.shape == (4, kernels.STREAM)
    assert len(np.unique(words)) >= words.size - 2  # three pairs of 768 words meet with a chance below 1e-12
    assert np.array_equal(words[0], chance.stream(kernels, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("n", [1, 64, 100])
def test_a_compiled_layer_draws_its_last_rows_with_words_of_their_own(kernels, n):
    field = torch.randn(5, n, generator=torch.Generator().manual_seed(0))
    p, drawn, stream = compiled_layer(kernels, field, torch.zeros(n), 3)
    blocks = -(-n // kernels.BLOCK)
    words = np.array(list(words_of(stream, 3 * blocks))).reshape(3, -1)[:, :n]
    assert np.array_equal(drawn.numpy(), (words >> 8) * 2.0**-24 < p.numpy()[2:])


def test_a_compiled_layer_adds_the_other_half_of_its_field(kernels):
    halves, bias = torch.randn(2, 5, 100), torch.randn(100)
    found, drawn, _ = compiled_layer(kernels, halves[0], bias, 3, more=halves[1])
    expected, same, _ = compiled_layer(kernels, halves.sum(0), bias, 3)
    assert torch.equal(drawn, same)
    assert torch.equal(found, expected)


def test_the_compiled_sigmoid_is_right_to_the_last_bit_of_a_float32_and_lets_nan_through(kernels):
    x = torch.cat([torch.linspace(-120, 120, 2_000_001), torch.tensor([math.inf, -math.inf, math.nan])])
    found, _, _ = compiled_layer(kernels, x[:, None] - 0.5, torch.tensor([0.5]), 0)
    exact = (x[:, None] - 0.5 + torch.tensor(0.5)).double().sigmoid()
    assert (found - exact)[:-1].abs().max() <= 2**-23
    assert found[:-1].min() >= 0
    assert found[:-1].max() <= 1
    assert found[-1].isnan()
    tail = (x >= -80) & (x < 0)
    torch.testing.assert_close(found[tail].double(), exact[tail], rtol=1e-5, atol=0)


def test_a_compiled_layer_shares_out_its_rows_and_sums_them(kernels):
    field, bias = torch.randn(7, 100), torch.randn(100)
    share, total = torch.randn(7), torch.full((100,), math.nan)
    plain, drawn, _ = compiled_layer(kernels, field, bias, 4)
    found, same, _ = compiled_layer(kernels, field, bias, 4, share=share, total=total)
    assert torch.equal(drawn, same)
    torch.testing.assert_close(found, plain * share[:, None])
    torch.testing.assert_close(total, found.sum(0))


@pytest.mark.usefixtures("engine")
def test_a_gibbs_step_in_float32_moves_by_the_exact_transition_matrix():
    # Of 8 · 8 frequencies over 40,000 chains, one is off by six standard deviations with a chance below 2e-7.
    exact = rbm(3, 4).transition_matrix()
    model, n = rbm(3, 4).float(), 40_000
    after = model.gibbs_step(bit_states(3).float().repeat_interleave(n, 0), torch.Generator().manual_seed(0))
    number = (after @ torch.tensor([4.0, 2.0, 1.0])).long().reshape(8, n)
    found = torch.stack([row.bincount(minlength=8) for row in number]) / n
    assert ((found - exact).abs() <= 6 * (exact * (1 - exact) / n).sqrt() + 1e-9).all()


def test_draws_are_compiled_for_many_float32_numbers_of_a_torch_generator_alone(kernels):
    many, source = torch.rand(2**13), torch.Generator()
    assert chance.compiled(many, source) is kernels
    for other in (many[1:], many.double(), many.expand(2, -1), many.to("meta")):
        assert chance.compiled(other, source) is None
    assert chance.compiled(many, object()) is None


@pytest.mark.parametrize("trouble", ["no numba", "no folder for what it compiles"])
def test_draws_are_left_to_torch_where_numba_cannot_be_used(trouble, monkeypatch):
    def no_folder(*_, **__):
        raise RuntimeError("cannot cache function: no locator available")

    if trouble == "no numba":
        monkeypatch.setitem(sys.modules, "numba", None)
    else:
        monkeypatch.setattr(pytest.importorskip("numba"), "njit", no_folder)
    monkeypatch.delitem(sys.modules, "ebmkit._chance_kernels", raising=False)
    monkeypatch.delattr("ebmkit._chance_kernels", raising=False)
    chance._kernels.cache_clear()
    try:
        p = torch.full((2**13,), 0.5)
        assert chance.compiled(p, torch.Generator()) is None
        assert set(chance.bits(p, torch.Generator()).tolist()) == {0.0, 1.0}
    finally:
        chance._kernels.cache_clear()


def test_numba_is_not_loaded_before_it_is_needed():
    program = """
import sys, torch
from ebmkit.boltzmann_machines import RBM
from ebmkit.contrastive_divergence import fit
fit(RBM(4, 3), torch.ones(6, 4), generator=torch.Generator(), n_epochs=1)
sys.exit("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_bit_states_count_with_the_last_unit_fastest():
    assert torch.equal(bit_states(3), enumeration.states(rbm(3, 1)))
