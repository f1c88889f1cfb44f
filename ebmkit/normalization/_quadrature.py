"""Integrals in one and two dimensions by adaptive Gauss-Kronrod rules, with an error estimate."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import (
    floating_tensor,
)
from ebmkit.energy import EnergyModel
from ebmkit.normalization._densities import Function


class Integral(NamedTuple):
    """An integral and an estimate of its absolute error, both scalar tensors."""

    value: Tensor
    error: Tensor


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
) -> Integral:
    """∫ f(x) dx over an interval or a rectangle, by adaptive Gauss-Kronrod rules, with an error estimate.

    Cells in which the 15-point Kronrod and the 7-point Gauss rule disagree are split until the sum of the
    disagreements is below max(atol, rtol |∫ f|). An infinite side is mapped to a finite one,
    x = t / (1 - t²) or x = a ± t / (1 - t). The value is differentiable in whatever f depends on.
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
    """
    domain = _Domain.of(lower, upper, dtype, device)
    cells = domain.cells(_CELLS_AT_FIRST)
    with torch.no_grad():
        cells = _refine(f, domain, cells, rtol, atol, max_evaluations)
        rule = _integrate(f, domain, cells)
        error = torch.where(rule.absolute.any(), rule.error.sum(), math.inf)
    return Integral(_integrate(f, domain, cells).value.sum(), error)


def log_quadrature(
    model: EnergyModel,
    lower: float | Sequence[float] = -math.inf,
    upper: float | Sequence[float] = math.inf,
    **options: Any,
) -> Integral:
    """log Z = log ∫ exp(-E(x)) dx of a continuous model in one or two dimensions, with an error estimate.

    The lowest energy on the first grid is taken out of the exponential, so energies in the thousands do not
    underflow. `lower`, `upper` and the options are those of `quadrature`. Event shapes: `()`, `(1,)`, `(2,)`.
    Raises `ValueError` where x is discrete or has more than two dimensions, else as `quadrature`.
    """
    if model.values is not None or model.event_shape not in ((), (1,), (2,)):
        raise ValueError(
            "log_quadrature needs a continuous x of event shape (), (1,) or (2,), got values "
            f"{model.values} and event shape {model.event_shape}; use log_partition with another method"
        )
    lower, upper = _bounds_like(lower, model.event_shape), _bounds_like(upper, model.event_shape)
    like = floating_tensor(model)
    options.setdefault("dtype", like.dtype)
    options.setdefault("device", like.device)
    lowest = _lowest_energy(model, _Domain.of(lower, upper, options["dtype"], options["device"]))
    value, error = quadrature(lambda x: (lowest - model.energy(x)).exp(), lower, upper, **options)
    if not bool(value > 0):
        raise ValueError(f"exp(-energy) integrates to {value.item()} here; give bounds that hold its mass")
    return Integral(value.log() - lowest, error / value.detach())


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
        """A grid of n cells a side over all t, `(n^d, d, 2)`: lower corner and width."""
        sides = [self._t_range(a, b) for a, b in zip(self.lower, self.upper)]
        axes = [torch.arange(n).to(self.like) * ((high - low) / n) + low for low, high in sides]
        corners = torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")], -1)
        widths = torch.tensor([(high - low) / n for low, high in sides], dtype=torch.float64).to(self.like)
        return torch.stack([corners, widths.expand_as(corners)], -1)

    @staticmethod
    def _t_range(low: float, high: float) -> tuple[float, float]:
        if math.isinf(low) or math.isinf(high):
            return (-1.0, 1.0) if math.isinf(low) and math.isinf(high) else (0.0, 1.0)
        return low, high

    def to_x(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/dt at t, both `(..., d)` and `(...)`."""
        columns, jacobian = [], torch.ones_like(t[..., 0])
        for i, (low, high) in enumerate(zip(self.lower, self.upper)):
            column, slope = _from_unit(t[..., i], low, high)
            columns.append(column)
            jacobian = jacobian * slope
        return torch.stack(columns, -1), jacobian


