"""The models: spins, values and bits on the sites of a graph."""

import copy
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from ebmkit import chance
from ebmkit._checks import (
    SampleShape,
    as_tensor,
    check_at_least_zero,
    check_count,
    check_event,
    check_share,
    check_values,
)
from ebmkit.energy import EnergyModel
from ebmkit.graphs import _elimination, _sweeps
from ebmkit.graphs._edges import Plan, checked_edges, one_or_each


class PairwiseModel(EnergyModel):
    """x on the n sites of a graph, E(x) = -Σ_{(i,j)∈E} J_ij c(x_i, x_j) - Σ_i h_i(x_i), with any symmetric c.

    Everything exact costs q^(w+1) n, with q the values of a site and w the width of an elimination order; what is
    sampled goes colour by colour. `edges` `(n_edges, 2)` is a buffer, `coupling` `(n_edges,)` and `field` are
    parameters, so that `fit` learns them, by `maximum_likelihood`, by `cd` or `pcd`, or by
    `by_loss(pseudo_likelihood)`.

    Parameters
    ----------
    edges:
        Pairs of sites, `(n_edges, 2)`; `edges_of(J)` makes them of a matrix.
    coupling:
        One number, or one an edge.
    field:
        h, one number or `(n, q)`.
    alike:
        c, `(q, q)`: how much two values that are joined like each other.
    n_sites:
        How many sites there are; by default, up to the last that an edge names.

    The values are 0, 1, …, q-1. Raises `ValueError` for edges that are none or given twice, shapes that do not fit
    and values that are not finite. Source: Besag 1974.

    >>> colours = PairwiseModel([(0, 1), (1, 2), (0, 2)], 1.0, alike=-30 * torch.eye(3))
    >>> round(colours.exact_log_partition().exp().item())  # a triangle has six proper colourings
    6
    """

    edges: Tensor
    coupling: nn.Parameter
    field: nn.Parameter
    alike: Tensor

    def __init__(
        self, edges: Any, coupling: Any = 0.0, field: Any = 0.0, *, alike: Any, n_sites: int | None = None
    ) -> None:
        super().__init__()
        table = as_tensor(alike, name="alike").detach()
        if table.dim() != 2 or len(table) < 2 or not torch.equal(table, table.mT):
            raise ValueError("alike must be a symmetric matrix over two or more values, c(v, w) = c(w, v)")
        pairs, n = checked_edges(edges, n_sites)
        self.event_shape = (n,)
        self.values = self._alphabet(len(table))
        self.register_buffer("edges", pairs)
        self.coupling = nn.Parameter(one_or_each("coupling", coupling, (len(pairs),)))
        self.register_buffer("alike", table.to(self.coupling.dtype), persistent=False)
        given = one_or_each("field", field, self._field_shape(n, len(table)))
        self.field = nn.Parameter(given.to(self.coupling.dtype))
        self.plan = Plan(pairs, n)

    @staticmethod
    def _alphabet(n_values: int) -> tuple[float, ...]:
        return tuple(map(float, range(n_values)))

    @staticmethod
    def _field_shape(n: int, n_values: int) -> tuple[int, ...]:
        return n, n_values

    def site_table(self) -> Tensor:
        """h_i(v) for every value, `(n, q)`."""
        return self.field

    def edge_table(self) -> Tensor:
        """J_ij c(v, w) for every pair of values, `(n_edges, q, q)`."""
        return self.coupling[:, None, None] * self.alike

    def index(self, x: Tensor) -> Tensor:
        """Which of the model's values each x_i is, `(..., n)`, int64."""
        check_event(x, self.event_shape)
        check_values(x, self.values or ())
        low, high = (self.values or ())[:2]
        return ((x - low) / (high - low)).round().long()

    def from_index(self, index: Tensor, like: Tensor) -> Tensor:
        """The values that an index stands for, in the dtype of `like`.

        The result has the shape of the index, `(..., n)`.
        """
        return torch.tensor(self.values, dtype=like.dtype, device=like.device)[index]

    def energy(self, x: Tensor) -> Tensor:
        """E(x), `(..., n)` to `(...)`. Raises `ValueError` unless every x_i is one of the model's values."""
        value = self.index(x)
        i, j = self.edges.unbind(1)
        bonds = (self.coupling * self.alike[value[..., i], value[..., j]]).sum(-1)
        fields = self.site_table().expand(*value.shape, -1).gather(-1, value[..., None])[..., 0]
        return -bonds - fields.sum(-1)

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i = v | all others) of every site and value, `(..., n)` to `(..., n, q)`; differentiable."""
        return _sweeps.all_log_odds(self, self.index(x)).log_softmax(-1)

    def gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        """One sweep: every site redrawn given all others, colour by colour; the shape of x.

        Many chains of spins or bits in float32 are swept by a compiled kernel where numba is installed, with
        probabilities to within 2^-24. Source: Geman & Geman 1984.
        """
        return _sweeps.sweep(self, x, generator=generator)

    def gibbs_step_given(self, x: Tensor, known: Tensor, *, generator: Generator) -> Tensor:
        """A `gibbs_step` of the sites that are not `known` (bool, `(n,)`), given those that are."""
        return _sweeps.sweep_given(self, x, known, generator=generator)

    def exact_log_partition(self) -> Tensor:
        """log Z by elimination, see `elimination_log_partition`; shape `()`, differentiable."""
        return _elimination.elimination_log_partition(self)

    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Independent exact draws, `(*sample_shape, *event_shape)`, see `exact_sample`."""
        return _elimination.exact_sample(self, sample_shape, generator=generator)

    def annealed(self, beta: float) -> Self:
        """The model part of the way from its fields alone (`beta` 0) to this one (`beta` 1): couplings β J."""
        check_share("beta", beta)
        return self.with_numbers(beta * self.coupling.detach(), self.field.detach())

    def tempered(self, beta: float) -> Self:
        """The model at inverse temperature β, β E(x): couplings and fields times β."""
        check_at_least_zero("beta", beta)
        return self.with_numbers(beta * self.coupling.detach(), beta * self.field.detach())

    def base_log_partition(self) -> Tensor:
        """log Z of the free sites that annealing starts from, Σ_i log Σ_v exp(h_i(v)); shape `()`."""
        return self.site_table().logsumexp(-1).sum()

    def sample_base(self, n: int, *, generator: Generator) -> Tensor:
        """Independent free sites, `(n, *event_shape)`."""
        check_count("n", n, 0)
        p = self.site_table().detach().softmax(-1)
        return self.from_index(chance.categorical(p.expand(n, *p.shape), generator=generator), p)

    def with_numbers(self, coupling: Tensor, field: Tensor) -> Self:
        """The same graph with other couplings and fields, which share no memory with these.

        Each one number or of the shape of the model's own; `ValueError` for others, and where one is not finite.
        """
        other = copy.copy(self)
        given = {"coupling": (coupling, self.coupling), "field": (field, self.field)}
        parameters = {
            name: nn.Parameter(one_or_each(name, new, tuple(old.shape)).to(old))
            for name, (new, old) in given.items()
        }
        other.__dict__["_parameters"] = {**self._parameters, **parameters}
        return other

    def extra_repr(self) -> str:
        return f"n_sites={self.event_shape[0]}, n_edges={len(self.edges)}, n_values={len(self.values or ())}"


