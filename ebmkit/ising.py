"""The Ising model on a grid of any size: spins that want to agree with their neighbours and their fields.

E(s) = -Σ_{(i,j)∈E} J_ij s_i s_j - Σ_i h_i s_i,  s_i = ±1;  temperature is absorbed, J and h mean βJ and βh
Sources: lecture 11, "Ising models"; Ising 1925; Geman & Geman 1984; each function names its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor

from ebmkit import _ising_exact, chance
from ebmkit._ising_simulation import ByteLattice, MultiSpin, n_bands
from ebmkit.chance import Generator
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import Info, State, initial_state

CRITICAL_COUPLING = math.log(1 + math.sqrt(2)) / 2
"""Where the infinite square lattice orders, J_c = ½ ln(1 + √2). Kramers & Wannier 1941."""

MAX_FRONT = 2**23
"""The most entries the transfer matrix may hold at once: 23 spins wide, or 11 wide on a torus."""

# A word of 32 lanes costs about as much as 3 chains in bytes; below this, most of its lanes would idle.
_MANY_LANES = 8


class Ising(EnergyModel):
    """Spins ±1 on an n×m grid, E(s) = -Σ_{(i,j)∈E} J_ij s_i s_j - Σ_i h_i s_i.

    Edges join horizontal and vertical neighbours; a periodic grid is a torus. There a side of length 2 has
    two bonds between the same sites, and a side of length 1 has none.

    Parameters
    ----------
    shape:
        `(n, m)`, rows and columns.
    coupling:
        One number for every edge, or a pair `(horizontal, vertical)` of numbers or tensors.
        `horizontal[i, j]` joins (i, j) and (i, j+1), `vertical[i, j]` joins (i, j) and (i+1, j): shapes
        `(n, m-1)` and `(n-1, m)`, on a torus both `(n, m)`.
    field:
        One number, or `(n, m)`.
    periodic:
        Whether the last row and column neighbour the first.

    The buffers `horizontal`, `vertical` and `field` are `(n, m)`, float64, 0 where there is no edge. Tensors
    given with `requires_grad` stay in the graph: energies and log Z are differentiable in them.
    Raises `ValueError` for shapes that do not fit and values that are not finite.
    """

    event_shape: tuple[int, int]
    values = (-1.0, 1.0)
    horizontal: Tensor
    vertical: Tensor
    field: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        coupling: float | Tensor | tuple[float | Tensor, float | Tensor],
        field: float | Tensor = 0.0,
        periodic: bool = False,
    ) -> None:
        super().__init__()
        n, m = self.event_shape = _checked_shape(shape)
        self.periodic = periodic
        horizontal, vertical = coupling if isinstance(coupling, tuple) else (coupling, coupling)
        self.register_buffer("horizontal", _bonds("horizontal coupling", horizontal, (n, m), 1, periodic))
        self.register_buffer("vertical", _bonds("vertical coupling", vertical, (n, m), 0, periodic))
        self.register_buffer("field", _expanded("field", field, (n, m)).clone())

    def energy(self, x: Tensor) -> Tensor:
        """E(s) of spins `(..., n, m)`; returns `(...)`. Raises `ValueError` unless every spin is -1 or +1."""
        _check_spins(self, x)
        pull = self.horizontal * x.roll(-1, -1) + self.vertical * x.roll(-1, -2) + self.field
        return -(x * pull).sum((-2, -1))

    def local_field(self, spins: Tensor) -> Tensor:
        """Σ_j J_ij s_j + h_i, what pulls on each spin; the shape of `spins`, `(..., n, m)`."""
        _check_spins(self, spins)
        return _local_field(self, spins)

    def conditional(self, spins: Tensor) -> Tensor:
        """p(s_i = +1 | all other spins) = σ(2 · local field); the shape of `spins`."""
        return torch.sigmoid(2 * self.local_field(spins))

    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """One checkerboard sweep, see `gibbs_sweep`."""
        return gibbs_sweep(self, x, generator)

    def exact_log_partition(self) -> Tensor:
        """log Z, by Kaufman's formula where it holds, else by the transfer matrix; shape `()`.

        Raises `ValueError` where the grid is too wide for either, saying what to use instead.
        """
        needs_graph = self.horizontal.requires_grad or self.vertical.requires_grad or self.field.requires_grad
        if not needs_graph and not math.isnan(_kaufman_coupling(self)):
            return kaufman_log_partition(self)
        return transfer_matrix_log_partition(self)

    def annealed(self, beta: float) -> "Ising":
        """The model part of the way from its fields alone (`beta` 0) to this one (`beta` 1).

        E_β(s) = -β Σ_{(i,j)∈E} J_ij s_i s_j - Σ_i h_i s_i, an Ising model again.
        """
        return _scaled(self, beta)

    def base_log_partition(self) -> Tensor:
        """log Z of the free spins that annealing starts from, Σ_i log 2 cosh h_i; shape `()`."""
        return torch.logaddexp(self.field, -self.field).sum()

    def sample_base(self, n: int, generator: Generator) -> Tensor:
        """Independent free spins, p(s_i = +1) = σ(2 h_i); `(n, *event_shape)`."""
        p_up = torch.sigmoid(2 * self.field.detach())
        return 2 * chance.bits(p_up.expand(n, *self.event_shape), generator) - 1

    def extra_repr(self) -> str:
        return f"shape={self.event_shape}, periodic={self.periodic}"


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be (rows, columns), both at least 1, got {tuple(shape)}")
    return int(shape[0]), int(shape[1])


def _expanded(name: str, value: float | Tensor, shape: tuple[int, int]) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float64)
    if tensor.ndim != 0 and tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be one number or have shape {shape}, got shape {tuple(tensor.shape)}")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite, got {tensor[~tensor.isfinite()][0].item()}")
    return tensor.expand(shape)


def _bonds(name: str, value: float | Tensor, shape: tuple[int, int], axis: int, periodic: bool) -> Tensor:
    """The bonds along `axis` as a tensor of the grid's shape, 0 where the grid ends."""
    missing = 0 if periodic and shape[axis] > 1 else 1
    rows, columns = (missing, 0) if axis == 0 else (0, missing)
    given = torch.as_tensor(value, dtype=torch.float64)
    if periodic and missing and tuple(given.shape) == shape:
        given = given.narrow(axis, 0, 0)  # on a side of length 1 a site would be its own neighbour
    inside = _expanded(name, given, (shape[0] - rows, shape[1] - columns))
    return torch.nn.functional.pad(inside, (0, columns, 0, rows))


