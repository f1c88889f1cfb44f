"""What it costs to make a density sum to one, and the models built so that it costs nothing.

    p(x) = g(x) / Z,   g = f² or exp f or |f| or log(1 + exp f),   Z = Σ_x g(x)  or  ∫ g(x) dx
Source: Cornell Tech, Deep Generative Models, lecture 11, "Energy-based models": parameterizing probabilities.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebmkit import chance
from ebmkit.chance import Generator
from ebmkit.energy import EnergyModel, check_event, check_kind
from ebmkit.exponential_families import is_definite

Function = Callable[[Tensor], Tensor]


# --- Densities from any function


class UnnormalizedDensity(EnergyModel):
    """The energy of g(x), E(x) = -log g(x), where g is a positive function made from any real `f`.

    Parameters
    ----------
    f:
        Maps `(..., *event_shape)` to `(...)`. Where it is a module its parameters are this model's.
    log_g:
        Maps f(x) to log g(x), elementwise.
    event_shape, values:
        As in `EnergyModel`.
    """

    def __init__(
        self,
        f: Function,
        log_g: Function,
        event_shape: Sequence[int] = (),
        values: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.f = f
        self.log_g = log_g
        self.event_shape = tuple(event_shape)
        self.values = values

    def energy(self, x: Tensor) -> Tensor:
        """-log g(x), `(...)`; +∞ where g(x) = 0. Raises `ValueError` unless f gives a number for each x."""
        check_event(x, self.event_shape)
        f = self.f(x)
        batch = x.shape[: x.dim() - len(self.event_shape)]
        if f.shape != batch:
            raise ValueError(
                f"f must return one number for each x, shape {tuple(batch)}, got {tuple(f.shape)}"
            )
        return -self.log_g(f)


def from_square(
    f: Function, event_shape: Sequence[int] = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = f(x)², with f of shape `(..., *event_shape) -> (...)`. Source: the lecture."""
    return UnnormalizedDensity(f, _log_square, event_shape, values)


