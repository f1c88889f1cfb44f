"""Edges given in many ways, and colours."""

import numpy as np
import pytest
import torch
from graph_cases import F64, GRAPHS, randn
from scipy import sparse

from ebmkit.graphs import GraphIsing, GraphPotts, PairwiseModel, colour_classes, edges_of

DENSE = torch.tensor([[0.0, 0.5, 0.0], [0.5, 0.0, -1.0], [0.0, -1.0, 0.0]], dtype=F64)


@pytest.mark.parametrize(
    "given",
    [
        DENSE,
        DENSE.numpy(),
        DENSE.tolist(),
        DENSE.to_sparse(),
        DENSE.to_sparse_csr(),
        sparse.csr_array(DENSE.numpy()),
    ],
    ids=["tensor", "array", "list", "sparse", "by rows", "SciPy"],
)
def test_a_matrix_of_any_kind_gives_its_edges(given):
    edges, coupling = edges_of(given)
    assert edges.tolist() == [[0, 1], [1, 2]]
    assert coupling.tolist() == [0.5, -1.0]


@pytest.mark.parametrize(
    "edges", [[(0, 1), (1, 2)], np.array([[0, 1], [1, 2]]), torch.tensor([[0.0, 1.0], [1.0, 2.0]])]
)
def test_edges_are_taken_as_lists_arrays_and_tensors(edges):
    assert GraphIsing(edges, 0.3).event_shape == (3,)


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_edge_joins_two_sites_of_one_colour(graph):
    edges, n = GRAPHS[graph]
    classes = colour_classes(edges, n)
    colour = torch.full((n,), -1)
    for k, sites in enumerate(classes):
        colour[sites] = k
    assert (colour >= 0).all()
    assert sum(map(len, classes)) == n
    assert all(colour[i] != colour[j] for i, j in edges)


def test_two_colours_do_where_two_can_do():
    grid = [(i, i + 1) for i in range(99) if i % 10 != 9] + [(i, i + 10) for i in range(90)]
    assert len(colour_classes(grid, 100)) == 2
    odd_ring = [(i, (i + 1) % 5) for i in range(5)]
    assert len(colour_classes(odd_ring, 5)) == 3


WRONG = {
    "a pair twice": (lambda: GraphIsing([(0, 1), (1, 0)]), r"\((0, 1|1, 0)\) is given twice; give it once"),
    "a site joined to itself": (lambda: GraphIsing([(2, 2)]), "site 2 is joined to itself"),
    "three ends": (lambda: GraphIsing([(0, 1, 2)]), r"pairs of sites, shape \(n_edges, 2\), got \(1, 3\)"),
    "a site that is not there": (lambda: GraphIsing([(0, 5)], n_sites=3), r"join sites 0 … 2, got 0 … 5"),
    "no edges and no number": (lambda: GraphIsing([]), "needs n_sites"),
    "half a site": (lambda: GraphIsing([(0, 0.5)]), "whole numbers"),
    "couplings of another number": (
        lambda: GraphIsing([(0, 1)], [0.1, 0.2]),
        r"have shape \(1,\), got \(2,\)",
    ),
    "a coupling of nan": (lambda: GraphIsing([(0, 1)], float("nan")), "coupling must be finite, got nan"),
    "fields of another number": (
        lambda: GraphPotts([(0, 1)], field=[0.1, 0.2], n_values=3),
        r"shape \(2, 3\)",
    ),
    "one value": (lambda: GraphPotts([(0, 1)], n_values=1), "n_values must be at least 2, got 1"),
    "a table that is not symmetric": (
        lambda: PairwiseModel([(0, 1)], alike=[[0.0, 1.0], [2.0, 0.0]]),
        "symmetric matrix",
    ),
    "a matrix that is not symmetric": (lambda: edges_of(randn(3, 3).fill_diagonal_(0)), "must be symmetric"),
    "a matrix that is not square": (lambda: edges_of(randn(3, 2)), r"square matrix, got shape \(3, 2\)"),
    "a diagonal": (lambda: edges_of(torch.eye(2)), "diagonal of couplings must be 0"),
    "infinite couplings": (lambda: edges_of([[0.0, float("inf")], [float("inf"), 0.0]]), "must be finite"),
    "a state of bits": (lambda: GraphIsing([(0, 1)]).energy([0.0, 1.0]), r"one of \(-1.0, 1.0\), got 0.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_that_is_none_is_refused_with_the_way_out(name):
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
