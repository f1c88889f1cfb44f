"""The Ising model on a grid, its heat bath and its exact log Z."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import (
    as_tensor,
    check_at_least_zero,
    check_count,
    check_finite,
    check_share,
    looks_at,
)
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.graphs import GraphIsing
from ebmkit.ising import _exact

CRITICAL_COUPLING = math.log(1 + math.sqrt(2)) / 2
"""Where the infinite square lattice orders, J_c = ½ ln(1 + √2). Kramers & Wannier 1941."""

MAX_FRONT = 2**23
"""The most entries the transfer matrix may hold at once: 23 spins wide, or 11 wide on a torus."""


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

    >>> import torch
    >>> from ebmkit import ising
    >>> model = ising.Ising((2, 2), coupling=0.4, field=0.1)
    >>> model.energy(torch.ones(2, 2))  # -(4 · 0.4 + 4 · 0.1)
    tensor(-2., dtype=torch.float64)
    >>> model.exact_log_partition()
    tensor(3.1473, dtype=torch.float64)
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
        self.register_buffer("horizontal", bond_grid("horizontal coupling", horizontal, (n, m), 1, periodic))
        self.register_buffer("vertical", bond_grid("vertical coupling", vertical, (n, m), 0, periodic))
        self.register_buffer("field", _expanded("field", field, (n, m)).clone())

    def energy(self, x: Tensor) -> Tensor:
        """E(s) of spins `(..., n, m)`; returns `(...)`. Raises `ValueError` unless every spin is -1 or +1."""
        check_spins(self, x)
        pull = self.horizontal * x.roll(-1, -1) + self.vertical * x.roll(-1, -2) + self.field
        return -(x * pull).sum((-2, -1))

    def local_field(self, spins: Tensor) -> Tensor:
        """Σ_j J_ij s_j + h_i, what pulls on each spin; the shape of `spins`, `(..., n, m)`."""
        return local_field(self, check_spins(self, spins))

    def conditional(self, spins: Tensor) -> Tensor:
        """p(s_i = +1 | all other spins) = σ(2 · local field); the shape of `spins`."""
        return torch.sigmoid(2 * self.local_field(spins))

    def gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        """One checkerboard sweep, see `gibbs_sweep`. The result has the shape of x, `(..., n, m)`."""
        return gibbs_sweep(self, x, generator=generator)

    def gibbs_step_given(self, x: Tensor, known: Tensor, *, generator: Generator) -> Tensor:
        """A `gibbs_step` of the spins that are not `known` (bool, `(n, m)`), given those that are."""
        x = check_spins(self, x)
        for sites in colour_classes(self):
            free = sites[~known.flatten()[sites.to(known.device)].to(sites.device)]
            if len(free):
                x = gibbs_update(self, x, free, generator=generator)
        return x

    def exact_log_partition(self) -> Tensor:
        """log Z, by Kaufman's formula where it holds, else by the transfer matrix; shape `()`.

        Raises `ValueError` where the grid is too wide for either, saying what to use instead.
        """
        if not _in_a_graph(self) and not math.isnan(_kaufman_coupling(self)):
            return kaufman_log_partition(self)
        return transfer_matrix_log_partition(self)

    def annealed(self, beta: float) -> "Ising":
        """The model part of the way from its fields alone (`beta` 0) to this one (`beta` 1).

        E_β(s) = -β Σ_{(i,j)∈E} J_ij s_i s_j - Σ_i h_i s_i, an Ising model again.
        """
        check_share("beta", beta)
        return _scaled(self, beta)

    def tempered(self, beta: float) -> "Ising":
        """The model at inverse temperature β, β E(s): couplings and fields times β."""
        check_at_least_zero("beta", beta)
        model = _scaled(self, beta)
        model.field = beta * self.field
        return model

    def base_log_partition(self) -> Tensor:
        """log Z of the free spins that annealing starts from, Σ_i log 2 cosh h_i; shape `()`."""
        return torch.logaddexp(self.field, -self.field).sum()

    def sample_base(self, n: int, *, generator: Generator) -> Tensor:
        """Independent free spins, p(s_i = +1) = σ(2 h_i); `(n, *event_shape)`."""
        check_count("n", n, 0)
        p_up = torch.sigmoid(2 * self.field.detach())
        return 2 * chance.bits(p_up.expand(n, *self.event_shape), generator=generator) - 1

    def on_graph(self) -> GraphIsing:
        """The same law of spins `(n·m,)`, row by row, on the graph of this grid; two bonds of one pair become one.

        >>> grid = Ising((3, 4), 0.4, field=0.1)
        >>> bool((grid.on_graph().exact_log_partition() - grid.exact_log_partition()).abs() < 1e-12)
        True
        """
        n, m = self.event_shape
        site = torch.arange(n * m, device=self.field.device).reshape(n, m)
        bonds = torch.cat([self.horizontal.detach().flatten(), self.vertical.detach().flatten()])
        ends = torch.stack(
            [site.flatten().repeat(2), torch.cat([site.roll(-1, 1), site.roll(-1, 0)]).flatten()]
        )
        there = bonds != 0
        pairs, number = torch.unique(ends[:, there].sort(0).values.T, dim=0, return_inverse=True)
        joined = bonds.new_zeros(len(pairs)).index_add(0, number, bonds[there])
        return GraphIsing(pairs, joined, self.field.detach().flatten(), n_sites=n * m)

    def extra_repr(self) -> str:
        return f"shape={self.event_shape}, periodic={self.periodic}"


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(shape, Sequence) or len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be (rows, columns), both at least 1, got {shape}")
    return check_count("rows", shape[0], 1), check_count("columns", shape[1], 1)


def _expanded(name: str, value: float | Tensor, shape: tuple[int, int]) -> Tensor:
    tensor = as_tensor(value, name=name).double()
    if tensor.ndim != 0 and tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be one number or have shape {shape}, got shape {tuple(tensor.shape)}")
    check_finite(tensor, name)
    return tensor.expand(shape)


def bond_grid(name: str, value: float | Tensor, shape: tuple[int, int], axis: int, periodic: bool) -> Tensor:
    """The bonds along `axis` as a tensor of the grid's shape, 0 where the grid ends."""
    missing = 0 if periodic and shape[axis] > 1 else 1
    rows, columns = (missing, 0) if axis == 0 else (0, missing)
    given = as_tensor(value, name=name).double()
    if periodic and missing and tuple(given.shape) == shape:
        given = given.narrow(axis, 0, 0)  # on a side of length 1 a site would be its own neighbour
    inside = _expanded(name, given, (shape[0] - rows, shape[1] - columns))
    return torch.nn.functional.pad(inside, (0, columns, 0, rows))