def _check_spins(model: Ising, spins: Tensor) -> None:
    if tuple(spins.shape[-2:]) != model.event_shape:
        raise ValueError(
            f"spins must have shape (..., {model.event_shape[0]}, {model.event_shape[1]}), "
            f"got {tuple(spins.shape)}"
        )
    if spins.dtype == torch.bool:
        raise ValueError("spins must be -1 or +1, got values False or True; use 2.0 * x - 1")
    if not (spins.abs() == 1).all():
        found = ", ".join(f"{v:g}" for v in torch.unique(spins.detach())[:6].tolist())
        raise ValueError(f"spins must be -1 or +1, got values {{{found}}}; use 2 * x - 1 for labels 0 and 1")


def _local_field(model: Ising, spins: Tensor) -> Tensor:
    across, down = model.horizontal, model.vertical
    return (
        (across * spins.roll(-1, -1) + (across * spins).roll(1, -1))
        + (down * spins.roll(-1, -2) + (down * spins).roll(1, -2))
        + model.field
    )


def _uniform_coupling(model: Ising) -> float:
    """The one coupling that all edges share, or nan."""
    n, m = model.event_shape
    last_row, last_column = (n, m) if model.periodic else (n - 1, m - 1)
    edges = [model.horizontal[:, :last_column]] * (m > 1) + [model.vertical[:last_row]] * (n > 1)
    all_edges = torch.cat([part.flatten() for part in edges]) if edges else model.field.new_zeros(1)
    return float(all_edges[0]) if (all_edges == all_edges[0]).all() else math.nan


def _scaled(model: Ising, factor: float) -> Ising:
    """The same model with all couplings times `factor`."""
    copy = Ising(model.event_shape, 0.0, periodic=model.periodic)
    copy.horizontal, copy.vertical = factor * model.horizontal, factor * model.vertical
    copy.field = model.field
    return copy


def to_spins(labels: Tensor) -> Tensor:
    """Spins 2y - 1 of labels y in {0, 1}, any shape; float64 unless `labels` is floating point."""
    if not ((labels == 0) | (labels == 1)).all():
        found = ", ".join(f"{v:g}" for v in torch.unique(labels)[:6].tolist())
        raise ValueError(f"labels must be 0 or 1, got values {{{found}}}")
    return 2 * (labels if labels.is_floating_point() else labels.double()) - 1


def to_labels(spins: Tensor) -> Tensor:
    """Labels (s + 1)/2 in {0, 1} of spins s = ±1, any shape and dtype."""
    return (spins > 0).to(spins.dtype)


