"""Gibbs sweeps on a graph: exact laws, and the compiled sweep beside them."""

import pytest
import torch
from graph_cases import GRAPHS, KINDS, bits, seeded, spins
from scipy import stats

from ebmkit import chance, enumeration, mcmc, testing
from ebmkit.graphs import GraphIsing


@pytest.mark.parametrize("graph", [g for g in GRAPHS if g != "cube"])
@pytest.mark.parametrize("kind", KINDS)
def test_sweeps_leave_p_invariant(kind, graph):
    model = KINDS[kind](graph)
    done = testing.check_kernel(mcmc.Gibbs(model))
    assert "keeps the contract" in done
    assert enumeration.n_states(model) > 256 or "every state is reached" in done


@pytest.mark.parametrize("kind", KINDS)
def test_conditionals_are_ratios_of_probabilities(kind):
    model = KINDS[kind]("triangle with a tail")
    x = enumeration.states(model)[::7]
    p = model.log_conditionals(x).exp()
    torch.testing.assert_close(p.sum(-1), torch.ones(x.shape, dtype=p.dtype))
    for site in range(x.shape[1]):
        for v, value in enumerate(model.values):
            changed = x.clone()
            changed[:, site] = value
            ratio = torch.exp(model.energy(x) - model.energy(changed))
            own = p[:, site].gather(1, model.index(x)[:, site, None])[:, 0]
            torch.testing.assert_close(p[:, site, v], own * ratio)


@pytest.mark.parametrize("make", [spins, bits])
def test_a_compiled_sweep_draws_from_the_exact_law(make):
    """From exact draws, 40,000 chains after five sweeps are again exact draws: Pearson's χ² at 1e-7."""
    pytest.importorskip("numba")
    model = make("triangle with a tail").float()
    x = model.sample(40_000, generator=seeded(1))
    assert chance.compiled(x, generator=seeded()) is not None
    before = x.clone()
    generator = seeded(2)
    for _ in range(5):
        x = model.gibbs_step(x, generator=generator)
        assert x.dtype == torch.float32
    assert not torch.equal(before, x)
    states, p = enumeration.states(model), enumeration.probabilities(model).detach()
    number = (x[:, None] == states).all(-1).float().argmax(-1)
    counts = torch.bincount(number, minlength=len(states)).double()
    expected = p / p.sum() * counts.sum()
    common = expected >= 5
    seen, wanted = (torch.cat([c[common], c[~common].sum()[None]]) for c in (counts, expected))
    keep = wanted > 0
    assert stats.chisquare(seen[keep].numpy(), wanted[keep].numpy()).pvalue > 1e-7


def test_a_compiled_sweep_is_the_plain_one_where_nothing_is_left_to_chance():
    pytest.importorskip("numba")
    edges = [(i, (i + 1) % 50) for i in range(50)] + [(i, (i + 7) % 50) for i in range(50)]
    field = 300.0 * (2.0 * torch.bernoulli(torch.full((50,), 0.5), generator=seeded(3)) - 1)
    model = GraphIsing(edges, 60.0 * torch.randn(100, generator=seeded(2)), field).float()
    x = 2.0 * torch.bernoulli(torch.full((300, 50), 0.5), generator=seeded(4)) - 1
    assert chance.compiled(x, generator=seeded()) is not None
    compiled, plain = (
        model.gibbs_step(x, generator=seeded()),
        model.double().gibbs_step(x.double(), generator=seeded()),
    )
    assert (compiled.double() == plain).float().mean() > 0.999


def test_the_same_generator_sweeps_the_same_way():
    model = spins("cube").float()
    x = model.sample(2000, generator=seeded(1))
    assert torch.equal(model.gibbs_step(x, generator=seeded(5)), model.gibbs_step(x, generator=seeded(5)))
    assert not torch.equal(model.gibbs_step(x, generator=seeded(5)), model.gibbs_step(x, generator=seeded(6)))