def check_spins(model: Ising, spins: Tensor) -> Tensor:
    """The spins as a tensor; `ValueError` unless they are -1 or +1, `(..., n, m)`, in a dtype that holds both."""
    require_ising(model)
    spins = as_tensor(spins, model.field, "spins")
    if tuple(spins.shape[-2:]) != model.event_shape:
        raise ValueError(
            f"spins must have shape (..., {model.event_shape[0]}, {model.event_shape[1]}), "
            f"got {tuple(spins.shape)}"
        )
    if spins.dtype == torch.bool:
        raise ValueError("spins must be -1 or +1, got values False or True; use 2.0 * x - 1")
    if not (spins.is_floating_point() or torch.iinfo(spins.dtype).min < 0):
        raise ValueError(f"spins are {spins.dtype}, which cannot hold -1; use spins.to(torch.int8)")
    if looks_at(spins) and not (spins.abs() == 1).all():
        found = ", ".join(f"{v:g}" for v in torch.unique(spins.detach())[:6].tolist())
        raise ValueError(f"spins must be -1 or +1, got values {{{found}}}; use 2 * x - 1 for labels 0 and 1")
    return spins


def local_field(model: Ising, spins: Tensor) -> Tensor:
    across, down = model.horizontal, model.vertical
    return (
        (across * spins.roll(-1, -1) + (across * spins).roll(1, -1))
        + (down * spins.roll(-1, -2) + (down * spins).roll(1, -2))
        + model.field
    )