# --- Models of pictures


def denoising_model(
    noisy: Tensor, flip_probability: float, coupling: float | Tensor | tuple[float | Tensor, float | Tensor]
) -> Ising:
    """p(y | x) of a picture y seen through noise as x: an Ising model on free boundary.

    p(y | x) ∝ exp(Σ J y_i y_j) Π p(x_i | y_i) with p(x_i ≠ y_i) = ε is, in spins, the field
    h_i = ½ ln((1 - ε)/ε) · (2 x_i - 1).

    `noisy` holds labels 0 and 1, `(n, m)`; `flip_probability` ε lies strictly between 0 and 1. Raises
    `ValueError` otherwise. Source: lecture 11, "Ising models"; Geman & Geman 1984.
    """
    if not 0 < flip_probability < 1:
        raise ValueError(
            f"flip_probability must lie strictly between 0 and 1, got {flip_probability}; noise that never "
            "flips leaves nothing to restore"
        )
    if noisy.ndim != 2:
        raise ValueError(f"noisy must be one picture (rows, columns), got shape {tuple(noisy.shape)}")
    strength = 0.5 * math.log((1 - flip_probability) / flip_probability)
    n, m = noisy.shape
    return Ising((n, m), coupling, field=strength * to_spins(noisy).double())


class FromPotentials(NamedTuple):
    """An Ising model and the constant between it and the potentials: Σψ = constant - model.energy(s)."""

    model: Ising
    constant: Tensor


def from_potentials(
    unary: Tensor, horizontal: Tensor, vertical: Tensor, periodic: bool = False
) -> FromPotentials:
    """The slide's p(y | x) ∝ exp(Σ_i ψ_i(x_i, y_i) + Σ_{(i,j)∈E} ψ_ij(y_i, y_j)) as an Ising model, exactly.

    With a, b in {0, 1} and spins s = 2a - 1, t = 2b - 1, any table is ψ(a, b) = c + u s + v t + J s t, where
    J = ¼(ψ11 + ψ00 - ψ01 - ψ10), u = ¼(ψ11 + ψ10 - ψ01 - ψ00), v = ¼(ψ11 + ψ01 - ψ10 - ψ00).

    `unary` is `(n, m, 2)`, ψ_i(x_i, ·) at the x that was seen. `horizontal` and `vertical` are `(2, 2)`, or
    one table an edge: `(n, m-1, 2, 2)` and `(n-1, m, 2, 2)`, on a torus both `(n, m, 2, 2)`.
    Source: lecture 11, "Ising models".
    """
    if unary.ndim != 3 or unary.shape[-1] != 2:
        raise ValueError(f"unary must have shape (n, m, 2), got {tuple(unary.shape)}")
    n, m = unary.shape[:2]
    unary = unary.double()
    field = (unary[..., 1] - unary[..., 0]) / 2
    constant = unary.mean(-1).sum()
    couplings = []
    for axis, table in ((1, horizontal), (0, vertical)):
        edges = _edge_grid((n, m), axis, periodic)
        c, u, v, coupling = _spin_expansion(_edge_tables(table.double(), edges, axis))
        # Edge (i, j) begins at site (i, j) and ends one site on, on a torus perhaps on the other side.
        padding = (0, m - edges[1], 0, n - edges[0])
        field = field + torch.nn.functional.pad(u, padding)
        field = field + torch.nn.functional.pad(v, padding).roll(1, axis)
        constant = constant + c.sum()
        couplings.append(torch.nn.functional.pad(coupling, padding) if periodic else coupling)
    return FromPotentials(Ising((n, m), (couplings[0], couplings[1]), field, periodic), constant)


def _edge_grid(shape: tuple[int, int], axis: int, periodic: bool) -> tuple[int, int]:
    missing = 0 if periodic and shape[axis] > 1 else 1
    return (shape[0] - missing, shape[1]) if axis == 0 else (shape[0], shape[1] - missing)


def _edge_tables(table: Tensor, edges: tuple[int, int], axis: int) -> Tensor:
    wanted = (*edges, 2, 2)
    if tuple(table.shape) not in ((2, 2), wanted):
        name = ("vertical", "horizontal")[axis]
        raise ValueError(f"{name} must have shape (2, 2) or {wanted}, got {tuple(table.shape)}")
    return table.expand(wanted)


