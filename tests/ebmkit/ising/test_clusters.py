"""Clusters are the connected components."""

import torch
from ising_cases import generator

from ebmkit import ising


def test_cluster_roots_are_the_connected_components():
    g = generator()
    right, down = torch.rand(20, 6, 7, generator=g) < 0.5, torch.rand(20, 6, 7, generator=g) < 0.5
    roots = ising._clusters._cluster_roots(right, down)
    assert torch.equal(ising._clusters._roots_by_spreading(right, down), roots)
    for k in range(20):
        graph = torch.zeros(42, 42)
        site = torch.arange(42).reshape(6, 7)
        graph[site[right[k]], site.roll(-1, -1)[right[k]]] = 1
        graph[site[down[k]], site.roll(-1, -2)[down[k]]] = 1
        reach = torch.linalg.matrix_power(((graph + graph.T + torch.eye(42)) > 0).double(), 42) > 0
        assert torch.equal(roots[k], reach.double().argmax(1))
