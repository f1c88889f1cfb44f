"""The graph: its edges checked, its sites coloured, its neighbours listed."""

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from ebmkit._checks import as_tensor, check_finite


def edges_of(couplings: Any) -> tuple[Tensor, Tensor]:
    """The edges `(n_edges, 2)`, int64, and couplings `(n_edges,)` of a symmetric matrix J, `(n, n)`.

    An edge is where J_ij is not 0. `couplings` is dense or sparse, of torch, NumPy or SciPy. Raises `ValueError`
    unless it is square, symmetric, finite and 0 on its diagonal.

    >>> edges_of([[0.0, 0.5, 0.0], [0.5, 0.0, -1.0], [0.0, -1.0, 0.0]])
    (tensor([[0, 1],
            [1, 2]]), tensor([ 0.5000, -1.0000], dtype=torch.float64))
    """
    if isinstance(couplings, Tensor):
        couplings = couplings.detach().cpu()
        if couplings.layout == torch.strided:
            couplings = couplings.numpy()
        else:
            given = couplings.to_sparse_coo().coalesce()
            couplings = sparse.coo_array(
                (given.values().numpy(), tuple(given.indices().numpy())), given.shape
            )
    matrix = couplings if sparse.issparse(couplings) else as_tensor(couplings, name="couplings").numpy()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"couplings must be a square matrix, got shape {tuple(matrix.shape)}")
    matrix = sparse.csr_array(matrix).astype(np.float64)
    if not np.isfinite(matrix.data).all():
        raise ValueError("couplings must be finite, got nan or inf")
    if (matrix - matrix.T).count_nonzero():
        raise ValueError("couplings must be symmetric, J_ij = J_ji; use (J + J.T) / 2, or an edge list")
    if matrix.diagonal().any():
        raise ValueError("the diagonal of couplings must be 0: what a site does to itself is its field")
    upper = sparse.coo_array(sparse.triu(matrix, 1))
    upper.eliminate_zeros()
    edges = torch.from_numpy(np.stack([upper.row, upper.col], 1).astype(np.int64))
    return edges, torch.from_numpy(upper.data.copy())