def _spin_expansion(table: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c, u, v, J of ψ(a, b) = c + u s + v t + J s t; each the shape of `table` without its last two axes."""
    spin = torch.tensor([-1.0, 1.0], dtype=table.dtype, device=table.device)
    c = table.mean((-2, -1))
    u = (table * spin[:, None]).mean((-2, -1))
    v = (table * spin).mean((-2, -1))
    return c, u, v, (table * spin[:, None] * spin).mean((-2, -1))


# --- Local updates


def colour_classes(model: Ising) -> tuple[Tensor, ...]:
    """The sites, as flat indices, in classes without an edge inside: two, or three on a torus with an odd side.

    Spins of one class are conditionally independent given all others, so they can be redrawn together.
    """
    return _colours(model.event_shape, model.periodic)


@lru_cache(maxsize=64)
def _colours(shape: tuple[int, int], periodic: bool) -> tuple[Tensor, ...]:
    """Colours by (row + column) modulo 2, and modulo 3 where a side is an odd ring.

    An odd ring needs three colours, 0 1 0 1 … 2; neighbours on it differ modulo 3, and so do the sums of the
    row's and the column's colours of neighbouring sites.
    """
    rings = []
    for side in shape:
        ring = torch.arange(side) % 2
        if periodic and side % 2 == 1 and side > 1:
            ring[-1] = 2
        rings.append(ring)
    n_colours = 1 + int(torch.cat(rings).max().clamp(min=1))
    colour = ((rings[0][:, None] + rings[1]) % n_colours).flatten()
    return tuple(sites for c in range(n_colours) if len(sites := (colour == c).nonzero()[:, 0]))


def gibbs_sweep(model: Ising, spins: Tensor, generator: Generator) -> Tensor:
    """One heat-bath sweep: every site redrawn from p(s_i = +1 | rest) = σ(2 · local field), colour by colour.

    Sites of one colour are conditionally independent, so they are drawn together: two colours as on a
    checkerboard, three on a torus with an odd side. `spins` `(..., n, m)`; returns a new tensor of its shape
    and dtype. The sweep leaves p invariant; each colour's update is reversible, their product is not.
    Source: Geman & Geman 1984.
    """
    _check_spins(model, spins)
    for sites in colour_classes(model):
        spins = gibbs_update(model, spins, sites, generator)
    return spins


def gibbs_update(model: Ising, spins: Tensor, sites: Tensor, generator: Generator) -> Tensor:
    """The sites of one colour redrawn together; `sites` are flat indices, no two of them neighbours."""
    sites = sites.to(spins.device)
    p_up = torch.sigmoid(2 * _local_field(model, spins).flatten(-2)[..., sites])
    return _with_sites(spins, sites, 2.0 * chance.bernoulli(p_up, generator).to(spins.dtype) - 1)


def metropolis_sweep(model: Ising, spins: Tensor, generator: Generator, propose: float = 0.9) -> Tensor:
    """One Metropolis sweep: each site, colour by colour, flips with probability propose · min(1, e^{-ΔE}).

    ΔE = 2 s_i · local field. `propose` must be below 1: flipping all that costs no energy makes the sweep run
    in circles (all spins at J = h = 0; on a 4×4 torus without field, diagonal stripes) instead of visiting
    every state. `spins` `(..., n, m)`; returns a new tensor. Source: Metropolis et al. 1953.
    """
    return _metropolis(model, spins, generator, propose)[0]


def _metropolis(model: Ising, spins: Tensor, generator: Generator, propose: float) -> tuple[Tensor, Tensor]:
    """The sweep, and the mean probability `(...)` of accepting a proposed flip."""
    _check_spins(model, spins)
    if not 0 < propose < 1:
        raise ValueError(
            f"propose must lie strictly between 0 and 1, got {propose}; at 1 the sweep can cycle"
        )
    accepted = torch.zeros(spins.shape[:-2], dtype=model.field.dtype, device=spins.device)
    for sites in colour_classes(model):
        sites = sites.to(spins.device)
        current = spins.flatten(-2)[..., sites]
        increase = 2 * current * _local_field(model, spins).flatten(-2)[..., sites]
        acceptance = torch.exp(-increase.clamp(min=0))
        flipped = chance.bernoulli(propose * acceptance, generator)
        spins = _with_sites(spins, sites, torch.where(flipped, -current, current))
        accepted = accepted + acceptance.sum(-1)
    return spins, accepted / math.prod(model.event_shape)


def _with_sites(spins: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    """A copy of `spins` `(..., n, m)` whose flat `sites` are `new` `(..., len(sites))`."""
    return spins.flatten(-2).index_copy(-1, sites, new.to(spins.dtype)).reshape(spins.shape)


# --- Cluster updates


def swendsen_wang(model: Ising, spins: Tensor, generator: Generator) -> Tensor:
    """One Swendsen–Wang update: bonds freeze, the clusters they tie together are flipped independently.

    A bond with J s_i s_j > 0 freezes with probability 1 - e^{-2 J s_i s_j}; a cluster C flips with
    probability σ(-2 Σ_{i∈C} h_i s_i), which is ½ without field. Reversible, for couplings of any sign, though
    frustration slows it. `spins` `(..., n, m)`; returns a new tensor. Source: Swendsen & Wang 1987.
    """
    _check_spins(model, spins)
    frozen = chance.bernoulli(_freezing_probability(model, spins), generator)
    root = _cluster_roots(frozen[..., 0, :, :], frozen[..., 1, :, :])
    pull = (model.field * spins).flatten(-2)
    cluster_pull = torch.zeros_like(pull).scatter_add(-1, root, pull)
    is_root = root == torch.arange(root.shape[-1], device=root.device)
    # One coin a cluster, tossed at its root; the other sites have probability 0 and copy it.
    coin = chance.bernoulli(torch.sigmoid(-2 * cluster_pull) * is_root, generator)
    flipped = coin.gather(-1, root).reshape(spins.shape)
    return torch.where(flipped, -spins, spins)


def _freezing_probability(model: Ising, spins: Tensor) -> Tensor:
    """1 - exp(-2 max(0, J s_i s_j)) of the bonds to the right and down of each site; `(..., 2, n, m)`."""
    satisfaction = torch.stack(
        [model.horizontal * spins * spins.roll(-1, -1), model.vertical * spins * spins.roll(-1, -2)], -3
    )
    return -torch.expm1(-2 * satisfaction.clamp(min=0))


def _cluster_roots(right: Tensor, down: Tensor) -> Tensor:
    """For every site the smallest flat index in its cluster; `right`, `down` `(..., n, m)` are open bonds.

    Sites take the smallest label among open neighbours, then that label's label, until nothing changes.
    """
    n, m = right.shape[-2:]
    label = torch.arange(n * m, device=right.device).expand(*right.shape[:-2], n * m)
    while True:
        grid = label.reshape(right.shape)
        lowest = grid
        for bond, axis in ((right, -1), (down, -2)):
            ahead = torch.where(bond, grid.roll(-1, axis), grid)
            behind = torch.where(bond.roll(1, axis), grid.roll(1, axis), grid)
            lowest = torch.minimum(lowest, torch.minimum(ahead, behind))
        lowered = lowest.flatten(-2)
        lowered = lowered.gather(-1, lowered)
        if torch.equal(lowered, label):
            return label
        label = lowered


def wolff(model: Ising, spins: Tensor, generator: Generator) -> Tensor:
    """One Wolff update: grow the cluster of a random site over freezing bonds, and flip it.

    Bonds freeze as in `swendsen_wang`; the flip is accepted with probability min(1, exp(-2 Σ_{i∈C} h_i s_i)),
    always without field. Reversible. `spins` `(..., n, m)`; returns a new tensor. Source: Wolff 1989.
    """
    return _wolff(model, spins, generator)[0]


def _wolff(model: Ising, spins: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The update, and the probability `(...)` with which its flip was accepted."""
    _check_spins(model, spins)
    cluster = _grow_cluster(_freezing_probability(model, spins), generator)
    pull = (model.field * spins * cluster).sum((-2, -1))
    acceptance = torch.exp(-2 * pull.clamp(min=0))
    accepted = chance.bernoulli(acceptance, generator)
    return torch.where(cluster & accepted[..., None, None], -spins, spins), acceptance


def _grow_cluster(freezing: Tensor, generator: Generator) -> Tensor:
    """The sites reached from a uniformly chosen one when each bond freezes with its probability; bool."""
    n, m = freezing.shape[-2:]
    right, down = freezing.unbind(-3)
    # Toward the right, left, lower and upper neighbour of each site.
    outward = torch.stack([right, right.roll(1, -1), down, down.roll(1, -2)], -3)
    uniform = torch.full(
        (*freezing.shape[:-3], n * m), 1 / (n * m), dtype=freezing.dtype, device=freezing.device
    )
    seed = chance.categorical(uniform, generator)
    cluster = torch.nn.functional.one_hot(seed, n * m).bool().reshape(*seed.shape, n, m)
    frontier = cluster
    while frontier.any():
        outside = ~cluster
        open_to = torch.stack([outside.roll(s, a) for s, a in ((-1, -1), (1, -1), (-1, -2), (1, -2))], -3)
        frozen = chance.bernoulli(outward * (frontier[..., None, :, :] & open_to), generator)
        to_right, to_left, to_below, to_above = frozen.unbind(-3)
        reached = to_right.roll(1, -1) | to_left.roll(-1, -1) | to_below.roll(1, -2) | to_above.roll(-1, -2)
        frontier = reached & outside
        cluster = cluster | frontier
    return cluster


# --- Kernels of the library's common shape (`ebmkit.mcmc.Gibbs(model)` is the heat bath)


@dataclass(frozen=True)
class Metropolis:
    """`metropolis_sweep` as a kernel; `acceptance` is the mean over sites."""

    model: Ising
    propose: float = 0.9

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n, m)`. Raises `ValueError` as `mcmc.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One sweep."""
        spins, acceptance = _metropolis(self.model, state.position, generator, self.propose)
        return State(spins, self.model.energy(spins)), Info(
            acceptance, torch.zeros_like(acceptance, dtype=torch.bool)
        )


@dataclass(frozen=True)
class SwendsenWang:
    """`swendsen_wang` as a kernel; it accepts every update."""

    model: Ising

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n, m)`. Raises `ValueError` as `mcmc.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One update of all clusters."""
        spins = swendsen_wang(self.model, state.position, generator)
        energy = self.model.energy(spins)
        return State(spins, energy), Info(torch.ones_like(energy), torch.zeros_like(energy, dtype=torch.bool))


