"""Ising models, Potts models and Boltzmann machines on any graph, with exact answers where its treewidth is small.

    E(x) = -Σ_{(i,j)∈E} J_ij c(x_i, x_j) - Σ_i h_i(x_i)

c is s s' for spins ±1, [x = x'] for Potts's values, x x' for bits. A grid is one graph of many: `ising` has what is
faster there. Sources: Besag 1974; Lauritzen & Spiegelhalter 1988; each function names its own.
"""

from ebmkit.graphs._belief_propagation import Beliefs, belief_propagation
from ebmkit.graphs._clusters import SwendsenWang, Wolff, swendsen_wang, wolff
from ebmkit.graphs._edges import colour_classes, edges_of
from ebmkit.graphs._elimination import (
    MAX_TABLE,
    Marginals,
    elimination_log_partition,
    exact_marginals,
    exact_sample,
    map_by_elimination,
)
from ebmkit.graphs._model import BoltzmannMachine, GraphIsing, GraphPotts, PairwiseModel
from ebmkit.graphs._most_probable import map_by_max_flow
from ebmkit.graphs._protocol import OnGraph

__all__ = [
    "MAX_TABLE",
    "Beliefs",
    "BoltzmannMachine",
    "GraphIsing",
    "GraphPotts",
    "Marginals",
    "OnGraph",
    "PairwiseModel",
    "SwendsenWang",
    "Wolff",
    "belief_propagation",
    "colour_classes",
    "edges_of",
    "elimination_log_partition",
    "exact_marginals",
    "exact_sample",
    "map_by_elimination",
    "map_by_max_flow",
    "swendsen_wang",
    "wolff",
]
