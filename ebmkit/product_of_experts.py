"""Experts that must all agree: multiply densities, and the energies add.

    p(x) = (1/Z) Π_m p_m(x)^w_m,   E(x) = Σ_m w_m E_m(x);   against a mixture, p(x) = Σ_m w_m p_m(x)

Source: lecture 11, "Product of experts"; Hinton (2002), Neural Computation 14:1771-1800.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebmkit import chance
from ebmkit.chance import Generator
from ebmkit.energy import EnergyModel, check_event
from ebmkit.exponential_families import Gamma, is_definite
from ebmkit.normalization import AffineCouplingFlow as AffineCouplingFlow
from ebmkit.normalization import Mixture as Mixture
from ebmkit.normalization import (
    bernoulli_log_prob,
    check_bits,
    common_space,
    initialize,
    log_density,
    log_sum_exp,
)


class ProductOfExperts(EnergyModel):
    """The product of any densities, p(x) ∝ Π_m p_m(x)^w_m: x is likely only where every expert allows it (AND).

        E(x) = Σ_m w_m E_m(x)

    The experts' own normalizers do not matter; the product's is a new problem.

    Parameters
    ----------
    experts:
        Anything with `energy(x)` or `log_prob(x)` of shape `(...)`, torch distributions included. Modules among
        them keep their parameters learnable. A continuous expert beside discrete ones is read at discrete x.
    weights:
        w, `(M,)`, finite; all 1 if not given. Zero switches an expert off, below zero it repels (NOT).
    event_shape:
        The shape of one x where no expert tells it.
    """

    weights: Tensor

    def __init__(
        self,
        experts: Sequence[Any],
        weights: Tensor | Sequence[float] | None = None,
        event_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.event_shape, self.values = common_space(experts, event_shape)
        self.experts = list(experts)
        self.expert_modules = nn.ModuleList(e for e in experts if isinstance(e, nn.Module))
        w = torch.as_tensor([1.0] * len(experts) if weights is None else weights, dtype=torch.float64)
        if w.shape != (len(experts),) or not bool(w.isfinite().all()):
            raise ValueError(f"weights must be {len(experts)} finite numbers, got {w.tolist()}")
        self.register_buffer("weights", w)

    def expert_energies(self, x: Tensor) -> Tensor:
        """E_m(x) of every expert, `(..., *event_shape)` to `(..., M)`: who objects to x."""
        check_event(x, self.event_shape)
        return torch.stack([-log_density(expert, x) for expert in self.experts], -1)

    def energy(self, x: Tensor) -> Tensor:
        """Σ_m w_m E_m(x), `(..., *event_shape)` to `(...)`; +∞ where any expert with w_m > 0 says +∞."""
        energies = self.expert_energies(x)
        # An expert switched off has no say, not even where its energy is infinite: 0 · ∞ is not a number.
        w = self.weights.to(energies)
        return torch.where(w == 0, torch.zeros_like(energies), w * energies).sum(-1)


# --- Products and mixtures in closed form


class GaussianProduct(NamedTuple):
    """Π_m N(x; μ_m, Σ_m)^w_m = Z N(x; mean, covariance), with `log_partition` = log Z.

    `covariance` is the variance where x is a number.
    """

    mean: Tensor
    covariance: Tensor
    log_partition: Tensor


def product_of_gaussians(means: Tensor, variances: Tensor, weights: Tensor | None = None) -> GaussianProduct:
    """The product of M Gaussians of one variable: precisions add, and weigh the means.

        λ = Σ_m w_m / v_m,   μ = λ⁻¹ Σ_m w_m μ_m / v_m

    `means`, `variances` and `weights` are `(..., M)`; the results `(...)`. Raises `ValueError` where a variance
    is not positive or the precisions (with weights below zero) do not add to a positive one.
    """
    covariances = variances[..., None, None]
    mean, covariance, log_partition = product_of_multivariate_gaussians(
        means[..., None], covariances, weights
    )
    return GaussianProduct(mean.squeeze(-1), covariance[..., 0, 0], log_partition)


def product_of_multivariate_gaussians(
    means: Tensor, covariances: Tensor, weights: Tensor | None = None
) -> GaussianProduct:
    """The product of M Gaussians in D dimensions.

        Λ = Σ_m w_m Λ_m,   μ = Λ⁻¹ Σ_m w_m Λ_m μ_m,   Λ_m = Σ_m⁻¹
        log Z = Σ_m w_m log N(μ; μ_m, Σ_m) + ½ log det 2πΛ⁻¹

    `means` `(..., M, D)`, `covariances` `(..., M, D, D)`, `weights` `(..., M)`; the results `(..., D)`,
    `(..., D, D)` and `(...)`. Raises `ValueError` as `product_of_gaussians`. Source: Hinton (2002).
    """
    if means.shape[-2] == 0 or covariances.shape[-2:] != (means.shape[-1],) * 2:
        raise ValueError(
            "means must be (..., M, D) with M ≥ 1 and covariances (..., M, D, D), "
            f"got {tuple(means.shape)} and {tuple(covariances.shape)}"
        )
    w = torch.ones_like(means[..., 0]) if weights is None else weights.to(means)
    wrong = ~is_definite(covariances)
    if bool(wrong.any()):
        raise ValueError(
            "every variance or covariance must be symmetric and positive definite, got "
            f"{covariances[wrong].flatten()[:4].tolist()}"
        )
    factors: Tensor = torch.linalg.cholesky(covariances)
    precisions = w[..., None, None] * torch.cholesky_inverse(factors)
    precision = _cholesky(precisions.sum(-3), "the weighted precisions must add to a positive definite one")
    covariance = torch.cholesky_inverse(precision)
    mean = (covariance @ (precisions @ means.unsqueeze(-1)).sum(-3)).squeeze(-1)
    distance = means - mean.unsqueeze(-2)
    spread = (distance * (precisions @ distance.unsqueeze(-1)).squeeze(-1)).sum((-1, -2))
    constant = means.shape[-1] * math.log(2 * math.pi)
    heights = (w * (-_half_log_det(factors) - 0.5 * constant)).sum(-1)
    return GaussianProduct(
        mean, covariance, heights - 0.5 * spread + 0.5 * constant - _half_log_det(precision)
    )


class CategoricalProduct(NamedTuple):
    """Π_m p_m(k)^w_m = Z p(k), with `log_prob` = log p, `(..., K)`, and `log_partition` = log Z, `(...)`."""

    log_prob: Tensor
    log_partition: Tensor


def product_of_categoricals(log_probs: Tensor, weights: Tensor | None = None) -> CategoricalProduct:
    """The product of M categoricals, exactly: multiply, then divide by the sum over K categories.

    `log_probs` `(..., M, K)`, -∞ for probability zero; `weights` `(..., M)`, not below zero. Raises `ValueError`
    where no category is allowed by all experts.
    """
    w = torch.ones_like(log_probs[..., 0]) if weights is None else weights.to(log_probs)
    if not bool((w >= 0).all() & w.isfinite().all()):
        raise ValueError(f"weights must be finite and not negative, got {w.flatten()[:4].tolist()}")
    off = (w == 0).unsqueeze(-1)
    total = torch.where(off, torch.zeros_like(log_probs), w.unsqueeze(-1) * log_probs).sum(-2)
    log_partition = log_sum_exp(total)
    if bool((log_partition == -math.inf).any()):
        raise ValueError("no category is allowed by every expert, so the product cannot be normalized")
    return CategoricalProduct(total - log_partition.unsqueeze(-1), log_partition)


def mixture_of_categoricals(log_probs: Tensor, weights: Tensor | None = None) -> Tensor:
    """log Σ_m w_m p_m(k), `(..., K)`, with `log_probs` `(..., M, K)`; weights are divided by their sum."""
    w = torch.ones_like(log_probs[..., 0]) if weights is None else weights.to(log_probs)
    if not bool((w >= 0).all() & (w.sum(-1) > 0).all()):
        raise ValueError(f"weights must not be negative nor all zero, got {w.flatten()[:4].tolist()}")
    return log_sum_exp(log_probs + (w / w.sum(-1, keepdim=True)).log().unsqueeze(-1), -2)


def _cholesky(matrix: Tensor, requirement: str) -> Tensor:
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(matrix)
    if bool((info != 0).any()) or not bool(matrix.isfinite().all()):
        raise ValueError(
            f"{requirement}, got {matrix[info != 0].flatten()[:4].tolist() or matrix.flatten()[:4]}"
        )
    return factor


def _half_log_det(factor: Tensor) -> Tensor:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


# --- Hinton's experts


class StudentTExperts(EnergyModel):
    """M heavy-tailed experts, each of which looks at x along one learnable filter w_m.

        E(x) = Σ_m α_m log(1 + ½ (w_m·x)²),   α_m > 0

    x is real, `(..., D)`. Normalizable where, for every subspace, the filters that are not orthogonal to it have
    2 Σ α_m above its dimension. Learnable: `filters` `(M, D)` and `log_alpha` `(M,)`.
    Source: Welling, Hinton & Osindero (2003), "Learning sparse topographic representations with products of
    Student-t distributions".
    """

    def __init__(self, filters: Tensor, alpha: Tensor) -> None:
        super().__init__()
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
    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a precision for each expert given x, then x from the Gaussian product given the precisions.

            u_m ~ Gamma(α_m, 1 + ½ (w_m·x)²),   x' ~ N(0, (Σ_m u_m w_m w_mᵀ)⁻¹)

        Needs filters that span the space; raises `ValueError` where they do not.
        """
        y = x @ self.filters.T
        alpha = self.log_alpha.exp().expand_as(y)
        u = Gamma().sample(torch.stack([alpha - 1, -1 - 0.5 * y**2], -1), generator)
        precision = self.filters.T @ (u.unsqueeze(-1) * self.filters)
        factor = _cholesky(
            precision, f"the {len(self.filters)} filters must span all {x.shape[-1]} dimensions"
        )
        noise = chance.normal(x, generator).unsqueeze(-1)
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
    """

    def __init__(self, mean: Tensor, scale: Tensor, share: Tensor, low: float, high: float) -> None:
        super().__init__()
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
    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """Choose uniform or Gaussian for each expert given x, then x from the product of the chosen Gaussians.

        That product is a Gaussian per coordinate, cut to the box.
        """
        chosen = chance.bernoulli(self.opinion(x), generator).to(x)
        precisions = (-2 * self.log_scale).exp()
        precision = chosen @ precisions
        centre = chosen @ (precisions * self.mean)
        u = chance.uniform(x, generator)
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


# --- The slide's experts: a PixelCNN and a flow


class PixelCNN(EnergyModel):
    """An autoregressive model of binary images, normalized for any parameters (Z = 1).

        p(x) = Π_i p(x_i | x_1 … x_{i-1}) in raster order, by convolutions masked to see only the past

    x has shape `(..., height, width)` with values 0 and 1. A first 5×5 layer that leaves out its centre, then
    `n_blocks` residual 3×3 blocks. Pixels far to the upper right are in its blind spot: conditionals do not see
    them, but remain a probability. Source: van den Oord, Kalchbrenner & Kavukcuoglu (2016).
    """

    values = (0.0, 1.0)

    def __init__(
        self,
        event_shape: tuple[int, int],
        generator: Generator,
        n_channels: int = 24,
        n_blocks: int = 3,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.first = nn.Parameter(torch.empty(n_channels, 1, 5, 5, dtype=dtype))
        self.blocks = nn.ParameterList(
            torch.empty(n_channels, n_channels, 3, 3, dtype=dtype) for _ in range(n_blocks)
        )
        self.block_biases = nn.ParameterList(torch.empty(n_channels, dtype=dtype) for _ in range(n_blocks))
        self.last = nn.Parameter(torch.empty(1, n_channels, 1, 1, dtype=dtype))
        # Where a pixel is matters as much as what is around it: a bias for each pixel of the first layer.
        self.place = nn.Parameter(torch.empty(n_channels * event_shape[0] * event_shape[1], dtype=dtype))
        initialize(self, generator)

    def logits(self, x: Tensor) -> Tensor:
        """log p(x_i = 1 | past) - log p(x_i = 0 | past) for every pixel, the shape of x."""
        check_event(x, self.event_shape)
        images = x.to(self.first).reshape(-1, 1, *self.event_shape)
        h = functional.conv2d(images, self.first * _past(self.first, centre=False), padding=2)
        h = h + self.place.reshape(h.shape[1:])
        for weight, bias in zip(self.blocks, self.block_biases):
            h = h + functional.conv2d(
                functional.relu(h), weight * _past(weight, centre=True), bias, padding=1
            )
        return functional.conv2d(functional.relu(h), self.last).reshape(x.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exact; `(..., height, width)` to `(...)`. Raises `ValueError` where x is not bits."""
        check_bits(x)
        return bernoulli_log_prob(x, self.logits(x)).sum((-1, -2))

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x): a normalized model is an energy with Z = 1, ready for Gibbs and for products."""
        return -self.log_prob(x)

    def exact_log_partition(self) -> Tensor:
        """log Z = 0, whatever the parameters."""
        return self.first.new_zeros(())

    @torch.no_grad()
    def sample(self, n_samples: int, generator: Generator) -> Tensor:
        """Exact, independent samples `(n_samples, height, width)`, pixel by pixel."""
        x = self.first.new_zeros(n_samples, *self.event_shape)
        for row in range(self.event_shape[0]):
            for column in range(self.event_shape[1]):
                probability = torch.sigmoid(self.logits(x)[:, row, column])
                x[:, row, column] = chance.bernoulli(probability, generator).to(x)
        return x


def _past(weight: Tensor, centre: bool) -> Tensor:
    """The mask of a filter `(…, k, k)`: 1 before the centre in raster order, and at it if `centre`."""
    k = weight.shape[-1]
    index = torch.arange(k * k, device=weight.device).reshape(k, k)
    middle = (k * k) // 2
    return (index <= middle if centre else index < middle).to(weight.dtype)


class AtCellCentres(EnergyModel):
    """A density of dequantized images (bits plus uniform noise) read at the bits: E(x) = E_density(x + ½).

    It makes a continuous expert, such as a flow, an energy over binary images: Z is no longer one, and as an
    expert in a product it does not have to be.
    """

    values = (0.0, 1.0)

    def __init__(self, density: EnergyModel) -> None:
        super().__init__()
        self.density = density
        self.event_shape = density.event_shape

    def energy(self, x: Tensor) -> Tensor:
        """E_density at the centre of the cell [x, x + 1], `(..., *event_shape)` to `(...)`."""
        return self.density.energy(x + 0.5)


def fit_pixelcnn(
    model: PixelCNN,
    images: Tensor,
    generator: Generator,
    n_epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
) -> list[float]:
    """Maximum likelihood by Adam on binary images `(n, height, width)`; returns mean -log p(x) for each epoch.

    1,797 digits of 8×8 take half a second an epoch on one core. Raises `ValueError` where `images` are empty or
    not bits.
    """
    check_bits(images)

    def draw(batch: Tensor) -> Tensor:
        return batch

    return _maximize_log_prob(
        model, images.to(model.first), draw, generator, n_epochs, batch_size, learning_rate
    )


def fit_flow(
    model: AffineCouplingFlow,
    images: Tensor,
    generator: Generator,
    n_epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
) -> list[float]:
    """Maximum likelihood by Adam on dequantized binary images, x + u with fresh u ~ U[0, 1) for each batch.

    `images` `(n, *event_shape)`, 0 or 1; returns mean -log p(x + u) for each epoch, which bounds the best code
    length of the bits from above. The flow's first layer starts at the mean and spread of the data. Raises
    `ValueError` where `images` are empty or not bits. Source: Uria, Murray & Larochelle (2013).
    """
    check_bits(images)
    images = images.to(model.shift)

    def draw(batch: Tensor) -> Tensor:
        return batch + chance.uniform(batch, generator)

    if len(images) > 0:
        flat = images.flatten(1)
        with torch.no_grad():
            model.shift.copy_(flat.mean(0) + 0.5)
            model.log_scale.copy_(0.5 * (flat.var(0, correction=0) + 1 / 12).log())
    return _maximize_log_prob(model, images, draw, generator, n_epochs, batch_size, learning_rate)


def _maximize_log_prob(
    model: PixelCNN | AffineCouplingFlow,
    images: Tensor,
    draw: Callable[[Tensor], Tensor],
    generator: Generator,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
) -> list[float]:
    """Adam with a learning rate that falls to zero along a cosine."""
    check_event(images, model.event_shape)
    if len(images) == 0 or images.dim() != 1 + len(model.event_shape):
        raise ValueError(f"images must be (n, *{model.event_shape}) with n ≥ 1, got {tuple(images.shape)}")
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    history = []
    for _ in range(n_epochs):
        order = chance.uniform(images.new_empty(len(images)), generator).argsort()
        total = 0.0
        for index in torch.split(order, batch_size):
            loss = -model.log_prob(draw(images[index])).mean()
            if not bool(loss.isfinite()):
                raise ArithmeticError(
                    f"the loss became {loss.item()}; lower the learning rate {learning_rate}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(index)
        schedule.step()
        history.append(total / len(images))
    return history