@dataclass(frozen=True)
class Wolff:
    """`wolff` as a kernel; `acceptance` is below 1 only with a field."""

    model: Ising

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n, m)`. Raises `ValueError` as `mcmc.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One cluster grown and flipped."""
        spins, acceptance = _wolff(self.model, state.position, generator)
        return State(spins, self.model.energy(spins)), Info(
            acceptance, torch.zeros_like(acceptance, dtype=torch.bool)
        )


# --- Many chains, fast


class Simulation(NamedTuple):
    """What `simulate` returns: the last spins `(n_chains, n, m)`, int8, and what it recorded on the way.

    `energy` and `magnetization`, the mean spin, are `(n_records, n_chains)`, float64.
    """

    spins: Tensor
    energy: Tensor
    magnetization: Tensor


def simulate(
    model: Ising,
    n_sweeps: int,
    generator: Generator,
    n_chains: int = 64,
    record_every: int = 0,
    start: Tensor | None = None,
) -> Simulation:
    """Heat-bath sweeps of many chains at the speed of the machine, on the CPU.

    A torus with even sides, one coupling and no field takes one bit a spin and chain (multi-spin coding, for 8
    chains or more, fewer where 2, 4, …, 64 divide the rows); anything else takes a byte. Both are compiled by numba
    where it is installed; without it the bits go through NumPy and the bytes through `gibbs_sweep`. Each word of
    32 lanes, or each chain of bytes, has a thread.

    `record_every` sweeps the energy and the mean spin of every chain are noted; 0 notes nothing. `start` is
    `(n_chains, n, m)`; without it every spin starts as a fair coin. Raises `ValueError` for counts that
    make no sense and a start that does not fit. Source: Creutz, Jacobs & Rebbi 1979.
    """
    _check_counts(n_sweeps, n_chains, record_every)
    engine = _engine(model, n_chains, generator)
    if start is not None:
        _check_spins(model, start)
        if start.shape != (n_chains, *model.event_shape):
            raise ValueError(
                f"start must have shape {(n_chains, *model.event_shape)}, got {tuple(start.shape)}"
            )
        engine.set_spins(start.to("cpu", torch.int8).numpy())
    records = np.empty((n_sweeps // record_every if record_every else 0, 2, n_chains))
    for record in records:
        engine.sweep(record_every)
        record[:] = engine.measure()
    engine.sweep(n_sweeps - len(records) * record_every)
    energy, magnetization = torch.from_numpy(records).unbind(1)
    return Simulation(torch.from_numpy(engine.get_spins()), energy, magnetization)


def _check_counts(n_sweeps: int, n_chains: int, record_every: int) -> None:
    least = {"n_sweeps": (n_sweeps, 0), "n_chains": (n_chains, 1), "record_every": (record_every, 0)}
    for name, (count, smallest) in least.items():
        if count < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {count}")


def _engine(model: Ising, n_chains: int, generator: Generator) -> MultiSpin | ByteLattice:
    words = chance.uniform(torch.empty(4, dtype=torch.float64), generator) * 2**32
    seed = np.random.SeedSequence([int(word) for word in words])
    n, m = model.event_shape
    coupling = _uniform_coupling(model)
    even_torus = model.periodic and n % 2 == 0 and m % 2 == 0
    lanes = n_chains * n_bands(n, n_chains)
    if even_torus and not math.isnan(coupling) and not model.field.any() and lanes >= _MANY_LANES:
        return MultiSpin((n, m), coupling, n_chains, seed)
    on_cpu = _detached(model, "cpu").double()
    slow = torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def sweep_slowly(spins: NDArray[np.int8]) -> NDArray[np.int8]:
        return np.asarray(gibbs_sweep(on_cpu, torch.from_numpy(spins), slow).numpy())

    parts = (on_cpu.horizontal.numpy(), on_cpu.vertical.numpy(), on_cpu.field.numpy())
    return ByteLattice(parts, coupling, model.periodic, n_chains, seed, sweep_slowly)


def _detached(model: Ising, device: torch.device | str) -> Ising:
    """The same model outside any graph, on `device`."""
    copy = Ising(model.event_shape, 0.0, periodic=model.periodic)
    for name in ("horizontal", "vertical", "field"):
        setattr(copy, name, getattr(model, name).detach().to(device))
    return copy


# --- The most probable state


def icm(model: Ising, spins: Tensor) -> Tensor:
    """Iterated conditional modes: every spin follows its local field until none would change.

    Sites go colour by colour; a spin with field 0 stays. The energy falls with every change, so it ends, at a
    state that no single flip improves; which one depends on where it began. `spins` `(..., n, m)`; returns a
    new tensor. Source: Besag 1986.
    """
    _check_spins(model, spins)
    while True:
        before = spins
        for sites in colour_classes(model):
            sites = sites.to(spins.device)
            pull = _local_field(model, spins).flatten(-2)[..., sites]
            current = spins.flatten(-2)[..., sites]
            spins = _with_sites(spins, sites, torch.where(pull == 0, current, pull.sign().to(spins.dtype)))
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


# --- Exact sums


def transfer_matrix_log_partition(model: Ising) -> Tensor:
    """log Z by the transfer matrix, for any couplings and fields; shape `()`, differentiable in all of them.

    The work is n·m·2^w on free boundary and n·m·4^w on a torus, w the shorter side. Raises `ValueError` where
    the front would exceed `MAX_FRONT` entries. Source: Kramers & Wannier 1941.
    """
    _require_ising(model, "transfer_matrix")
    width = min(model.event_shape)
    front = 4**width if model.periodic else 2**width
    if front > MAX_FRONT:
        raise ValueError(
            f"the transfer matrix of a {_describe(model)} needs {_power(width, model)} entries, more than "
            f"{MAX_FRONT:,}; use method='kaufman' for one coupling on a torus without field (of even sides, where "
            "it is negative), or estimate with method='ais'"
        )
    return _ising_exact.transfer_matrix(model.horizontal, model.vertical, model.field, model.periodic)


def kaufman_log_partition(model: Ising) -> Tensor:
    """log Z of a torus of any size with one coupling J ≥ 0 and no field, in closed form; shape `()`.

    Z = ½ (2 sinh 2J)^{nm/2} {Π 2cosh(½mγ_{2r-1}) + Π 2sinh(½mγ_{2r-1})
                              + Π 2cosh(½mγ_{2r}) + Π 2sinh(½mγ_{2r})},  r = 1..n,
    with cosh γ_l = cosh²2J / sinh 2J - cos(πl/n); at J = 0, Z = 2^{nm}. Where no side is an odd ring, turning over
    every second spin shows Z(-J) = Z(J). Raises `ValueError` elsewhere. Source: Kaufman 1949, eq. 75.
    """
    _require_ising(model, "kaufman")
    coupling = _kaufman_coupling(model)
    if math.isnan(coupling):
        raise ValueError(
            "Kaufman's formula holds on a torus without field and with one coupling, not negative unless both "
            f"sides are even, not for this {_describe(model)}; use method='transfer_matrix', or 'ais' if too wide"
        )
    n, m = model.event_shape
    # The formula counts a side of length 1 as a bond from each site to itself, worth e^J each.
    self_bonds = n * m * ((n == 1) + (m == 1))
    log_z = _ising_exact.kaufman(n, m, coupling) - coupling * self_bonds if coupling else n * m * math.log(2)
    return torch.tensor(log_z, dtype=torch.float64, device=model.field.device)


def _kaufman_coupling(model: Ising) -> float:
    """The |J| whose log Z on this torus Kaufman's formula gives, or nan."""
    coupling = _uniform_coupling(model)
    odd_ring = any(side % 2 == 1 and side > 1 for side in model.event_shape)
    if not model.periodic or model.field.any() or (coupling < 0 and odd_ring):
        return math.nan
    return abs(coupling)


