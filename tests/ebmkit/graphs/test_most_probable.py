"""The most probable spins by a minimum cut, against all states and against elimination."""

import pytest
import torch
from graph_cases import GRAPHS, bits, randn, spins

from ebmkit import enumeration
from ebmkit.graphs import GraphIsing, map_by_elimination, map_by_max_flow


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_cut_is_the_most_probable_of_all_states(graph, seed):
    model = spins(graph, seed)
    model.coupling.data.abs_()
    states = enumeration.states(model)
    best = map_by_max_flow(model)
    assert model.energy(best) == model.energy(states).min()
    assert torch.equal(best, map_by_elimination(model))


def test_the_minimum_cut_of_a_long_ladder_is_that_of_elimination():
    n = 150
    edges = [(2 * k + side, 2 * k + 2 + side) for k in range(n - 1) for side in (0, 1)]
    edges += [(2 * k, 2 * k + 1) for k in range(n)]
    model = GraphIsing(edges, randn(len(edges)).abs(), randn(2 * n, seed=1))
    assert torch.equal(map_by_max_flow(model), map_by_elimination(model))


def test_what_no_cut_can_do_is_refused():
    with pytest.raises(
        ValueError, match=r"coupling of \(1, 2\) is -1: a minimum cut needs every coupling >= 0"
    ):
        map_by_max_flow(GraphIsing([(0, 1), (1, 2)], [0.5, -1.0]))
    with pytest.raises(TypeError, match=r"as_ising\(\) is one"):
        map_by_max_flow(bits("edge"))
