"""Integrals in one and two dimensions by adaptive Gauss-Kronrod rules, with an error estimate."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import check_at_least_zero, check_count, floating_tensor
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel, Estimate
from ebmkit.normalization._densities import Function

# Gauss-Kronrod (7, 15) on [-1, 1], the non-negative half: nodes, Kronrod weights, Gauss weights.
# Source: Piessens et al., QUADPACK (1983), routine qk15.
_NODES = (
    0.0,
    0.207784955007898467600689403773245,
    0.405845151377397166906606412076961,
    0.586087235467691130294144691258397,
    0.741531185599394439863864773280788,
    0.864864423359769072789712788640926,
    0.949107912342758524526189684047851,
    0.991455371120812639206854697526329,
)

_KRONROD = (
    0.209482141084727828012999174891714,
    0.204432940075298892414161999234649,
    0.190350578064785409913256402421014,
    0.169004726639267902826583426598550,
    0.140653259715525918745189590510238,
    0.104790010322250183839876322541518,
    0.063092092629978553290700663189204,
    0.022935322010529224963732008058970,
)

_GAUSS = (
    0.417959183673469387755102040816327,
    0.0,
    0.381830050505118944950369775488975,
    0.0,
    0.279705391489276667901467771423780,
    0.0,
    0.129484966168869693270611432679082,
    0.0,
)

_CELLS_AT_FIRST = 8
_FARTHEST = 2.0**-330
"""A cell at infinity as narrow as this begins at |x| = 10^99: a tail that still counts there is too heavy."""
_GENTLE = 30.0
"""Energies within a cell that differ by less than this, in nats, are left to the adaptive rule."""


def quadrature(
    f: Function,
    lower: float | Sequence[float] = -math.inf,
    upper: float | Sequence[float] = math.inf,
    *,
    rtol: float = 1e-9,
    atol: float = 0.0,
    max_evaluations: int = 4_000_000,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Estimate:
    """∫ f(x) dx over an interval or a rectangle, by adaptive Gauss-Kronrod rules, with an error estimate.

    Cells in which the 15-point Kronrod and the 7-point Gauss rule disagree are split until the sum of the
    disagreements is below max(atol, rtol |∫ f|). An infinite side is mapped to a finite one, x = 1/t from a
    distance of 1 on, so that infinity lies at t = 0, where floating-point numbers are dense. A cell that reaches it
    is not believed at all: its error is its whole value. So tails as heavy as |x|^-1.1 are integrated, and
    heavier ones refused. The value is differentiable in whatever f depends on.
    A spike narrower than the first grid (8 cells a side) can be missed: give bounds that bracket it. Where f
    was 0 everywhere it was looked at, the error is given as infinite: the value 0 then says nothing.

    Parameters
    ----------
    f:
        Maps x to numbers of shape `(n,)`: x has shape `(n,)` where the bounds are two numbers, `(n, d)` where
        they are two sequences of length d.
    lower, upper:
        The bounds, finite or not.

    Raises `ValueError` where f is not finite, `RuntimeError` where `max_evaluations` miss the tolerance or the
    sum grows beyond all numbers, as it does where the integral diverges.
    Source: Piessens et al., QUADPACK (1983).

    >>> from ebmkit import normalization
    >>> normalization.quadrature(lambda x: x**2, 0.0, 3.0).value
    tensor(9., dtype=torch.float64)
    """
    domain = _Domain.of(lower, upper, dtype, device)
    return _over_cells(f, domain, domain.cells(_CELLS_AT_FIRST), rtol, atol, max_evaluations)


def _over_cells(
    f: Function, domain: "_Domain", cells: Tensor, rtol: float, atol: float, max_evaluations: int
) -> Estimate:
    check_at_least_zero("rtol", rtol)
    check_at_least_zero("atol", atol)
    check_count("max_evaluations", max_evaluations, 1)
    with torch.no_grad():
        cells = _refine(f, domain, cells, rtol, atol, max_evaluations)
        rule = _integrate(f, domain, cells)
        error = torch.where(rule.absolute.any(), rule.error.sum(), math.inf)
    return Estimate(_integrate(f, domain, cells).value.sum(), error, "bound")


def log_quadrature(
    model: EnergyModel,
    lower: float | Sequence[float] = -math.inf,
    upper: float | Sequence[float] = math.inf,
    **options: Any,
) -> Estimate:
    """log Z = log ∫ exp(-E(x)) dx of a continuous model in one or two dimensions, with an error estimate.

    Cells are first split around the lowest energy that is found, and it is taken out of the exponential: energies
    in the thousands do not underflow, and a narrow or distant well is not missed. `lower`, `upper` and the options
    are those of `quadrature`. Event shapes: `()`, `(1,)`, `(2,)`.
    Raises `ValueError` where x is discrete or has more than two dimensions, else as `quadrature`.

    Raises `TypeError` for an option that it does not take.

    >>> from ebmkit import annealing, normalization
    >>> normalization.log_quadrature(annealing.GaussianBase((1,))).value  # ½ log 2π
    tensor(0.9189, dtype=torch.float64)
    """
    check_is_model(model, "log_quadrature")
    if model.values is not None or model.event_shape not in ((), (1,), (2,)):
        raise ValueError(
            "log_quadrature needs a continuous x of event shape (), (1,) or (2,), got values "
            f"{model.values} and event shape {model.event_shape}; use log_partition with another method"
        )
    known = ("rtol", "atol", "max_evaluations", "dtype", "device")
    if unknown := options.keys() - {*known}:
        raise TypeError(f"log_quadrature takes no {min(unknown)}; it takes lower, upper, {', '.join(known)}")
    lower, upper = _bounds_like(lower, model.event_shape), _bounds_like(upper, model.event_shape)
    like = floating_tensor(model)
    options.setdefault("dtype", like.dtype)
    options.setdefault("device", like.device)
    domain = _Domain.of(lower, upper, options.pop("dtype"), options.pop("device"))
    lowest, cells = _around_the_lowest_energy(model, domain)
    weight = _Weight(model, lowest)
    settings = {"rtol": 1e-9, "atol": 0.0, "max_evaluations": 4_000_000} | options
    value, error, _ = _over_cells(weight, domain, cells, **settings)
    if not bool(value > 0):
        raise ValueError(f"exp(-energy) integrates to {value.item()} here; give bounds that hold its mass")
    return Estimate(value.log() - weight.lowest, error / value.detach(), "bound")


class _Weight:
    """x to exp(lowest - E(x)), where `lowest` follows what is found, so that no weight overflows."""

    def __init__(self, model: EnergyModel, lowest: float) -> None:
        self.model, self.lowest, self._factor = model, lowest, 1.0

    def __call__(self, x: Tensor) -> Tensor:
        energy = self.model.energy(x)
        finite = energy.detach()[energy.isfinite()]
        found = float(finite.min()) if finite.numel() else self.lowest
        if found < self.lowest - 30:
            self._factor *= math.exp(max(found - self.lowest, -700.0))
            self.lowest = found
        return (self.lowest - energy).exp()

    def take_factor(self) -> float:
        """By how much earlier weights have become too large since this was last asked."""
        factor, self._factor = self._factor, 1.0
        return factor


class _Domain(NamedTuple):
    """A box, and the map from cells of the variable t to x in it: x = x(t), dx = |x'(t)| dt."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    scalar: bool
    like: Tensor

    @staticmethod
    def of(
        lower: float | Sequence[float],
        upper: float | Sequence[float],
        dtype: torch.dtype,
        device: torch.device | str | None,
    ) -> "_Domain":
        scalar = isinstance(lower, (int, float)) and isinstance(upper, (int, float))
        low = (float(lower),) if isinstance(lower, (int, float)) else tuple(map(float, lower))
        high = (float(upper),) if isinstance(upper, (int, float)) else tuple(map(float, upper))
        if len(low) != len(high) or len(low) not in (1, 2):
            raise ValueError(f"quadrature works in one or two dimensions, got bounds {lower} and {upper}")
        if not all(a < b for a, b in zip(low, high)):
            raise ValueError(f"every lower bound must be below its upper bound, got {lower} and {upper}")
        return _Domain(low, high, scalar, torch.empty(0, dtype=dtype, device=device))

    def cells(self, n: int) -> Tensor:
        """A grid of n cells a side, `(n^d, d, 3)`: for each axis the lower corner, the width, and the chart.

        In chart 0, x lies at distance t from the finite bound, or from 0 where there is none. In chart 1, beyond a
        distance of 1, it lies at 1/t, so that infinity is at t = 0, where floating-point numbers are dense.
        """
        axes = [self._axis(a, b, n).to(self.like) for a, b in zip(self.lower, self.upper)]
        index = torch.meshgrid(*[torch.arange(n, device=self.like.device)] * len(axes), indexing="ij")
        return torch.stack([axis[i.reshape(-1)] for axis, i in zip(axes, index)], 1)

    @staticmethod
    def _axis(low: float, high: float, n: int) -> Tensor:
        """The cells of one axis, `(n, 3)`, float64; infinite axes have half of them in each chart."""
        if math.isinf(low) and math.isinf(high):
            spans = [(-1.0, 1.0, 0.0, n // 2), (-1.0, 0.0, 1.0, n // 4), (0.0, 1.0, 1.0, n // 4)]
        elif math.isinf(low) or math.isinf(high):
            spans = [(0.0, 1.0, 0.0, n // 2), (0.0, 1.0, 1.0, n // 2)]
        else:
            spans = [(low, high, 0.0, n)]
        rows = [
            (begin + (end - begin) / count * k, (end - begin) / count, chart)
            for begin, end, chart, count in spans
            for k in range(count)
        ]
        return torch.tensor(rows, dtype=torch.float64)

    def to_x(self, cells: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """x at the nodes of each cell, and the volume |dx/dt| dt of the cell there; `(n, k, d)` and `(n, k)`."""
        corner, width, chart = (part[:, None] for part in cells.unbind(-1))
        t = corner + nodes * width
        far = chart == 1
        safe = torch.where(far, t, 1.0)
        away = torch.where(far, 1 / safe, t)
        sides = torch.where(
            far, width / safe.abs() / safe.abs(), width
        )  # in this order: t² alone would underflow
        columns = []
        for i, (low, high) in enumerate(zip(self.lower, self.upper)):
            if math.isinf(low) == math.isinf(high):  # both ends finite, or none
                columns.append(away[..., i])
            else:
                columns.append(low + away[..., i] if math.isinf(high) else high - away[..., i])
        return torch.stack(columns, -1), sides.prod(-1)


def _reaches_infinity(cells: Tensor) -> Tensor:
    """Whether a cell has an end at infinity; `(n,)`."""
    corner, width, chart = cells.unbind(-1)
    return ((chart == 1) & ((corner == 0) | (corner + width == 0))).any(-1)


def _too_narrow(cells: Tensor, narrowest: Tensor) -> bool:
    """Whether splitting has gone as far as it may: to |x| = 10^99, or to what floating-point numbers resolve."""
    corner, width, chart = cells.unbind(-1)
    far = (corner.abs() * 2.0**-45).clamp(min=_FARTHEST)
    return bool((width < torch.where(chart == 1, far, narrowest)).any())


class _Rule(NamedTuple):
    """What the rule says of each cell, all of shape `(n_cells,)`."""

    value: Tensor
    error: Tensor
    absolute: Tensor


def _rule_on_unit_cell(d: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes `(15^d, d)` in [0, 1] and the Kronrod and Gauss weights `(15^d,)` of a cell of volume one."""
    node, kronrod, gauss = (torch.tensor(c, dtype=torch.float64).to(like) for c in (_NODES, _KRONROD, _GAUSS))
    t = torch.cat([-node[1:].flip(0), node])
    w_kronrod = torch.cat([kronrod[1:].flip(0), kronrod]) / 2
    w_gauss = torch.cat([gauss[1:].flip(0), gauss]) / 2
    nodes = torch.cartesian_prod(*[(t + 1) / 2] * d).reshape(-1, d)
    weights = [torch.cartesian_prod(*[w] * d).reshape(-1, d).prod(-1) for w in (w_kronrod, w_gauss)]
    return nodes, weights[0], weights[1]


def _integrate(f: Function, domain: _Domain, cells: Tensor) -> _Rule:
    nodes, kronrod, gauss = _rule_on_unit_cell(cells.shape[1], domain.like)
    x, volume = domain.to_x(cells, nodes)
    flat = x.reshape(-1) if domain.scalar else x.flatten(0, 1)
    y = f(flat)
    if y.shape != flat.shape[:1]:
        raise ValueError(
            f"f must map x of shape {tuple(flat.shape)} to ({flat.shape[0]},), got {tuple(y.shape)}"
        )
    if not bool(y.isfinite().all()):
        where = flat[~y.isfinite()][0].tolist()
        raise ValueError(f"f is not finite at x = {where}; split the domain there or change the bounds")
    y = y.reshape(volume.shape) * volume
    value, absolute = y @ kronrod, y.abs() @ kronrod
    error = (value - y @ gauss).abs() + torch.where(_reaches_infinity(cells), absolute, 0.0)
    return _Rule(value, error, absolute)


def _refine(
    f: Function, domain: _Domain, cells: Tensor, rtol: float, atol: float, max_evaluations: int
) -> Tensor:
    """Split the cells that hold more than their share of the error until the sum is within tolerance."""
    value, error, absolute = _integrate(f, domain, cells)
    evaluations = cells.shape[0] * 15 ** cells.shape[1]
    narrowest = (
        cells[..., 1].amin(0) * 2.0**-100
    )  # Only a singularity that cannot be integrated gets this far.
    while True:
        # Below this the two rules differ by rounding alone and splitting cannot help.
        rounding = 50 * torch.finfo(value.dtype).eps * float(absolute.sum())
        tolerance = max(atol, rtol * abs(float(value.sum())), rounding)
        finite = math.isfinite(tolerance + float(error.sum()))
        if finite and float(error.sum()) <= tolerance:
            return cells
        coarse = error > tolerance / len(cells)
        children = _split(cells[coarse])
        evaluations += children.shape[0] * 15 ** cells.shape[1]
        exhausted = evaluations > max_evaluations or _too_narrow(children, narrowest)
        if exhausted or not finite or not bool(coarse.any()):
            raise RuntimeError(
                f"quadrature stopped at {value.sum().item():.6g} ± {error.sum().item():.2g}, tolerance "
                f"{tolerance:.2g}; does the integral diverge? If not, give finite bounds, or raise rtol or "
                "max_evaluations"
            )
        new = _integrate(f, domain, children)
        factor = f.take_factor() if isinstance(f, _Weight) else 1.0
        value, error, absolute = (
            torch.cat([factor * old[~coarse], n]) for old, n in zip((value, error, absolute), new)
        )
        cells = torch.cat([cells[~coarse], children])


def _split(cells: Tensor) -> Tensor:
    """Halve each cell along each axis: `(n, d, 3)` to `(2^d n, d, 3)`."""
    corner, width, chart = cells.unbind(-1)
    half, d = width / 2, cells.shape[1]
    steps = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).to(cells)] * d).reshape(-1, 1, d)
    parts = (corner + steps * half, half.expand(len(steps), -1, -1), chart.expand(len(steps), -1, -1))
    return torch.stack(parts, -1).flatten(0, 1)


@torch.no_grad()
def _around_the_lowest_energy(model: EnergyModel, domain: _Domain) -> tuple[float, Tensor]:
    """The lowest energy found, and a grid split around it until a cell sees no steep walls."""
    cells = domain.cells(_CELLS_AT_FIRST)
    lowest, spread = _energies_in_cells(model, domain, cells)
    for _ in range(200):
        if not bool(lowest.isfinite().any()):
            raise ValueError(
                "the energy is not finite anywhere on the first grid; give bounds that hold its mass"
            )
        best = lowest.argmin()
        if bool(spread[best] < _GENTLE):
            break
        chosen = torch.zeros_like(lowest, dtype=torch.bool)
        chosen[lowest.argsort()[: 2 * cells.shape[1] + 1]] = (
            True  # the well may lie beside the cell that sees it
        )
        children = _split(cells[chosen])
        cells = torch.cat([cells[~chosen], children])
        lowest, spread = (
            torch.cat([old[~chosen], new])
            for old, new in zip((lowest, spread), _energies_in_cells(model, domain, children))
        )
    return float(lowest.min()), cells


def _energies_in_cells(model: EnergyModel, domain: _Domain, cells: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest energy at the nodes of each cell, and how far the highest is above it; both `(n,)`."""
    nodes, _, _ = _rule_on_unit_cell(cells.shape[1], domain.like)
    x, _ = domain.to_x(cells, nodes)
    energy = model.energy(x.reshape(-1) if domain.scalar else x.flatten(0, 1))
    energy = torch.where(energy.isfinite(), energy, math.inf).reshape(len(cells), -1)
    return energy.amin(1), energy.amax(1) - energy.amin(1)


def _bounds_like(bound: float | Sequence[float], event_shape: tuple[int, ...]) -> float | Sequence[float]:
    if isinstance(bound, (int, float)) and event_shape:
        return [float(bound)] * event_shape[0]
    return bound