def _require_ising(model: EnergyModel, method: str) -> None:
    if not isinstance(model, Ising):
        raise ValueError(f"method={method!r} is for ebmkit.ising.Ising models, got {type(model).__name__}")


def _power(width: int, model: Ising) -> str:
    return f"{4 if model.periodic else 2}^{width}"


def _describe(model: Ising) -> str:
    n, m = model.event_shape
    return f"{n}×{m} {'torus' if model.periodic else 'grid with free boundary'}"


class Moments(NamedTuple):
    """Exact expectations: E[s_i], and E[s_i s_j] over the edges; each `(n, m)`, 0 where there is no edge."""

    spins: Tensor
    horizontal: Tensor
    vertical: Tensor


def exact_moments(model: Ising) -> Moments:
    """E[s_i] = ∂log Z/∂h_i and E[s_i s_j] = ∂log Z/∂J_ij, by differentiating the transfer matrix.

    Raises `ValueError` where the grid is too wide for it.
    """
    copy = _detached(model, model.field.device)
    parts = [part.requires_grad_(True) for part in (copy.field, copy.horizontal, copy.vertical)]
    with torch.enable_grad():
        spins, horizontal, vertical = torch.autograd.grad(
            transfer_matrix_log_partition(copy), parts, materialize_grads=True
        )
    return Moments(spins, horizontal * _is_edge(model, 1), vertical * _is_edge(model, 0))


