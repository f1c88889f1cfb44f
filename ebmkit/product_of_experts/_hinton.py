"""Hinton's experts: heavy tails along learnable filters, and opinions in a box."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit import chance
from ebmkit._checks import as_tensor, check_event
from ebmkit.energy import EnergyModel
from ebmkit.exponential_families import Gamma
from ebmkit.product_of_experts._closed_forms import cholesky


class StudentTExperts(EnergyModel):
    """M heavy-tailed experts, each of which looks at x along one learnable filter w_m.

        E(x) = Σ_m α_m log(1 + ½ (w_m·x)²),   α_m > 0

    x is real, `(..., D)`. Normalizable where, for every subspace, the filters that are not orthogonal to it have
    2 Σ α_m above its dimension. Learnable: `filters` `(M, D)` and `log_alpha` `(M,)`.
    Source: Welling, Hinton & Osindero (2003), "Learning sparse topographic representations with products of
    Student-t distributions".

    Raises `ValueError` where shapes do not fit or an α is not positive.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> model = product_of_experts.StudentTExperts(torch.eye(2).double(), torch.ones(2).double())
    >>> model.energy(torch.zeros(2).double()).item()
    0.0
    """

    def __init__(self, filters: Tensor, alpha: Tensor) -> None:
        super().__init__()
        filters, alpha = as_tensor(filters, name="filters"), as_tensor(alpha, name="alpha")
        if filters.dim() != 2 or alpha.shape != filters.shape[:1] or not bool((alpha > 0).all()):
            raise ValueError(
                "filters must be (M, D) and alpha (M,), all positive, "
                f"got {tuple(filters.shape)} and {alpha.tolist()}"
            )
        self.event_shape = (filters.shape[1],)
        self.filters = nn.Parameter(filters.detach().clone())
        self.log_alpha = nn.Parameter(alpha.detach().log())

    def energy(self, x: Tensor) -> Tensor:
        """Σ_m α_m log(1 + ½ (w_m·x)²), `(..., D)` to `(...)`."""
        check_event(x, self.event_shape, like=self.filters)
        return (self.log_alpha.exp() * torch.log1p(0.5 * (x @ self.filters.T) ** 2)).sum(-1)

    @torch.no_grad()
    def gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        """Draw a precision for each expert given x, then x from the Gaussian product given the precisions.

            u_m ~ Gamma(α_m, 1 + ½ (w_m·x)²),   x' ~ N(0, (Σ_m u_m w_m w_mᵀ)⁻¹)

        Needs filters that span the space; raises `ValueError` where they do not.

        The result has the shape of x.
        """
        y = x @ self.filters.T
        alpha = self.log_alpha.exp().expand_as(y)
        u = Gamma().sample(torch.stack([alpha - 1, -1 - 0.5 * y**2], -1), generator=generator)
        precision = self.filters.T @ (u.unsqueeze(-1) * self.filters)
        factor = cholesky(
            precision, f"the {len(self.filters)} filters must span all {x.shape[-1]} dimensions"
        )
        noise = chance.normal(x, generator=generator).unsqueeze(-1)
        drawn: Tensor = torch.linalg.solve_triangular(factor.mT, noise, upper=True)
        return drawn.squeeze(-1)


class UnigaussExperts(EnergyModel):
    """M experts in a box, each a mixture of a uniform and an axis-aligned Gaussian with learnable place and width.

        E(x) = -Σ_m log((1 - π_m) / V + π_m N(x; μ_m, diag σ_m²)),   x in the box of volume V, else +∞

    An expert either has an opinion (its Gaussian) or leaves x to the others (its uniform).

    Parameters
    ----------
    mean, scale:
        μ and σ > 0, `(M, D)`.
    share:
        π, `(M,)`, strictly between 0 and 1.
    low, high:
        The box, the same in every coordinate.

    Source: Hinton (2002).

    Raises `ValueError` where shapes do not fit, for a scale not positive, a share outside (0, 1), and low ≥ high.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> generator = torch.Generator().manual_seed(0)
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> model = product_of_experts.UnigaussExperts(0 * one, one, 0.5 * one[0], -5.0, 5.0)
    >>> model.gibbs_step(torch.zeros(3, 1).double(), generator=generator).shape
    torch.Size([3, 1])
    """

    def __init__(self, mean: Tensor, scale: Tensor, share: Tensor, low: float, high: float) -> None:
        super().__init__()
        mean, scale, share = (
            as_tensor(x, name=name) for name, x in (("mean", mean), ("scale", scale), ("share", share))
        )
        if mean.dim() != 2 or scale.shape != mean.shape or share.shape != mean.shape[:1]:
            raise ValueError(
                "mean and scale must be (M, D) and share (M,), "
                f"got {tuple(mean.shape)}, {tuple(scale.shape)} and {tuple(share.shape)}"
            )
        if not low < high:
            raise ValueError(f"low must be below high, got {low} and {high}")
        if not bool((scale > 0).all()) or not bool(((share > 0) & (share < 1)).all()):
            raise ValueError(
                f"scale must be positive and share in (0, 1), got {scale.min()} and {share.tolist()}"
            )
        self.event_shape = (mean.shape[1],)
        self.low, self.high = low, high
        self.mean = nn.Parameter(mean.detach().clone())
        self.log_scale = nn.Parameter(scale.detach().log())
        self.logit = nn.Parameter(share.detach().logit())

    def energy(self, x: Tensor) -> Tensor:
        """`(..., D)` to `(...)`; +∞ outside the box."""
        check_event(x, self.event_shape)
        uniform, gaussian = self._parts(x)
        energy = -torch.logaddexp(uniform, gaussian).sum(-1)
        inside = ((x >= self.low) & (x <= self.high)).all(-1)
        return torch.where(inside, energy, torch.full_like(energy, math.inf))

    def opinion(self, x: Tensor) -> Tensor:
        """P(expert m uses its Gaussian | x), `(..., D)` to `(..., M)`."""
        uniform, gaussian = self._parts(x)
        return torch.sigmoid(gaussian - uniform)

    @torch.no_grad()
    def gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        """Choose uniform or Gaussian for each expert given x, then x from the product of the chosen Gaussians.

        That product is a Gaussian per coordinate, cut to the box.

        The result has the shape of x.
        """
        chosen = chance.bernoulli(self.opinion(x), generator=generator).to(x)
        precisions = (-2 * self.log_scale).exp()
        precision = chosen @ precisions
        centre = chosen @ (precisions * self.mean)
        u = chance.uniform(x, generator=generator)
        free = precision == 0
        safe = torch.where(free, torch.ones_like(precision), precision)
        drawn = _truncated_normal(centre / safe, safe.rsqrt(), self.low, self.high, u)
        return torch.where(free, self.low + (self.high - self.low) * u, drawn)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithms of each expert's two terms, `(M,)` and `(..., M)`."""
        z = (x.unsqueeze(-2) - self.mean) * (-self.log_scale).exp()
        constant = 0.5 * math.log(2 * math.pi) + self.log_scale
        gaussian = (-0.5 * z**2 - constant).sum(-1) + functional.logsigmoid(self.logit)
        log_volume = x.shape[-1] * math.log(self.high - self.low)
        return functional.logsigmoid(-self.logit) - log_volume, gaussian


def _truncated_normal(mean: Tensor, scale: Tensor, low: float, high: float, u: Tensor) -> Tensor:
    """The u-quantile of N(mean, scale²) cut to [low, high], worked in float64 in the tail that resolves it."""
    a, b = ((torch.full_like(mean, end) - mean).double() / scale.double() for end in (low, high))
    # Beyond the mean the upper tail rounds to 1; mirrored, it is as fine as the lower one.
    mirror = a > 0
    a, b = torch.where(mirror, -b, a), torch.where(mirror, -a, b)
    share = torch.where(mirror, 1 - u, u).double()
    below, above = _normal_cdf(a), _normal_cdf(b)
    z = torch.special.ndtri(below + share * (above - below))
    # 38 deviations out even the tail underflows; all of what is left lies at the near end.
    z = torch.where(above == 0, b, z)
    return (mean + scale * torch.where(mirror, -z, z).to(mean)).clamp(low, high)


def _normal_cdf(z: Tensor) -> Tensor:
    """Φ(z) by erfc, which keeps its digits in the lower tail where torch.special.ndtr gives 0."""
    return 0.5 * torch.erfc(-z / math.sqrt(2))