def checked_edges(edges: Any, n_sites: int | None) -> tuple[Tensor, int]:
    """Edges as `(n_edges, 2)`, int64, and how many sites there are."""
    if isinstance(edges, Tensor):
        edges = edges.detach().cpu().numpy()
    array = np.asarray(edges if len(edges) else np.empty((0, 2), np.int64))
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"edges must be pairs of sites, shape (n_edges, 2), got {array.shape}")
    if array.dtype.kind not in "iu" and not (array.dtype.kind == "f" and (array == array.round()).all()):
        raise TypeError(f"edges must be pairs of whole numbers, got {array.dtype}")
    array = array.astype(np.int64)
    last = int(array.max()) if len(array) else -1
    n = last + 1 if n_sites is None else n_sites
    if n < 1:
        raise ValueError("a graph without edges needs n_sites, how many sites it has")
    if len(array) and not 0 <= array.min() <= last < n:
        raise ValueError(f"edges must join sites 0 … {n - 1}, got {int(array.min())} … {last}")
    if (array[:, 0] == array[:, 1]).any():
        site = int(array[array[:, 0] == array[:, 1]][0, 0])
        raise ValueError(f"site {site} is joined to itself; what a site does to itself is its field")
    ordered = np.sort(array, 1)
    _, first, counts = np.unique(ordered, axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        i, j = array[first[counts > 1][0]].tolist()
        raise ValueError(f"the edge ({i}, {j}) is given twice; give it once, with the sum of the couplings")
    return torch.from_numpy(array), n


def one_or_each(name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """One number for all, or a tensor of the shape."""
    tensor = as_tensor(value, name=name)
    tensor = (tensor if tensor.is_floating_point() else tensor.double()).detach()
    if tensor.dim() and tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be one number or have shape {shape}, got {tuple(tensor.shape)}")
    check_finite(tensor, name)
    return tensor.expand(shape).clone()


class Adjacency(NamedTuple):
    """Neighbours site after site: those of site i, and the edges to them, at `start[i]` to `start[i + 1]`.

    `site` is the site that each of them is a neighbour of.
    """

    start: NDArray[np.int64]
    site: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    edge: NDArray[np.int64]


def adjacency(edges: Tensor, n: int) -> Adjacency:
    both = edges.cpu().numpy()
    site = np.concatenate([both[:, 0], both[:, 1]])
    neighbour = np.concatenate([both[:, 1], both[:, 0]])
    by_site = np.argsort(site, kind="stable")
    start = np.searchsorted(site[by_site], np.arange(n + 1))
    return Adjacency(start, site[by_site], neighbour[by_site], by_site % max(1, len(both)))


def colour_classes(edges: Any, n_sites: int) -> tuple[Tensor, ...]:
    """The sites in classes without an edge inside, greedily, outward from the site of the most neighbours.

    At most one class more than the most neighbours a site has, and two where two can do. Sites of one class are
    independent given all others, so they can be redrawn together.

    Each class is `(n_sites_in_it,)`, int64.

    >>> [sites.tolist() for sites in colour_classes([(0, 1), (1, 2), (2, 3)], 4)]
    [[0, 2], [1, 3]]
    """
    near = adjacency(checked_edges(edges, n_sites)[0], n_sites)
    colour = np.full(n_sites, -1)
    for site in _connected_order(near):
        taken = set(colour[near.neighbour[near.start[site] : near.start[site + 1]]].tolist())
        colour[site] = next(c for c in range(n_sites) if c not in taken)
    classes = [np.flatnonzero(colour == c) for c in range(int(colour.max()) + 1)]
    return tuple(torch.from_numpy(sites) for sites in sorted(classes, key=lambda sites: int(sites[0])))


def _connected_order(near: Adjacency) -> list[int]:
    """From the site of the most neighbours outward, so that a bipartite graph gets two colours."""
    degree = np.diff(near.start)
    seen = np.zeros(len(degree), dtype=bool)
    order: list[int] = []
    for root in np.argsort(-degree, kind="stable").tolist():
        if seen[root]:
            continue
        seen[root] = True
        place = len(order)
        order.append(root)
        while place < len(order):
            site = order[place]
            place += 1
            for other in near.neighbour[near.start[site] : near.start[site + 1]].tolist():
                if not seen[other]:
                    seen[other] = True
                    order.append(other)
    return order


class Class(NamedTuple):
    """Sites redrawn together, and what acts on them: `neighbour[k]` on `sites[row[k]]`, by `edge[k]`."""

    sites: Tensor
    row: Tensor
    neighbour: Tensor
    edge: Tensor


class Plan:
    """What sampling needs of the graph, made once: models that differ in their numbers alone share it."""

    def __init__(self, edges: Tensor, n_sites: int) -> None:
        self._edges, self.n_sites = edges.cpu(), n_sites
        self.bags: tuple[tuple[int, ...], ...] | None = None  # the order of elimination, once it is known

    @functools.cached_property
    def near(self) -> Adjacency:
        return adjacency(self._edges, self.n_sites)

    @functools.cached_property
    def colours(self) -> tuple[Tensor, ...]:
        return colour_classes(self._edges, self.n_sites)

    @functools.cache  # noqa: B019  # a plan lives as long as its models
    def classes(self, device: torch.device) -> tuple[Class, ...]:
        degree = np.diff(self.near.start)
        found = []
        for sites in self.colours:
            spans = [np.arange(self.near.start[i], self.near.start[i + 1]) for i in sites.tolist()]
            place = np.concatenate(spans)
            row = np.repeat(np.arange(len(sites)), degree[sites.numpy()])
            parts = (sites.numpy(), row, self.near.neighbour[place], self.near.edge[place])
            found.append(Class(*(torch.from_numpy(part).to(device) for part in parts)))
        return tuple(found)

    @functools.cached_property
    def sweep_order(self) -> NDArray[np.int64]:
        """All sites, colour by colour."""
        return torch.cat(self.colours).numpy()
