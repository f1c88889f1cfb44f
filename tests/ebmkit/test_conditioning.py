"""Conditioning against the conditional distributions that enumeration, algebra and quadrature give."""

import math

import pytest
import torch
from machine_cases import EXACT, dbm, gaussian_rbm, rbm
from toy_models import Table, correlated_gaussian

import ebmkit
from ebmkit import contrastive_divergence, enumeration, mcmc
from ebmkit.ising import Ising

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def grid():
    g = generator()
    return Ising((2, 3), 0.4, torch.randn(2, 3, generator=g, dtype=F64))


MODELS = {
    "an Ising model": grid,
    "an RBM": lambda: rbm(4, 3),
    "a DBM": lambda: dbm((3, 2, 1)),
    "a table": lambda: Table((2, 2), (0.0, 1.0, 2.0)),
}


@pytest.fixture(params=MODELS)
def given(request):
    """A model, one x of it and which of its places are known: not the first, the last or the third."""
    model = MODELS[request.param]()
    states = enumeration.states(model)
    known = torch.ones(model.event_shape, dtype=torch.bool)
    known.view(-1)[[0, 2, -1]] = False
    return model, states[len(states) // 3], known


def test_the_energy_of_the_free_is_the_energy_of_the_whole(given):
    model, x, known = given
    held = ebmkit.condition(model, x, known)
    free = enumeration.states(held)
    whole = held.join(free)
    assert torch.equal(whole[:, known], x[known].expand(len(free), -1))
    assert torch.equal(held.free(whole), free)
    assert torch.equal(whole.reshape(len(free), -1)[:, ~known.flatten()], free)
    torch.testing.assert_close(held.energy(free), model.energy(whole), **EXACT)


def test_the_law_of_the_free_is_bayes_rule(given):
    model, x, known = given
    held = ebmkit.condition(model, x, known)
    states, p = enumeration.states(model), enumeration.probabilities(model)
    matches = (states[:, known] == x[known]).all(-1)
    torch.testing.assert_close(enumeration.probabilities(held), p[matches] / p[matches].sum(), **EXACT)
    log_z = ebmkit.log_partition(model).value
    torch.testing.assert_close(ebmkit.log_partition(held).value, p[matches].sum().log() + log_z, **EXACT)


def test_gibbs_leaves_the_conditional_law_invariant(given, transition_matrix):
    model, x, known = given
    held = ebmkit.condition(model, x, known)
    kernel = mcmc.Gibbs(held)
    states, p = enumeration.states(held), enumeration.probabilities(held)

    def step(free, *, generator):
        return kernel.step(kernel.init(free), generator=generator)[0].position

    matrix = transition_matrix(step, states)
    torch.testing.assert_close(p @ matrix, p, rtol=0, atol=1e-7)
    assert (torch.linalg.matrix_power(matrix, 4) > 0).all()


def test_metropolis_never_frees_what_is_held():
    model = rbm(3, 2)
    held = ebmkit.condition(model, [1.0, 0.0, 0.0], [True, False, False])
    kernel = mcmc.MetropolisHastings(held, mcmc.CoordinateFlip(held))
    draws = mcmc.sample(kernel, torch.zeros(5, 2, dtype=F64), 20, generator=generator())
    assert (held.join(draws)[..., 0] == 1).all()


def test_a_gaussian_rbm_with_a_unit_held_has_the_log_z_of_quadrature():
    model = gaussian_rbm(2, 3)
    held = ebmkit.condition(model, [0.7, 0.0], [True, False])
    line = torch.linspace(-40, 40, 400_001, dtype=F64)
    whole = torch.stack([torch.full_like(line, 0.7), line], -1)
    exact = (-model.energy(whole)).logsumexp(0) + math.log(80 / 400_000)
    found = ebmkit.log_partition(held, "quadrature").value
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-6)


def test_hmc_draws_from_the_conditional_gaussian():
    model = correlated_gaussian()
    held = ebmkit.condition(model, [0.0, 1.0], [False, True])
    draws = mcmc.sample(
        mcmc.HMC(held, 0.5, 5), torch.zeros(4000, 1, dtype=F64), 1, generator=generator(), burn_in=60
    )
    mean, variance = 1 + 0.8 / 2 * (1 + 2), 1 - 0.8**2 / 2
    # Six standard errors of 4,000 independent chains: a false alarm has probability 4e-9.
    assert abs(float(draws.mean()) - mean) < 6 * math.sqrt(variance / 4000)
    assert abs(float(draws.var()) - variance) < 6 * variance * math.sqrt(2 / 4000)


def test_every_chain_may_know_something_else():
    model = rbm(4, 3)
    x = enumeration.states(model)[[3, 9, 12]]
    known = torch.tensor([True, True, False, False])
    batch = ebmkit.condition(model, x, known)
    free = torch.zeros(3, 2, dtype=F64)
    alone = torch.stack([ebmkit.condition(model, row, known).energy(free[0]) for row in x])
    torch.testing.assert_close(batch.energy(free), alone, **EXACT)
    moved = batch.gibbs_step(free, generator=generator())
    assert torch.equal(batch.join(moved)[:, :2], x[:, :2])


def test_a_learner_learns_the_conditional_law():
    model = rbm(4, 3)
    held = ebmkit.condition(model, [1.0, 0.0, 0.0, 0.0], [True, False, False, False])
    data = enumeration.states(held)[[1, 2, 2, 7]]
    gradient = contrastive_divergence.maximum_likelihood(held, data).parameters["model.W"]
    loss = held.energy(data).mean() + ebmkit.log_partition(held).value
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, model.W)[0], **EXACT)
    history = contrastive_divergence.fit(
        held, data, contrastive_divergence.cd, generator=generator(), n_epochs=2
    )
    assert len(history["epoch"]) == 2


@pytest.mark.parametrize(
    ("x", "known", "error", "message"),
    [
        (
            [1.0, 0.0, 0.0],
            [1, 0, 0],
            TypeError,
            "known must be a bool tensor, got torch.int64; use known.bool",
        ),
        ([1.0, 0.0, 0.0], [True, False], ValueError, r"known must have shape \(3,\), got \(2,\)"),
        ([1.0, 0.0, 0.0], [True, True, True], ValueError, "everything is known"),
        ([0.5, 0.0, 0.0], [True, False, False], ValueError, r"one of \(0.0, 1.0\), got 0.5"),
        (
            [math.nan, 0.0, 0.0],
            [True, False, False],
            ValueError,
            "what is known of x must be finite, got nan",
        ),
        ([1.0, 0.0], [True, False, False], ValueError, r"x must have shape \(..., 3\), got \(2,\)"),
    ],
)
def test_what_cannot_be_known_is_refused(x, known, error, message):
    with pytest.raises(error, match=message):
        ebmkit.condition(rbm(3, 2), x, known)