def _is_edge(model: Ising, axis: int) -> Tensor:
    return _bonds("edge", 1.0, model.event_shape, axis, model.periodic).to(model.field.device)


def exact_sample(model: Ising, sample_shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Independent exact samples, `(*sample_shape, n, m)`: the transfer matrix run forward, then backward.

    Free boundary only. Raises `ValueError` on a torus, and where the fronts it must remember, one a row and
    one a column, exceed `4 * MAX_FRONT` entries (256 MB, 19 spins wide for a square).
    """
    n, m = sorted(model.event_shape, reverse=True)
    if model.periodic:
        raise ValueError(
            f"exact_sample needs a free boundary, this is a {_describe(model)}; use swendsen_wang"
        )
    if (n + m) * 2**m > 4 * MAX_FRONT:
        raise ValueError(
            f"a {_describe(model)} is too wide to sample exactly; use swendsen_wang or gibbs_sweep"
        )
    parts = (model.horizontal.detach(), model.vertical.detach(), model.field.detach())
    spins = _ising_exact.sample_free(*_ising_exact.oriented(*parts), math.prod(sample_shape), generator)
    turned = spins if spins.shape[-2:] == model.event_shape else spins.mT
    return turned.reshape(*sample_shape, *model.event_shape)


# --- The infinite lattice without field


def onsager_log_partition(coupling: float | Tensor) -> Tensor:
    """lim (log Z)/N, per site of the infinite square lattice (physics: -βf); the shape of `coupling`.

    ln(2cosh 2J) + (1/π)∫₀^{π/2} ln[½(1 + √(1 - κ² sin²θ))] dθ, κ = 2 sinh 2J / cosh² 2J.
    Source: Onsager 1944.
    """
    return _of_coupling(_ising_exact.onsager_log_partition, coupling)


def onsager_energy(coupling: float | Tensor) -> Tensor:
    """-E[Σ_{(i,j)} s_i s_j] per site of the infinite square lattice, in [-2, 2]; the shape of `coupling`.

    u = -coth 2J [1 + (2/π)(2 tanh² 2J - 1) K(κ)]; multiply by J for the mean of `Ising.energy` a site.
    Source: Onsager 1944.
    """
    return _of_coupling(_ising_exact.onsager_energy, coupling)


def yang_magnetization(coupling: float | Tensor) -> Tensor:
    """Spontaneous magnetization (1 - sinh⁻⁴ 2J)^{1/8}, 0 for J ≤ `CRITICAL_COUPLING`. Source: Yang 1952."""
    return _of_coupling(_ising_exact.yang_magnetization, coupling)


def _of_coupling(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], coupling: float | Tensor
) -> Tensor:
    j = torch.as_tensor(coupling, dtype=torch.float64)
    if not j.isfinite().all():
        raise ValueError(f"coupling must be finite, got {coupling}")
    return torch.from_numpy(function(j.detach().cpu().numpy())).to(j.device)