def uniform_coupling(model: Ising) -> float:
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
    """Spins 2y - 1 of labels y in {0, 1}, any shape; float64 unless `labels` is floating point.

    Raises `ValueError` for labels other than 0 and 1.

    >>> import torch
    >>> from ebmkit import ising
    >>> ising.to_spins(torch.tensor([0.0, 1.0]))
    tensor([-1.,  1.])
    """
    labels = as_tensor(labels, name="labels")
    if looks_at(labels) and not ((labels == 0) | (labels == 1)).all():
        found = ", ".join(f"{v:g}" for v in torch.unique(labels)[:6].tolist())
        raise ValueError(f"labels must be 0 or 1, got values {{{found}}}")
    return 2 * (labels if labels.is_floating_point() else labels.double()) - 1


def to_labels(spins: Tensor) -> Tensor:
    """Labels (s + 1)/2 in {0, 1} of spins s = ±1, any shape and dtype.

    >>> import torch
    >>> from ebmkit import ising
    >>> ising.to_labels(torch.tensor([-1.0, 1.0]))
    tensor([0., 1.])
    """
    spins = as_tensor(spins, name="spins")
    return (spins > 0).to(spins.dtype)


def colour_classes(model: Ising) -> tuple[Tensor, ...]:
    """The sites, as flat indices, in classes without an edge inside: two, or three on a torus with an odd side.

    Spins of one class are conditionally independent given all others, so they can be redrawn together.

    Each class is `(n_sites_in_it,)`, int64.

    >>> from ebmkit import ising
    >>> [len(sites) for sites in ising.colour_classes(ising.Ising((3, 3), 0.4))]
    [5, 4]
    """
    require_ising(model)
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


def gibbs_sweep(model: Ising, spins: Tensor, *, generator: Generator) -> Tensor:
    """One heat-bath sweep: every site redrawn from p(s_i = +1 | rest) = σ(2 · local field), colour by colour.

    Sites of one colour are conditionally independent, so they are drawn together: two colours as on a
    checkerboard, three on a torus with an odd side. `spins` `(..., n, m)`; returns a new tensor of its shape
    and dtype. The sweep leaves p invariant; each colour's update is reversible, their product is not.
    Source: Geman & Geman 1984.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model, spins = ising.Ising((4, 4), 0.4), torch.ones(10, 4, 4)
    >>> ising.gibbs_sweep(model, spins, generator=generator).shape
    torch.Size([10, 4, 4])
    """
    spins = check_spins(model, spins)
    for sites in colour_classes(model):
        spins = gibbs_update(model, spins, sites, generator=generator)
    return spins


def gibbs_update(model: Ising, spins: Tensor, sites: Tensor, *, generator: Generator) -> Tensor:
    """The sites of one colour redrawn together; `sites` are flat indices, no two of them neighbours.

    The result has the shape of `spins`, `(..., n, m)`.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model, spins = ising.Ising((3, 3), 9.0), torch.ones(3, 3)
    >>> sites = ising.colour_classes(model)[0]
    >>> bool((ising.gibbs_update(model, spins, sites, generator=generator) == 1).all())  # cold spins stay
    True
    """
    require_ising(model)
    spins = as_tensor(spins, model.field, "spins")
    sites = torch.as_tensor(sites).to(spins.device)
    p_up = torch.sigmoid(2 * local_field(model, spins).flatten(-2)[..., sites])
    return with_sites(spins, sites, 2.0 * chance.bernoulli(p_up, generator=generator).to(spins.dtype) - 1)


