"""Clusters are the connected components, and the compiled update of them has the law of the plain one."""

import pytest
import torch
from ising_cases import F64, generator, random_ising, random_spins
from scipy import stats

from ebmkit import enumeration, ising
from ebmkit.ising import Ising

LATTICES = {
    "grid": random_ising(2, 3),
    "ring_of_five": random_ising(1, 5, periodic=True),
    "ring_of_four_without_field": random_ising(4, 1, periodic=True, field=False),
    "smallest_torus": random_ising(2, 2, periodic=True),
    "torus_without_field": random_ising(3, 2, periodic=True, field=False, scale=0.4),
}


def components(right, down):
    """For every site of one lattice `(n, m)` the first site that frozen bonds lead to; `(n·m,)`."""
    size = right.numel()
    graph, site = torch.eye(size), torch.arange(size).reshape(right.shape)
    graph[site[right], site.roll(-1, -1)[right]] = 1
    graph[site[down], site.roll(-1, -2)[down]] = 1
    reach = torch.linalg.matrix_power(((graph + graph.T) > 0).double(), size) > 0
    return reach.double().argmax(1)


def test_cluster_roots_are_the_connected_components():
    g = generator()
    right, down = torch.rand(20, 6, 7, generator=g) < 0.5, torch.rand(20, 6, 7, generator=g) < 0.5
    roots = ising._clusters._cluster_roots(right, down)
    for k in range(20):
        assert torch.equal(roots[k], components(right[k], down[k]))


@pytest.mark.parametrize("field", [0.0, 1e-9])
@pytest.mark.parametrize("shape", [(6, 7), (1, 9), (9, 1), (2, 2), (17, 16)])
def test_compiled_clusters_are_those_of_the_frozen_bonds(shape, field):
    """Couplings of 0 and ±30 leave only coins to chance; two clusters have the same 64 of them once in 2^64."""
    pytest.importorskip("numba")
    g = generator(1)
    strength = [30.0 * torch.randint(-1, 2, shape, generator=g).double() for _ in range(2)]
    model = Ising(shape, tuple(strength), field, periodic=True)
    spins = random_spins(shape, seed=2)
    satisfied = [
        bonds * spins * spins.roll(-1, axis) > 0
        for bonds, axis in ((model.horizontal, -1), (model.vertical, -2))
    ]
    root = components(*satisfied)
    after = ising.swendsen_wang(model, spins.expand(64, *shape), generator=generator(3))
    coins = (after != spins).flatten(1).T
    assert torch.equal((coins[:, None] == coins).all(-1), root[:, None] == root)


def code(spins):
    """The binary number that the signs of spins `(..., n, m)` spell."""
    up = (spins > 0).flatten(-2).long()
    return (up << torch.arange(up.shape[-1])).sum(-1)


@pytest.mark.parametrize("lattice", LATTICES)
def test_compiled_clusters_have_the_exact_law(lattice, outcome_probabilities):
    """Where 200,000 chains go from one state, χ² against the plain update over all its choices.

    Four states of five lattices, each at 1e-8: a right update fails at most once in five million runs.
    """
    pytest.importorskip("numba")
    model = LATTICES[lattice]
    states = enumeration.states(model)
    for number in range(0, len(states), len(states) // 4):
        start = states[number]
        p = outcome_probabilities(
            lambda x, generator, m=model: ising.swendsen_wang(m, x, generator=generator), start, states
        )
        x = ising.swendsen_wang(model, start.expand(200_000, *start.shape), generator=generator(number))
        counts = torch.bincount(code(x), minlength=len(p))[code(states)].double()
        assert counts[p == 0].sum() == 0
        expected = p * len(x)
        common = expected >= 50
        seen, wanted = (torch.cat([c[common], c[~common].sum()[None]]) for c in (counts, expected))
        there = wanted > 0
        assert stats.chisquare(seen[there].numpy(), wanted[there].numpy()).pvalue > 1e-8


def test_a_compiled_update_never_depends_on_the_number_of_threads():
    pytest.importorskip("numba")
    model, spins = random_ising(5, 6, periodic=True), random_spins((9, 5, 6))
    threads = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(ising.swendsen_wang(model, spins, generator=generator()))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float32, F64])
def test_chains_are_updated_wherever_they_stand_in_memory(dtype):
    model, chains = random_ising(3, 4), random_spins((5, 3, 4)).to(dtype)
    after = ising.swendsen_wang(model, chains, generator=generator())
    there = torch.empty(4, 3, 5, dtype=dtype).copy_(chains.permute(2, 1, 0)).permute(2, 1, 0)
    assert not there.is_contiguous()
    assert torch.equal(ising.swendsen_wang(model, there, generator=generator()), after)
    assert torch.equal(there, chains)
    batched = ising.swendsen_wang(model, chains[:, None], generator=generator())
    assert torch.equal(batched, after[:, None])
    assert ising.swendsen_wang(model, chains[0], generator=generator()).shape == (3, 4)
    assert ising.swendsen_wang(model, chains[:0], generator=generator()).shape == (0, 3, 4)
