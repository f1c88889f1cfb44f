"""Cluster updates on any graph: Swendsen and Wang's, and Wolff's."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import as_tensor
from ebmkit._models import check_is_one_of
from ebmkit.graphs._model import BoltzmannMachine, GraphIsing, GraphPotts, PairwiseModel
from ebmkit.kernel import Info, State, initial_state


@torch.no_grad()
def swendsen_wang(model: GraphIsing | GraphPotts, x: Tensor, *, generator: Generator) -> Tensor:
    """One Swendsen–Wang update: bonds freeze, and each cluster they tie together is redrawn as one.

    Spins: a satisfied bond freezes with probability 1 - e^{-2|J|}, a cluster flips with probability
    σ(-2 Σ_{i∈C} h_i s_i); couplings of any sign. Values: equal neighbours freeze with probability 1 - e^{-J}, which
    needs J ≥ 0, and a cluster takes value v with probability ∝ exp(Σ_{i∈C} h_i(v)). Reversible. `x` is `(..., n)`,
    the result a new tensor of its shape. Raises `TypeError` for other models (`BoltzmannMachine.as_ising` is one of
    spins) and `ValueError` for a Potts coupling below 0. Source: Swendsen & Wang 1987; Edwards & Sokal 1988.

    >>> from ebmkit.graphs import GraphIsing
    >>> pair = GraphIsing([(0, 1)], 20.0)  # a bond that always freezes
    >>> swendsen_wang(pair, torch.ones(3, 2), generator=torch.Generator().manual_seed(0)).diff().abs().sum().item()
    0.0
    """
    _check_clusters(model, (GraphIsing, GraphPotts), "swendsen_wang")
    index, root = _clusters(model, as_tensor(x, model.coupling), generator)
    n = model.event_shape[0]
    is_root = root == torch.arange(n, device=root.device)
    if isinstance(model, GraphPotts):
        field = model.field.expand(*index.shape, -1)
        pull = torch.zeros_like(field).index_put_((*_batch(root), root), field, accumulate=True)
        p = torch.where(is_root[..., None], pull.softmax(-1), _first(pull))
        new = chance.categorical(p, generator=generator).gather(-1, root)
        return model.from_index(new, x)
    pull = model.field * model.from_index(index, model.coupling)
    pull = torch.zeros_like(pull).scatter_add(-1, root, pull)
    # One coin a cluster, tossed at its root; the other sites have probability 0 and copy it.
    coin = chance.bernoulli(torch.sigmoid(-2 * pull) * is_root, generator=generator)
    return torch.where(coin.gather(-1, root), -x, x)


def _first(like: Tensor) -> Tensor:
    """The first value for certain: what is drawn at a site that is no root, to which nobody looks."""
    certain = torch.zeros_like(like)
    certain[..., 0] = 1.0
    return certain


def _batch(root: Tensor) -> tuple[Tensor, ...]:
    """Indices of the leading axes, to go with `root` `(..., n)`."""
    return tuple(
        torch.arange(size, device=root.device).reshape(-1, *[1] * (root.dim() - 1 - axis))
        for axis, size in enumerate(root.shape[:-1])
    )


def wolff(model: GraphIsing, x: Tensor, *, generator: Generator) -> Tensor:
    """One Wolff update: the cluster of a random site flips, with probability min(1, exp(-2 Σ_{i∈C} h_i s_i)).

    Bonds freeze as in `swendsen_wang`, those outside the cluster too, so that an update costs what one of Swendsen
    and Wang's does. Spins alone; reversible. `x` `(..., n)`; a new tensor. Source: Wolff 1989.

    >>> from ebmkit.graphs import GraphIsing
    >>> wolff(GraphIsing([(0, 1)], 20.0), torch.ones(2), generator=torch.Generator().manual_seed(0)).tolist()
    [-1.0, -1.0]
    """
    return _wolff(model, x, generator)[0]


@torch.no_grad()
def _wolff(model: GraphIsing, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    _check_clusters(model, (GraphIsing,), "wolff")
    x = as_tensor(x, model.coupling)
    _, root = _clusters(model, x, generator)
    n = model.event_shape[0]
    uniform = torch.full(x.shape, 1 / n, dtype=torch.float64, device=x.device)
    seed = chance.categorical(uniform, generator=generator)
    cluster = root == root.gather(-1, seed[..., None])
    acceptance = torch.exp(-2 * (model.field * x * cluster).sum(-1).clamp(min=0))
    accepted = chance.bernoulli(acceptance, generator=generator)
    return torch.where(cluster & accepted[..., None], -x, x), acceptance


def _check_clusters(model: PairwiseModel, kinds: tuple[type, ...], who: str) -> None:
    way_out = {BoltzmannMachine: "; BoltzmannMachine.as_ising() is one", GraphPotts: "; use swendsen_wang"}
    check_is_one_of(model, kinds, who, way_out.get(type(model), ""))


def _clusters(model: PairwiseModel, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The index of each value, and for each site the first site of its cluster; both `(..., n)`."""
    index = model.index(x)
    i, j = model.edges.unbind(1)
    equal = index[..., i] == index[..., j]
    if isinstance(model, GraphPotts):
        if bool((model.coupling < 0).any()):
            worst = model.coupling.detach().min().item()
            raise ValueError(f"clusters of a Potts model need couplings ≥ 0, got {worst:g}; use mcmc.Gibbs")
        gain = model.coupling * equal
    else:
        gain = 2 * model.coupling * (2.0 * equal.to(model.coupling.dtype) - 1)
    frozen = chance.bernoulli(-torch.expm1(-gain.clamp(min=0)), generator=generator)
    return index, _roots(frozen, model.edges, model.event_shape[0])


