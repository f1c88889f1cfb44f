"""Belief propagation: exact on trees, a fixed point elsewhere, and honest about both."""

import math

import pytest
import torch
from graph_cases import F64, KINDS, TREES, randn, spins

from ebmkit.graphs import GraphIsing, belief_propagation, exact_marginals


@pytest.mark.parametrize("graph", TREES)
@pytest.mark.parametrize("kind", KINDS)
def test_beliefs_are_exact_on_trees(kind, graph):
    model = KINDS[kind](graph)
    found = belief_propagation(model)
    assert found.converged
    torch.testing.assert_close(found.log_partition, model.exact_log_partition().detach(), rtol=0, atol=1e-8)
    exact = exact_marginals(model)
    torch.testing.assert_close(found.marginals.site, exact.site, rtol=0, atol=1e-8)
    torch.testing.assert_close(found.marginals.pair, exact.pair, rtol=0, atol=1e-8)


def test_beliefs_are_exact_on_a_large_random_tree():
    parents = [
        int(u * k) for k, u in enumerate(torch.rand(300, generator=torch.Generator().manual_seed(0)), 1)
    ]
    edges = [(parent, k) for k, parent in enumerate(parents, 1)]
    model = GraphIsing(edges, randn(300), randn(301, seed=1))
    found = belief_propagation(model)
    torch.testing.assert_close(found.log_partition, model.exact_log_partition().detach(), rtol=1e-10, atol=0)


def test_on_a_ring_bethe_leaves_out_what_goes_around():
    # Z = (2 cosh J)^n + (2 sinh J)^n, and the fixed point without field keeps the first term.
    n, J = 6, 0.5
    ring = GraphIsing([(i, (i + 1) % n) for i in range(n)], torch.tensor(J, dtype=F64))
    found = belief_propagation(ring)
    assert found.log_partition.item() == pytest.approx(n * math.log(2 * math.cosh(J)), rel=1e-9)
    around = math.log1p(math.tanh(J) ** n)
    assert (ring.exact_log_partition() - found.log_partition).item() == pytest.approx(around, rel=1e-6)


def test_on_a_graph_with_loops_beliefs_of_edges_and_sites_agree_and_log_z_is_off():
    model = spins("cube")
    found = belief_propagation(model)
    assert found.converged
    i, j = model.edges.unbind(1)
    torch.testing.assert_close(found.marginals.pair.sum(2), found.marginals.site[i], rtol=0, atol=1e-8)
    torch.testing.assert_close(found.marginals.pair.sum(1), found.marginals.site[j], rtol=0, atol=1e-8)
    off = abs(found.log_partition - model.exact_log_partition()).item()
    assert 1e-4 < off < 1.0


def test_messages_that_do_not_settle_are_said_to_be_so():
    frustrated = GraphIsing([(i, j) for i in range(6) for j in range(i)], -3.0, randn(6))
    found = belief_propagation(frustrated, n_iterations=50, damping=0.0)
    assert not found.converged
    assert found.residual > 1e-3
    with pytest.raises(ValueError, match=r"damping must lie in \[0, 1\), got 1"):
        belief_propagation(frustrated, damping=1.0)