def from_exp(
    f: Function, event_shape: Sequence[int] = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = exp f(x), whose energy is -f(x). Source: the lecture."""
    return UnnormalizedDensity(f, _identity, event_shape, values)


def from_abs(
    f: Function, event_shape: Sequence[int] = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = |f(x)|. Source: the lecture."""
    return UnnormalizedDensity(f, _log_abs, event_shape, values)


def from_softplus(
    f: Function, event_shape: Sequence[int] = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = log(1 + exp f(x)). Source: the lecture."""
    return UnnormalizedDensity(f, _log_softplus, event_shape, values)


def _log_square(y: Tensor) -> Tensor:
    return 2 * y.abs().log()


def _log_abs(y: Tensor) -> Tensor:
    return y.abs().log()


def _identity(y: Tensor) -> Tensor:
    return y


def _log_softplus(y: Tensor) -> Tensor:
    """log log(1 + exp y); for y far below zero log(1 + exp y) is exp y, so the answer is y."""
    low = y < -40
    safe = torch.where(low, torch.zeros_like(y), y)
    return torch.where(low, y, torch.logaddexp(safe, torch.zeros_like(y)).log())


# --- Volumes known in closed form


def gaussian_log_normalizer(scale: Tensor) -> Tensor:
    """log ∫ exp(-(x - μ)² / 2σ²) dx = ½ log 2πσ², elementwise in the standard deviation `scale` > 0."""
    _require_positive(scale, "scale")
    return 0.5 * math.log(2 * math.pi) + scale.log()


def multivariate_gaussian_log_normalizer(precision: Tensor) -> Tensor:
    """log ∫ exp(-½ (x - μ)ᵀ Λ (x - μ)) dx = ½ (D log 2π - log det Λ), with Λ `(..., D, D)`; returns `(...)`.

    Raises `ValueError` where Λ is not symmetric and positive definite.
    """
    if precision.dim() < 2 or precision.shape[-1] != precision.shape[-2] or 0 in precision.shape[-2:]:
        raise ValueError(f"precision must have shape (..., D, D), got {tuple(precision.shape)}")
    wrong = ~is_definite(precision)
    if bool(wrong.any()):
        raise ValueError(
            f"precision must be symmetric and positive definite, got {precision[wrong][0].tolist()}; if only the "
            "symmetry is missing, use (precision + precision.mT) / 2"
        )
    factor = torch.linalg.cholesky(precision)
    log_det: Tensor = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * (precision.shape[-1] * math.log(2 * math.pi) - log_det)


def exponential_log_normalizer(rate: Tensor) -> Tensor:
    """log ∫_0^∞ exp(-λx) dx = -log λ, elementwise in the `rate` λ > 0."""
    _require_positive(rate, "rate")
    return -rate.log()


def log_sum_exp(x: Tensor, dim: int | tuple[int, ...] = -1, keepdim: bool = False) -> Tensor:
    """log Σ exp(x) over `dim` without overflow: m + log Σ exp(x - m) with m = max x.

    -∞ stands for a probability of zero and may fill the whole sum (the result is -∞).
    Raises `ValueError` where `dim` is empty.
    """
    dims = (dim,) if isinstance(dim, int) else dim
    if any(x.shape[d] == 0 for d in dims):
        raise ValueError(f"log_sum_exp needs at least one term along dim {dim}, got shape {tuple(x.shape)}")
    largest = x.detach().amax(dims, keepdim=True)
    largest = torch.where(largest.isfinite(), largest, torch.zeros_like(largest))
    total = (x - largest).exp().sum(dims, keepdim=True).log() + largest
    return total if keepdim else torch.squeeze(total, dims)


# --- Quadrature


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
    tensors = [*model.parameters(), *model.buffers()]
    likes = [t for t in tensors if t.is_floating_point()] or [torch.empty(0, dtype=torch.float64)]
    options.setdefault("dtype", likes[0].dtype)
    options.setdefault("device", likes[0].device)
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


# --- Densities that are normalized by construction


class AutoregressiveBernoulli(EnergyModel):
    """A product of logistic conditionals over bits, normalized for any parameters (Z = 1).

        p(x) = Π_i p(x_i | x_1 … x_{i-1}),   p(x_i = 1 | x_{<i}) = σ(b_i + Σ_{j<i} W_ij x_j)

    `x` has shape `(..., n)` with values 0 and 1. Source: Frey, Hinton & Dayan (1996), logistic belief nets.
    """

    values = (0.0, 1.0)

    def __init__(
        self, n: int, generator: Generator, scale: float = 0.1, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.event_shape = (n,)
        self.weight = nn.Parameter(scale * chance.normal(torch.empty(n, n, dtype=dtype), generator))
        self.bias = nn.Parameter(torch.zeros(n, dtype=dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exact; `(..., n)` to `(...)`. Raises `ValueError` where x is not made of bits."""
        check_event(x, self.event_shape, like=self.weight)
        check_bits(x)
        logits = x @ self.weight.tril(-1).T + self.bias
        return bernoulli_log_prob(x, logits).sum(-1)

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x): a normalized model is an energy with Z = 1."""
        return -self.log_prob(x)

    def exact_log_partition(self) -> Tensor:
        """log Z = 0, whatever the parameters."""
        return torch.zeros((), dtype=self.bias.dtype, device=self.bias.device)

    @torch.no_grad()
    def sample(self, n_samples: int, generator: Generator) -> Tensor:
        """Exact, independent samples `(n_samples, n)`, one coordinate after the other."""
        x = torch.zeros(n_samples, *self.event_shape, dtype=self.bias.dtype, device=self.bias.device)
        weight = self.weight.tril(-1)
        for i in range(self.event_shape[0]):
            probability = torch.sigmoid(x @ weight[i] + self.bias[i])
            x[:, i] = chance.bernoulli(probability, generator).to(x)
        return x


class Mixture(EnergyModel):
    """A weighted sum of densities, p(x) = Σ_k w_k p_k(x): likely where any component finds x likely (OR).

    Normalized where every component has a `log_prob`. A component with an energy alone enters as
    exp(-E_k(x)), which integrates to Z_k: its share of the mixture is then w_k Z_k.

    Parameters
    ----------
    components:
        Anything with `log_prob(x)` or `energy(x)` of shape `(...)`, torch distributions included.
    weights:
        Non-negative, `(K,)`; divided by their sum. Equal if not given. Learnable through their logarithms.
    """

    def __init__(
        self,
        components: Sequence[Any],
        weights: Tensor | Sequence[float] | None = None,
        event_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.event_shape, self.values = common_space(components, event_shape)
        self.components = list(components)
        self.component_modules = nn.ModuleList(c for c in components if isinstance(c, nn.Module))
        weight = torch.as_tensor([1.0] * len(components) if weights is None else weights, dtype=torch.float64)
        usable = (weight >= 0).all() & weight.isfinite().all() & (weight.sum() > 0)
        if weight.shape != (len(components),) or not bool(usable):
            raise ValueError(
                f"weights must be {len(components)} finite non-negative numbers, not all zero, "
                f"got {weight.tolist()}"
            )
        self.log_weights = nn.Parameter((weight / weight.sum()).log())

    def energy(self, x: Tensor) -> Tensor:
        """-log Σ_k w_k p_k(x), `(..., *event_shape)` to `(...)`."""
        return -self._log_sum([log_density(c, x) for c in self.components])

    def log_prob(self, x: Tensor) -> Tensor:
        """log Σ_k w_k p_k(x). Raises `TypeError` where a component has no `log_prob`, so no known Z."""
        for component in self.components:
            if not has_log_prob(component):
                raise TypeError(
                    f"{type(component).__name__} has no log_prob, so this mixture is not normalized; "
                    "use energy(x), or log_partition for its log Z"
                )
        return self._log_sum([c.log_prob(x) for c in self.components])

    def exact_log_partition(self) -> Tensor:
        """log Z = 0. Raises `ValueError` where a component has no `log_prob`."""
        if not has_log_prob(self):
            raise ValueError(
                "a component of this mixture is not normalized; use log_partition(method='enumeration' or 'ais')"
            )
        return torch.zeros((), dtype=self.log_weights.dtype, device=self.log_weights.device)

    def _log_sum(self, log_densities: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(log_densities), -1)
        return log_sum_exp(stacked + self.log_weights.log_softmax(-1).to(stacked))

    @torch.no_grad()
    def sample(self, n_samples: int, generator: Generator) -> Tensor:
        """Exact samples `(n_samples, *event_shape)`: a component, then a sample of it.

        Raises `TypeError` where a component has no `sample(n_samples, generator)`.
        """
        for component in self.components:
            if not (isinstance(component, nn.Module) and hasattr(component, "sample")):
                raise TypeError(
                    f"{type(component).__name__} has no sample(n_samples, generator); use a sampler"
                )
        weights = self.log_weights.softmax(-1)
        index = chance.categorical(weights.expand(n_samples, -1), generator)
        draws = torch.stack([c.sample(n_samples, generator) for c in self.components])
        return draws[index.to(draws.device), torch.arange(n_samples, device=draws.device)]


class AffineCouplingFlow(EnergyModel):
    """A Gaussian seen through invertible layers, normalized for any parameters by the change of variables.

        log p(x) = log N(z(x); 0, I) + log |det ∂z/∂x|,   each layer: z_b = x_b exp s(x_a) + t(x_a), z_a = x_a

    The coordinates x_a of a layer's mask pass unchanged and steer the others; s is bounded by ±2, so no layer
    explodes. A first elementwise layer centres and scales. Masks alternate between the even and the odd
    coordinates (for an image of two dimensions, the two colours of a checkerboard).
    Source: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP".
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        generator: Generator,
        n_layers: int = 4,
        n_hidden: int = 32,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        if not self.event_shape:
            raise ValueError("a flow needs at least one axis, got event_shape (); use (1,)")
        n = math.prod(self.event_shape)
        parity = torch.stack(torch.meshgrid(*map(torch.arange, self.event_shape), indexing="ij")).sum(0) % 2
        even = (parity.reshape(-1) == 0).to(dtype)
        self.masks: Tensor
        self.register_buffer(
            "masks", torch.stack([even if k % 2 == 0 else 1 - even for k in range(n_layers)])
        )
        self.shift = nn.Parameter(torch.zeros(n, dtype=dtype))
        self.log_scale = nn.Parameter(torch.zeros(n, dtype=dtype))
        self.networks = nn.ModuleList(_coupling_network(n, n_hidden, dtype) for _ in range(n_layers))
        initialize(self.networks, generator)

    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z(x), `(..., n)`, and log |det ∂z/∂x|, `(...)`."""
        check_event(x, self.event_shape)
        z = x.flatten(x.dim() - len(self.event_shape))
        z = (z - self.shift) * (-self.log_scale).exp()
        check_kind(z, self.shift)  # a narrower x has been widened; a wider one would meet narrower weights
        log_det = -self.log_scale.sum().expand(z.shape[:-1])
        for mask, network in zip(self.masks, self.networks):
            s, t = _scale_and_shift(network, mask, z)
            z = z * s.exp() + t
            log_det = log_det + s.sum(-1)
        return z, log_det

    def from_latent(self, z: Tensor) -> Tensor:
        """The x with z(x) = z; `(..., n)` to `(..., *event_shape)`."""
        for mask, network in zip(self.masks.flip(0), reversed(list(self.networks))):
            s, t = _scale_and_shift(network, mask, z)
            z = (z - t) * (-s).exp()
        x = z * self.log_scale.exp() + self.shift
        return x.reshape(*z.shape[:-1], *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exact; `(..., *event_shape)` to `(...)`."""
        z, log_det = self.to_latent(x)
        return log_det - 0.5 * (z**2).sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x): a normalized model is an energy with Z = 1."""
        return -self.log_prob(x)

    def exact_log_partition(self) -> Tensor:
        """log Z = 0, whatever the parameters."""
        return torch.zeros((), dtype=self.shift.dtype, device=self.shift.device)

    @torch.no_grad()
    def sample(self, n_samples: int, generator: Generator) -> Tensor:
        """Exact, independent samples `(n_samples, *event_shape)`."""
        return self.from_latent(chance.normal(self.shift.expand(n_samples, -1).contiguous(), generator))


def _coupling_network(n: int, n_hidden: int, dtype: torch.dtype) -> nn.Module:
    # skip_init: the weights are drawn from the caller's generator, never from torch's global one.
    first: nn.Module = nn.utils.skip_init(nn.Linear, n, n_hidden, dtype=dtype)  # type: ignore[no-untyped-call]
    second: nn.Module = nn.utils.skip_init(nn.Linear, n_hidden, 2 * n, dtype=dtype)  # type: ignore[no-untyped-call]
    return nn.Sequential(first, nn.Tanh(), second)


def _scale_and_shift(network: nn.Module, mask: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    s, t = network(z * mask).chunk(2, -1)
    return 2 * torch.tanh(s / 2) * (1 - mask), t * (1 - mask)


# --- What the modules of ebmkit share about densities


@torch.no_grad()
def initialize(module: nn.Module, generator: Generator) -> None:
    """Draw every matrix or filter from N(0, 1 / fan-in) with `generator`, and set every vector to zero."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            fan_in = parameter[0].numel()
            parameter.copy_(chance.normal(parameter.detach(), generator) / math.sqrt(fan_in))
        else:
            parameter.zero_()