def _from_unit(t: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """x(t) and dx/dt for one axis."""
    if math.isinf(low) and math.isinf(high):
        return t / (1 - t * t), (1 + t * t) / (1 - t * t) ** 2
    if math.isinf(high):
        return low + t / (1 - t), 1 / (1 - t) ** 2
    if math.isinf(low):
        return high - t / (1 - t), 1 / (1 - t) ** 2
    return t, torch.ones_like(t)


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
    corner, width = cells[..., 0], cells[..., 1]
    x, jacobian = domain.to_x(corner[:, None] + nodes * width[:, None])
    flat = x.reshape(-1) if domain.scalar else x.flatten(0, 1)
    y = f(flat)
    if y.shape != flat.shape[:1]:
        raise ValueError(
            f"f must map x of shape {tuple(flat.shape)} to ({flat.shape[0]},), got {tuple(y.shape)}"
        )
    if not bool(y.isfinite().all()):
        where = flat[~y.isfinite()][0].tolist()
        raise ValueError(f"f is not finite at x = {where}; split the domain there or change the bounds")
    y = y.reshape(jacobian.shape) * jacobian * width.prod(-1, keepdim=True)
    value = y @ kronrod
    return _Rule(value, (value - y @ gauss).abs(), y.abs() @ kronrod)


def _refine(
    f: Function, domain: _Domain, cells: Tensor, rtol: float, atol: float, max_evaluations: int
) -> Tensor:
    """Split the cells that hold more than their share of the error until the sum is within tolerance."""
    value, error, absolute = _integrate(f, domain, cells)
    evaluations = cells.shape[0] * 15 ** cells.shape[1]
    narrowest = cells[0, :, 1] * 2.0**-100  # Only a singularity that cannot be integrated gets this far.
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
        exhausted = evaluations > max_evaluations or bool((children[..., 1] < narrowest).any())
        if exhausted or not finite or not bool(coarse.any()):
            raise RuntimeError(
                f"quadrature stopped at {value.sum().item():.6g} ± {error.sum().item():.2g}, tolerance "
                f"{tolerance:.2g}; does the integral diverge? If not, give finite bounds, or raise rtol or "
                "max_evaluations"
            )
        new = _integrate(f, domain, children)
        value, error, absolute = (
            torch.cat([old[~coarse], n]) for old, n in zip((value, error, absolute), new)
        )
        cells = torch.cat([cells[~coarse], children])


def _split(cells: Tensor) -> Tensor:
    """Halve each cell along each axis: `(n, d, 2)` to `(2^d n, d, 2)`."""
    half = cells[..., 1] / 2
    d = cells.shape[1]
    steps = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).to(cells)] * d).reshape(-1, 1, d)
    return torch.stack([cells[..., 0] + steps * half, half.expand(len(steps), -1, -1)], -1).flatten(0, 1)


def _lowest_energy(model: EnergyModel, domain: _Domain) -> Tensor:
    nodes, _, _ = _rule_on_unit_cell(len(domain.lower), domain.like)
    cells = domain.cells(_CELLS_AT_FIRST)
    x, _ = domain.to_x(cells[..., 0][:, None] + nodes * cells[..., 1][:, None])
    with torch.no_grad():
        energy = model.energy(x.reshape(-1) if domain.scalar else x.flatten(0, 1))
    finite = energy[energy.isfinite()]
    if finite.numel() == 0:
        raise ValueError(
            "the energy is not finite anywhere on the first grid; give bounds that hold its mass"
        )
    return finite.min()


def _bounds_like(bound: float | Sequence[float], event_shape: tuple[int, ...]) -> float | Sequence[float]:
    if isinstance(bound, (int, float)) and event_shape:
        return [float(bound)] * event_shape[0]
    return bound
