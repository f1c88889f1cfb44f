"""Elimination against enumeration, closed forms, and the transfer matrix."""

import math
import time

import pytest
import torch
from graph_cases import F64, GRAPHS, KINDS, randn, seeded, spins

import ebmkit
from ebmkit import enumeration, graphs
from ebmkit.graphs import BoltzmannMachine, GraphIsing, GraphPotts, PairwiseModel
from ebmkit.ising import Ising

CASES = [(kind, graph) for kind in KINDS for graph in GRAPHS]


@pytest.mark.parametrize(("kind", "graph"), CASES)
def test_log_z_marginals_and_the_most_probable_state_are_those_of_all_states(kind, graph):
    model = KINDS[kind](graph)
    exact = enumeration.log_partition(model)
    torch.testing.assert_close(model.exact_log_partition(), exact, rtol=1e-13, atol=1e-13)
    states, p = enumeration.states(model), enumeration.probabilities(model)
    one = torch.nn.functional.one_hot(model.index(states), len(model.values)).double()
    i, j = model.edges.unbind(1)
    found = graphs.exact_marginals(model)
    torch.testing.assert_close(found.site, torch.einsum("s,siv->iv", p, one))
    torch.testing.assert_close(found.pair, torch.einsum("s,sev,sew->evw", p, one[:, i], one[:, j]))
    best = graphs.map_by_elimination(model)
    assert torch.equal(best, states[model.energy(states).argmin()])


@pytest.mark.parametrize("kind", KINDS)
def test_exact_draws_have_the_probabilities_of_all_states(kind, outcome_probabilities):
    # The draws are replayed over all their choices: no statistics.
    model = KINDS[kind]("triangle with a tail")
    states = enumeration.states(model)
    law = outcome_probabilities(
        lambda x, generator: graphs.exact_sample(model, len(x), generator=generator), states[0], states
    )
    torch.testing.assert_close(law, enumeration.probabilities(model), rtol=0, atol=1e-12)


def test_a_long_chain_and_a_large_ring_have_their_closed_forms():
    n, J = 3000, 0.7
    chain = GraphIsing([(i, i + 1) for i in range(n - 1)], J)
    ring = GraphIsing([(i, (i + 1) % n) for i in range(n)], J)
    cosh = math.log(2 * math.cosh(J))
    assert chain.exact_log_partition().item() == pytest.approx(math.log(2) + (n - 1) * cosh, rel=1e-13)
    assert ring.exact_log_partition().item() == pytest.approx(
        n * cosh, rel=1e-13
    )  # tanh(J)^n is below rounding


def test_potts_on_a_tree_counts_colours():
    # Whatever the tree, each edge multiplies by e^J + q - 1.
    edges = [((k - 1) // 3, k) for k in range(1, 60)]
    model = GraphPotts(edges, 1.3, n_values=5)
    exact = math.log(5) + 59 * math.log(math.exp(1.3) + 4)
    assert model.exact_log_partition().item() == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_grid_is_a_special_case(periodic):
    grid = Ising((4, 5), 0.4, randn(4, 5), periodic)
    graph = grid.on_graph()
    x = 2.0 * (randn(7, 4, 5, seed=3) > 0) - 1
    torch.testing.assert_close(graph.energy(x.flatten(1)), grid.energy(x))
    torch.testing.assert_close(graph.exact_log_partition(), grid.exact_log_partition(), rtol=1e-13, atol=0)


def test_two_bonds_of_one_pair_become_one():
    grid = Ising((2, 3), (randn(2, 3), randn(2, 3, seed=1)), 0.1, periodic=True)
    graph = grid.on_graph()
    assert len(graph.edges) == 9
    torch.testing.assert_close(graph.exact_log_partition(), enumeration.log_partition(grid))


def test_log_z_has_two_derivatives_in_couplings_and_fields():
    model = spins("cube")

    def by_numbers(coupling, field):
        other = model.with_numbers(coupling, field)
        other._parameters.update(coupling=coupling, field=field)
        return graphs.elimination_log_partition(other)

    inputs = [p.detach().clone().requires_grad_(True) for p in (model.coupling, model.field)]
    assert torch.autograd.gradcheck(by_numbers, inputs)
    assert torch.autograd.gradgradcheck(by_numbers, inputs)


def test_the_width_is_named_where_it_is_too_large():
    start = time.process_time()
    with pytest.raises(
        ValueError, match=r"a table over 40 or more sites .* 2\^40 entries.*treewidth is at least 39.*'ais'"
    ):
        BoltzmannMachine(40).exact_log_partition()
    with pytest.raises(ValueError, match=r"3\^14 entries"):
        GraphPotts(torch.combinations(torch.arange(14), 2), n_values=3).exact_log_partition()
    assert time.process_time() - start < 60  # it says so instead of trying


def test_the_widest_graph_that_is_summed_is_right():
    # 21 units all joined with one coupling and field: the energy depends on their number k alone.
    n, w, b = 21, 0.15, -0.3
    exact = torch.logsumexp(
        torch.tensor(
            [math.log(math.comb(n, k)) + w * k * (k - 1) / 2 + b * k for k in range(n + 1)], dtype=F64
        ),
        0,
    )
    torch.testing.assert_close(BoltzmannMachine(n, w, b).exact_log_partition().detach(), exact)


def test_log_partition_finds_elimination_by_itself_and_by_name():
    model = spins("cube")
    exact = enumeration.log_partition(model)
    for method in ("auto", "elimination"):
        value, error, _ = ebmkit.log_partition(model, method)
        torch.testing.assert_close(value, exact)
        assert error == 0


def test_a_table_of_minus_infinity_counts_colourings():
    # The Petersen graph has 120 proper colourings of three colours.
    outer = [(i, (i + 1) % 5) for i in range(5)]
    inner = [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    edges = outer + inner + [(i, i + 5) for i in range(5)]
    model = PairwiseModel(edges, 1.0, alike=-40 * torch.eye(3, dtype=F64))
    assert model.exact_log_partition().exp().item() == pytest.approx(120, rel=1e-12)
    assert len(model.sample(5, generator=seeded()).unique(dim=0)) > 1
