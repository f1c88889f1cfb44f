"""Small graphs whose states can be counted, and the models on them."""

import torch

from ebmkit.graphs import BoltzmannMachine, GraphIsing, GraphPotts, PairwiseModel

F64 = torch.float64
GRAPHS = {
    "edge": ([(0, 1)], 2),
    "triangle with a tail": ([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)], 5),
    "two parts and a lonely site": ([(0, 1), (3, 4)], 6),
    "complete": ([(i, j) for i in range(5) for j in range(i)], 5),
    "no edges": ([], 3),
    "cube": ([(i, i ^ bit) for i in range(8) for bit in (1, 2, 4) if i < i ^ bit], 8),
}
TREES = ("edge", "two parts and a lonely site", "no edges")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=F64)


def spins(graph, seed=0):
    edges, n = GRAPHS[graph]
    return GraphIsing(edges, randn(len(edges), seed=seed), randn(n, seed=seed + 1), n_sites=n)


def bits(graph, seed=0):
    edges, n = GRAPHS[graph]
    return BoltzmannMachine(edges, randn(len(edges), seed=seed), randn(n, seed=seed + 1), n_sites=n)


def potts(graph, seed=0, n_values=3):
    edges, n = GRAPHS[graph]
    coupling = randn(len(edges), seed=seed).abs()
    return GraphPotts(edges, coupling, randn(n, n_values, seed=seed + 1), n_values=n_values, n_sites=n)


def table(graph, seed=0):
    edges, n = GRAPHS[graph]
    alike = randn(3, 3, seed=seed + 2)
    return PairwiseModel(
        edges, randn(len(edges), seed=seed), randn(n, 3, seed=seed + 1), alike=alike + alike.T, n_sites=n
    )


KINDS = {"spins": spins, "bits": bits, "potts": potts, "table": table}