def _roots(frozen: Tensor, edges: Tensor, n: int) -> Tensor:
    """The first site of each site's cluster, `(..., n_edges)` to `(..., n)`: all chains are one graph."""
    flat = frozen.reshape(math.prod(frozen.shape[:-1]), frozen.shape[-1]).cpu()
    chain, edge = (part.numpy() for part in flat.nonzero(as_tuple=True))
    ends = edges.cpu().numpy()[edge] + n * chain[:, None]
    size = n * len(flat)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (size, size))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    root = torch.from_numpy(first[label] % n).to(frozen.device)
    return root.reshape(*frozen.shape[:-1], n)


@dataclass(frozen=True)
class SwendsenWang:
    """`swendsen_wang` as a kernel; it accepts every update.

    >>> from ebmkit.graphs import GraphPotts
    >>> from ebmkit.testing import check_kernel
    >>> check_kernel(SwendsenWang(GraphPotts([(0, 1), (1, 2)], 0.7, n_values=3)))[-1]
    'every state is reached'
    """

    model: GraphIsing | GraphPotts

    def __post_init__(self) -> None:
        _check_clusters(self.model, (GraphIsing, GraphPotts), "SwendsenWang")

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., n)`. Raises `ValueError` as `kernel.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One update of all clusters."""
        x = swendsen_wang(self.model, state.position, generator=generator)
        energy = self.model.energy(x)
        return State(x, energy), Info(torch.ones_like(energy), torch.zeros_like(energy, dtype=torch.bool))


@dataclass(frozen=True)
class Wolff:
    """`wolff` as a kernel; `acceptance` is below 1 only with a field.

    >>> from ebmkit.graphs import GraphIsing
    >>> from ebmkit.testing import check_kernel
    >>> check_kernel(Wolff(GraphIsing([(0, 1), (1, 2), (0, 2)], -0.5, 0.2)))[-1]
    'every state is reached'
    """

    model: GraphIsing

    def __post_init__(self) -> None:
        _check_clusters(self.model, (GraphIsing,), "Wolff")

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n)`. Raises `ValueError` as `kernel.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One cluster grown and flipped."""
        x, acceptance = _wolff(self.model, state.position, generator)
        return State(x, self.model.energy(x)), Info(
            acceptance, torch.zeros_like(acceptance, dtype=torch.bool)
        )
