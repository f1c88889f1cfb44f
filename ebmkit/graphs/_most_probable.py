"""The most probable spins by a minimum cut, exact wherever no coupling is negative."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor

from ebmkit._models import check_is_one_of
from ebmkit.graphs._model import GraphIsing


def map_by_max_flow(model: GraphIsing) -> Tensor:
    """The most probable state, argmin_s E(s), by a minimum cut: exact wherever no coupling is negative.

    Source and sink are the two labels. Site i hangs on the label its field favours with capacity |h_i|,
    neighbours hang together with capacity J_ij, so that E(s) = constant + 2 · cut. SciPy's flow is integer, so it
    runs again on what rounding left over, until that is below the rounding of float64 in Σ_i |h_i|.

    Returns spins `(n,)`. Raises `TypeError` for another model, `ValueError` for a negative coupling, naming it.
    Source: Greig, Porteous & Seheult 1989.

    >>> map_by_max_flow(GraphIsing([(0, 1), (1, 2)], 1.0, [-0.2, 0.0, 0.5])).tolist()
    [1.0, 1.0, 1.0]
    """
    way_out = (
        "; BoltzmannMachine.as_ising() is one, and map_by_elimination serves any graph of small treewidth"
    )
    check_is_one_of(model, (GraphIsing,), "map_by_max_flow", way_out)
    coupling = model.coupling.detach().cpu().double().numpy()
    edges = model.edges.cpu().numpy()
    if (coupling < 0).any():
        worst = int(coupling.argmin())
        i, j = edges[worst].tolist()
        raise ValueError(
            f"the coupling of ({i}, {j}) is {coupling[worst]:g}: a minimum cut needs every coupling >= 0; use "
            "map_by_elimination where the treewidth is small, or anneal with ebmkit.mcmc.simulated_annealing"
        )
    n = model.event_shape[0]
    site, source, sink = np.arange(n), n, n + 1
    field = model.field.detach().cpu().double().numpy()
    tail = np.concatenate([np.full(n, source), site, edges[:, 0], edges[:, 1]])
    head = np.concatenate([site, np.full(n, sink), edges[:, 1], edges[:, 0]])
    weight = np.concatenate([field.clip(min=0), (-field).clip(min=0), coupling, coupling])
    on_source_side = _minimum_cut(tail, head, weight, source, sink)[:n]
    return torch.from_numpy(2.0 * on_source_side - 1.0).to(model.coupling)


def _minimum_cut(
    tail: NDArray[np.int64], head: NDArray[np.int64], weight: NDArray[np.float64], source: int, sink: int
) -> NDArray[np.bool_]:
    """Which nodes a maximal flow leaves reachable from `source`.

    Every round sends whole multiples of a unit through the residual graph. What is left of the cut it ends at
    bounds what is missing to a maximal flow, and gives the next round its finer unit.
    """
    residual = csr_array((weight, (tail, head)), shape=(sink + 1, sink + 1))
    missing = min(float(residual[[source]].sum()), float(residual[:, [sink]].sum()))
    negligible = max(np.finfo(float).eps * missing, 1e-290)  # below this even the unit would underflow
    side = _reachable(residual, source)
    while missing > negligible:
        units, unit = _in_whole_units(
            residual, 2 * missing
        )  # an edge with twice what is missing is never full
        flow = maximum_flow(units, source, sink, method="dinic").flow
        side = _reachable(units - flow, source)
        residual = residual - flow * unit
        missing = float(residual[side][:, ~side].sum())
    return side


def _in_whole_units(capacities: csr_array, largest: float) -> tuple[csr_array, float]:
    """The capacities up to `largest`, rounded down to multiples of a unit, and the unit, a power of 2."""
    bounded = capacities.data.clip(max=largest)
    # Below 2^28 there is room for an edge, its reverse and the parallel edges of a torus two wide in 32 bits.
    unit = 2.0 ** (math.frexp(bounded.max())[1] - 28)
    units = capacities.copy()
    units.data = np.floor(bounded / unit)
    return units.astype(np.int32), unit


def _reachable(residual: csr_array, source: int) -> NDArray[np.bool_]:
    """The nodes that paths of positive capacity lead to from `source`."""
    open_edges = (residual > 0).astype(np.int32)
    side = np.zeros(residual.shape[0], dtype=bool)
    side[breadth_first_order(open_edges, source, directed=True, return_predecessors=False)] = True
    return side