def has_log_prob(expert: Any) -> TypeGuard[Any]:
    """Whether `expert` is a normalized density; an unnormalized mixture is not, though it has the method."""
    if isinstance(expert, Mixture):
        return all(has_log_prob(component) for component in expert.components)
    return hasattr(expert, "log_prob")


def log_density(expert: Any, x: Tensor) -> Tensor:
    """log p(x) where `expert` knows it, else -E(x). Raises `TypeError` where it has neither method."""
    if hasattr(expert, "energy"):
        return -torch.as_tensor(expert.energy(x))
    if hasattr(expert, "log_prob"):
        return torch.as_tensor(expert.log_prob(x))
    raise TypeError(f"{type(expert).__name__} has neither energy(x) nor log_prob(x)")


def common_space(
    experts: Sequence[Any], event_shape: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """The event shape and the values that all `experts` share; a continuous expert fits any values.

    Raises `ValueError` where there are none, where they disagree, or where nobody tells the event shape.
    """
    if len(experts) == 0:
        raise ValueError("at least one expert is needed, got none")
    shapes = {tuple(e.event_shape) for e in experts if hasattr(e, "event_shape")}
    shapes |= set() if event_shape is None else {tuple(event_shape)}
    values = {tuple(e.values) for e in experts if getattr(e, "values", None) is not None}
    if len(shapes) > 1 or len(values) > 1:
        raise ValueError(f"experts must share one space, got event shapes {shapes} and values {values}")
    if not shapes:
        raise ValueError("no expert has an event_shape; pass event_shape=(...)")
    return shapes.pop(), values.pop() if values else None


def bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) of bits with P(x = 1) = σ(logits), elementwise and without overflow."""
    return -functional.binary_cross_entropy_with_logits(logits, x.to(logits), reduction="none")


def check_bits(x: Tensor) -> None:
    """Raise `ValueError` unless every value of x is 0 or 1."""
    if not bool(((x == 0) | (x == 1)).all()):
        found = sorted(set(x.detach().flatten().tolist()))[:4]
        raise ValueError(f"bits must be 0 or 1, got values {found}; use (x > threshold).to(x.dtype)")


def _require_positive(value: Tensor, name: str) -> None:
    if not bool((value > 0).all() & value.isfinite().all()):
        raise ValueError(f"{name} must be positive and finite, got {value.detach().flatten()[:4].tolist()}")
