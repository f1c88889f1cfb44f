"""The most probable state: by descent, and exactly by a minimum cut."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor

from ebmkit.ising._model import Ising, check_spins, colour_classes, local_field, with_sites


def icm(model: Ising, spins: Tensor) -> Tensor:
    """Iterated conditional modes: every spin follows its local field until none would change.

    Sites go colour by colour; a spin with field 0 stays. The energy falls with every change, so it ends, at a
    state that no single flip improves; which one depends on where it began. `spins` `(..., n, m)`; returns a
    new tensor. Source: Besag 1986.
    """
    spins = check_spins(model, spins)
    while True:
        before = spins
        for sites in colour_classes(model):
            sites = sites.to(spins.device)
            pull = local_field(model, spins).flatten(-2)[..., sites]
            current = spins.flatten(-2)[..., sites]
            spins = with_sites(spins, sites, torch.where(pull == 0, current, pull.sign().to(spins.dtype)))
        if torch.equal(spins, before):
            return spins


def map_by_max_flow(model: Ising) -> Tensor:
    """The most probable state, argmin_s E(s), by a minimum cut: exact wherever no coupling is negative.

    Source and sink are the two labels. Site i hangs on the label its field favours with capacity |h_i|,
    neighbours hang together with capacity J_ij, so that E(s) = constant + 2 · cut. SciPy's flow is integer, so it
    runs again on what rounding left over, until that is below the rounding of float64 in Σ_i |h_i|.

    Returns spins `(n, m)`, float64. Raises `ValueError` where a coupling is negative, naming it.
    Source: Greig, Porteous & Seheult 1989.
    """
    _refuse_negative_couplings(model)
    n, m = model.event_shape
    site = np.arange(n * m).reshape(n, m)
    field = model.field.detach().cpu().double().numpy()
    source, sink = n * m, n * m + 1
    ends = [
        (np.full((n, m), source), site, field.clip(min=0)),
        (site, np.full((n, m), sink), (-field).clip(min=0)),
    ]
    for bonds, axis in ((model.horizontal, 1), (model.vertical, 0)):
        capacity, ahead = bonds.detach().cpu().double().numpy(), np.roll(site, -1, axis)
        ends += [(site, ahead, capacity), (ahead, site, capacity)]
    tail, head, weight = (np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*ends))
    on_source_side = _minimum_cut(tail, head, weight, source, sink)[: n * m]
    return torch.from_numpy(2.0 * on_source_side.reshape(n, m) - 1.0).to(model.field.device)


def _refuse_negative_couplings(model: Ising) -> None:
    for name, bonds in (("horizontal", model.horizontal), ("vertical", model.vertical)):
        if (bonds < 0).any():
            i, j = (bonds < 0).nonzero()[0].tolist()
            raise ValueError(
                f"{name} coupling at ({i}, {j}) is {bonds[i, j].item():g}: a minimum cut needs every "
                "coupling >= 0; use icm, or sample with ebmkit.mcmc.Gibbs while lowering the temperature"
            )


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