def with_sites(spins: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    """A copy of `spins` `(..., n, m)` whose flat `sites` are `new` `(..., len(sites))`."""
    return spins.flatten(-2).index_copy(-1, sites, new.to(spins.dtype)).reshape(spins.shape)


def detached(model: Ising, device: torch.device | str) -> Ising:
    """The same model outside any graph, on `device`."""
    copy = Ising(model.event_shape, 0.0, periodic=model.periodic)
    for name in ("horizontal", "vertical", "field"):
        setattr(copy, name, getattr(model, name).detach().to(device))
    return copy


def transfer_matrix_log_partition(model: Ising) -> Tensor:
    """log Z by the transfer matrix, for any couplings and fields; shape `()`, differentiable in all of them.

    The work is n·m·2^w on free boundary and n·m·4^w on a torus, w the shorter side. Raises `ValueError` where
    the front would exceed `MAX_FRONT` entries. Source: Kramers & Wannier 1941.

    >>> from ebmkit import enumeration, ising
    >>> model = ising.Ising((3, 3), 0.4)
    >>> exact = enumeration.log_partition(model)
    >>> bool((ising.transfer_matrix_log_partition(model) - exact).abs() < 1e-10)
    True
    """
    require_ising(model, ValueError, "transfer_matrix")
    width = min(model.event_shape)
    front = 4**width if model.periodic else 2**width
    if front > MAX_FRONT:
        raise ValueError(
            f"the transfer matrix of a {describe(model)} needs {_power(width, model)} entries, more than "
            f"{MAX_FRONT:,}; use method='kaufman' for one coupling on a torus without field (of even sides, where "
            "it is negative), or estimate with method='ais'"
        )
    return _exact.transfer_matrix(model.horizontal, model.vertical, model.field, model.periodic)


def kaufman_log_partition(model: Ising) -> Tensor:
    """log Z of a torus of any size with one coupling J ≥ 0 and no field, in closed form; shape `()`.

    Z = ½ (2 sinh 2J)^{nm/2} {Π 2cosh(½mγ_{2r-1}) + Π 2sinh(½mγ_{2r-1})
                              + Π 2cosh(½mγ_{2r}) + Π 2sinh(½mγ_{2r})},  r = 1..n,
    with cosh γ_l = cosh²2J / sinh 2J - cos(πl/n); at J = 0, Z = 2^{nm}. Where no side is an odd ring, turning over
    every second spin shows Z(-J) = Z(J). Raises `ValueError` elsewhere. Source: Kaufman 1949, eq. 75.

    >>> from ebmkit import enumeration, ising
    >>> torus = ising.Ising((3, 4), 0.4, periodic=True)
    >>> bool((ising.kaufman_log_partition(torus) - enumeration.log_partition(torus)).abs() < 1e-10)
    True
    """
    require_ising(model, ValueError, "kaufman")
    if _in_a_graph(model):
        raise ValueError(
            "Kaufman's formula gives log Z as a number, and this model's couplings or fields require a gradient; "
            "use method='transfer_matrix', or detach them"
        )
    coupling = _kaufman_coupling(model)
    if math.isnan(coupling):
        raise ValueError(
            "Kaufman's formula holds on a torus without field and with one coupling, not negative unless both "
            f"sides are even, not for this {describe(model)}; use method='transfer_matrix', or 'ais' if too wide"
        )
    n, m = model.event_shape
    # The formula counts a side of length 1 as a bond from each site to itself, worth e^J each.
    self_bonds = n * m * ((n == 1) + (m == 1))
    log_z = _exact.kaufman(n, m, coupling) - coupling * self_bonds if coupling else n * m * math.log(2)
    return torch.tensor(log_z, dtype=torch.float64, device=model.field.device)


def _kaufman_coupling(model: Ising) -> float:
    """The |J| whose log Z on this torus Kaufman's formula gives, or nan."""
    coupling = uniform_coupling(model)
    odd_ring = any(side % 2 == 1 and side > 1 for side in model.event_shape)
    if not model.periodic or model.field.any() or (coupling < 0 and odd_ring):
        return math.nan
    return abs(coupling)


def require_ising(model: EnergyModel, error: type[Exception] = TypeError, method: str = "") -> None:
    """Raise `error` unless `model` is a grid of spins; `TypeError` for what is no model at all."""
    if not isinstance(model, Ising):
        check_is_model(model, method or "this")
        what = f"method={method!r}" if method else "this"
        raise error(f"{what} is for ebmkit.ising.Ising models, got {type(model).__name__}")


def _in_a_graph(model: Ising) -> bool:
    return any(part.requires_grad for part in (model.horizontal, model.vertical, model.field))


def _power(width: int, model: Ising) -> str:
    return f"{4 if model.periodic else 2}^{width}"


def describe(model: Ising) -> str:
    n, m = model.event_shape
    return f"{n}×{m} {'torus' if model.periodic else 'grid with free boundary'}"