class _Numbers(PairwiseModel):
    """Models whose c is the product of two numbers: fields are one a site, and the energy is a polynomial."""

    @staticmethod
    def _field_shape(n: int, n_values: int) -> tuple[int, ...]:
        return (n,)

    def site_table(self) -> Tensor:
        """h_i v for every value, `(n, q)`."""
        values = torch.tensor(self.values, dtype=self.field.dtype, device=self.field.device)
        return self.field[:, None] * values

    def energy(self, x: Tensor) -> Tensor:
        """E(x), `(..., n)` to `(...)`. Raises `ValueError` unless every x_i is one of the model's values."""
        check_event(x, self.event_shape)
        check_values(x, self.values or ())
        i, j = self.edges.unbind(1)
        return -(self.coupling * x[..., i] * x[..., j]).sum(-1) - (self.field * x).sum(-1)


class GraphIsing(_Numbers):
    """Spins ±1 on any graph, E(s) = -Σ_{(i,j)∈E} J_ij s_i s_j - Σ_i h_i s_i.

    Arguments as `PairwiseModel`, `field` one number or one a site. Source: Ising 1925.

    >>> triangle = GraphIsing([(0, 1), (1, 2), (0, 2)], -0.7)  # no state satisfies all three
    >>> round(triangle.exact_log_partition().item(), 6)  # log(2 e^-2.1 + 6 e^0.7)
    2.511827
    """

    def __init__(
        self, edges: Any, coupling: Any = 0.0, field: Any = 0.0, *, n_sites: int | None = None
    ) -> None:
        super().__init__(edges, coupling, field, alike=[[1.0, -1.0], [-1.0, 1.0]], n_sites=n_sites)

    @staticmethod
    def _alphabet(n_values: int) -> tuple[float, ...]:
        return (-1.0, 1.0)


class BoltzmannMachine(_Numbers):
    """Bits 0 or 1, all of them visible, E(x) = -Σ_{(i,j)∈E} w_ij x_i x_j - Σ_i b_i x_i.

    `edges` is the number of units, then every two are joined, or pairs of units as for `PairwiseModel`; `coupling`
    is w (one number or one an edge), `field` is b. Source: Ackley, Hinton & Sejnowski 1985.

    >>> machine = BoltzmannMachine(3, coupling=[1.0, -0.5, 0.3])
    >>> machine.edges.tolist()
    [[0, 1], [0, 2], [1, 2]]
    """

    def __init__(
        self, edges: Any, coupling: Any = 0.0, field: Any = 0.0, *, n_sites: int | None = None
    ) -> None:
        if isinstance(edges, int):
            n_sites = check_count("the number of units", edges, 1)
            edges = torch.combinations(torch.arange(n_sites), 2)
        super().__init__(edges, coupling, field, alike=[[0.0, 0.0], [0.0, 1.0]], n_sites=n_sites)

    def as_ising(self) -> GraphIsing:
        """The same law of spins 2x - 1, J = w/4 and h_i = b_i/2 + Σ_j w_ij/4; energies differ by a constant."""
        w = self.coupling.detach() / 4
        h = self.field.detach() / 2
        h = h.index_add(0, self.edges[:, 0], w).index_add(0, self.edges[:, 1], w)
        return GraphIsing(self.edges, w, h, n_sites=self.event_shape[0])


class GraphPotts(PairwiseModel):
    """One of q values 0, 1, …, q-1 at each site, E(x) = -Σ_{(i,j)∈E} J_ij [x_i = x_j] - Σ_i h_i(x_i).

    Arguments as `PairwiseModel`, with `n_values` q at least 2. Source: Potts 1952.

    >>> ring = GraphPotts([(0, 1), (1, 2), (2, 3), (3, 0)], 1.0, n_values=3)
    >>> round(ring.exact_log_partition().item(), 6)  # log((e + 2)⁴ + 2 (e - 1)⁴)
    6.240352
    """

    def __init__(
        self, edges: Any, coupling: Any = 0.0, field: Any = 0.0, *, n_values: int, n_sites: int | None = None
    ) -> None:
        q = check_count("n_values", n_values, 2)
        super().__init__(edges, coupling, field, alike=torch.eye(q), n_sites=n_sites)
