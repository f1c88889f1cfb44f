"""Dice, gammas, betas and the Gaussian of one variable."""

import math

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import SampleShape, check_whole
from ebmkit.exponential_families._family import ExponentialFamily, expanded, real, stack


class Categorical(ExponentialFamily):
    """A die: x in {0, …, C-1}, t(x)_k = 1[x = k] for k < C-1, A(θ) = log(1 + Σ_k e^θ_k).

    θ_k = log p_k / p_{C-1}: the last category is the reference, so that θ is unique and the Fisher
    information can be inverted.

    Raises `ValueError` for fewer than 2 categories.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Categorical(3)
    >>> theta = family.natural(torch.tensor([0.2, 0.3, 0.5]))
    >>> family.log_prob(torch.tensor(2), theta).exp()
    tensor(0.5000, dtype=torch.float64)
    """

    discrete = True
    mean_domain = "the probabilities must be positive and leave something for the last category"

    def __init__(self, n_categories: int) -> None:
        if check_whole("n_categories", n_categories) < 2:
            raise ValueError(f"a categorical needs at least 2 categories, got {n_categories}")
        self.n_parameters = n_categories - 1
        self.values = tuple(float(k) for k in range(n_categories))
        self.support = f"x must be one of 0 … {n_categories - 1}"

    def natural(self, probabilities: Tensor) -> Tensor:
        """θ from all C probabilities, `(..., C)` to `(..., C-1)`; they are divided by their sum.

        Raises `ValueError` unless there is one for each category.
        """
        if probabilities.shape[-1] != len(self.values or ()):
            raise ValueError(
                f"{len(self.values or ())} probabilities are needed, got {probabilities.shape[-1]}"
            )
        return self.natural_parameters((probabilities / probabilities.sum(-1, keepdim=True))[..., :-1])

    def standard(self, theta: Tensor) -> Tensor:
        """All C probabilities, `(..., C-1)` to `(..., C)`."""
        return self._logits(theta).softmax(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        categories = torch.arange(self.n_parameters, device=x.device)
        return (x.unsqueeze(-1) == categories).to(real(x).dtype)

    def log_partition(self, theta: Tensor) -> Tensor:
        return self._logits(theta).logsumexp(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return mean.log() - (1 - mean.sum(-1, keepdim=True)).log()

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return (mean > 0).all(-1) & (mean.sum(-1) < 1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x <= self.n_parameters) & (x == x.round())

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        """Indices, int64, of shape `(*sample_shape, ...)`."""
        return chance.categorical(self.standard(expanded(self, theta, sample_shape)), generator=generator)

    @staticmethod
    def _logits(theta: Tensor) -> Tensor:
        return torch.cat([theta, torch.zeros_like(theta[..., :1])], -1)


class Gamma(ExponentialFamily):
    """x > 0 with shape a and rate b: t(x) = (log x, x), θ = (a - 1, -b), A(θ) = log Γ(a) - a log b.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Gamma()
    >>> family.mean_parameters(family.natural(torch.tensor(3.0), torch.tensor(2.0)))[1]  # shape / rate
    tensor(1.5000)
    """

    n_parameters = 2
    natural_domain = "θ = (shape - 1, -rate) must have shape > 0 and rate > 0"
    mean_domain = "the means of log x and x must satisfy E[log x] < log E[x] (the data must not all be equal)"
    support = "x must be positive"
    _inside = 1.0

    def natural(self, shape: Tensor, rate: Tensor) -> Tensor:
        """θ = (a - 1, -b), `(...)` to `(..., 2)`."""
        theta = stack(real(shape) - 1, -real(rate))
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Shape and rate, each `(...)`."""
        return theta[..., 0] + 1, -theta[..., 1]

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return torch.stack([real(x).log(), real(x)], -1)

    def log_partition(self, theta: Tensor) -> Tensor:
        shape, rate = self.standard(theta)
        return torch.lgamma(shape) - shape * rate.log()

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return theta.isfinite().all(-1) & (theta[..., 0] > -1) & (theta[..., 1] < 0)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        gap = mean[..., 1].clamp(min=torch.finfo(mean.dtype).tiny).log() - mean[..., 0]
        resolution = 4 * torch.finfo(mean.dtype).eps * (1 + mean[..., 0].abs())
        return mean.isfinite().all(-1) & (mean[..., 1] > 0) & (gap > resolution)

    def in_support(self, x: Tensor) -> Tensor:
        return (x > 0) & x.isfinite()

    def _start(self, mean: Tensor) -> Tensor:
        """Minka's approximation of the shape, within 1.5% of the answer."""
        s = mean[..., 1].log() - mean[..., 0]
        shape = (3 - s + ((s - 3) ** 2 + 24 * s).sqrt()) / (12 * s)
        return torch.stack([shape - 1, -shape / mean[..., 1]], -1)

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        shape, rate = self.standard(expanded(self, theta, sample_shape))
        x = (_log_standard_gamma(shape, generator) - rate.log()).exp()
        return x.clamp(min=torch.finfo(x.dtype).tiny)


class Beta(ExponentialFamily):
    """0 < x < 1: t(x) = (log x, log(1 - x)), θ = (a - 1, b - 1), A(θ) = log B(a, b), the beta function.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Beta()
    >>> theta = family.natural(torch.tensor(2.0), torch.tensor(1.0))  # the density 2x
    >>> family.log_prob(torch.tensor(0.5), theta).exp()
    tensor(1.)
    """

    n_parameters = 2
    natural_domain = "θ = (a - 1, b - 1) must have a > 0 and b > 0"
    mean_domain = (
        "the means of log x and log(1 - x) must satisfy exp(E[log x]) + exp(E[log(1 - x)]) < 1 "
        "(the data must not all be equal)"
    )
    support = "x must be strictly between 0 and 1"
    _inside = 0.5

    def natural(self, a: Tensor, b: Tensor) -> Tensor:
        """θ = (a - 1, b - 1), `(...)` to `(..., 2)`."""
        theta = stack(real(a) - 1, real(b) - 1)
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, each `(...)`."""
        return theta[..., 0] + 1, theta[..., 1] + 1

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return torch.stack([real(x).log(), torch.log1p(-real(x))], -1)

    def log_partition(self, theta: Tensor) -> Tensor:
        a, b = self.standard(theta)
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return theta.isfinite().all(-1) & (theta > -1).all(-1)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        room = -torch.expm1(mean.logsumexp(-1))
        return mean.isfinite().all(-1) & (room > 8 * torch.finfo(mean.dtype).eps)

    def in_support(self, x: Tensor) -> Tensor:
        return (x > 0) & (x < 1)

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        a, b = self.standard(expanded(self, theta, sample_shape))
        # X / (X + Y) for gammas X and Y, in logarithms: both may underflow where a and b are small.
        x = torch.sigmoid(_log_standard_gamma(a, generator) - _log_standard_gamma(b, generator))
        number = torch.finfo(x.dtype)
        return x.clamp(min=number.tiny, max=1 - number.eps / 2)


class Gaussian(ExponentialFamily):
    """x real: t(x) = (x, x²), θ = (m/v, -1/2v) for mean m and variance v, A(θ) = m²/2v + ½ log 2πv.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> generator = torch.Generator().manual_seed(0)
    >>> family = exponential_families.Gaussian()
    >>> theta = family.natural(torch.tensor(1.0), torch.tensor(4.0))
    >>> family.mean_parameters(theta)  # E[x] and E[x²]
    tensor([1., 5.])
    >>> family.sample(theta, 5, generator=generator).shape
    torch.Size([5])
    """

    n_parameters = 2
    natural_domain = "θ = (mean / variance, -1 / (2 variance)) must have a negative second entry"
    mean_domain = "the means of x and x² must satisfy E[x]² < E[x²] (the variance must be positive)"

    def natural(self, mean: Tensor, variance: Tensor) -> Tensor:
        """θ = (m/v, -1/2v), `(...)` to `(..., 2)`. Raises `ValueError` where the variance is not positive."""
        theta = stack(real(mean) / real(variance), -0.5 / real(variance))
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each `(...)`."""
        variance = -0.5 / theta[..., 1]
        return theta[..., 0] * variance, variance

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return torch.stack([real(x), real(x) ** 2], -1)

    def log_partition(self, theta: Tensor) -> Tensor:
        mean, variance = self.standard(theta)
        return 0.5 * theta[..., 0] * mean + 0.5 * (2 * math.pi * variance).log()

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return self.natural(mean[..., 0], mean[..., 1] - mean[..., 0] ** 2)

    def _log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        """-(x - m)² / 2v - ½ log 2πv: θ·t(x) and A(θ) would cancel where |m| is far above √v."""
        mean, variance = self.standard(theta)
        inside = self.in_support(x)
        distance = torch.where(inside, real(x), torch.zeros_like(real(x))) - mean
        value = -0.5 * distance**2 / variance - 0.5 * (2 * math.pi * variance).log()
        return torch.where(inside, value, -math.inf)

    def _divergence(self, theta: Tensor, other: Tensor) -> Tensor:
        """½ (r - log(1 + r) + (m - m')² / v') with v = (1 + r) v'."""
        (mean, variance), (mean_, variance_) = self.standard(theta), self.standard(other)
        r = (variance - variance_) / variance_
        return 0.5 * (r - torch.log1p(r) + (mean - mean_) ** 2 / variance_)

    def _fit(self, x: Tensor) -> Tensor:
        """Mean and variance in two passes: E[x²] - E[x]² would cancel."""
        x = real(x)
        mean = x.mean(0)
        variance = ((x - mean) ** 2).mean(0)
        resolution = (4 * torch.finfo(x.dtype).eps * mean.abs()) ** 2
        if not bool((variance > resolution).all()):
            self._check_mean(torch.stack([mean, mean**2], -1))  # raises, naming what is wrong
        return self.natural(mean, variance)

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return theta.isfinite().all(-1) & (theta[..., 1] < 0)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        resolution = 4 * torch.finfo(mean.dtype).eps * mean[..., 1].abs()
        return mean.isfinite().all(-1) & (mean[..., 1] - mean[..., 0] ** 2 > resolution)

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        mean, variance = self.standard(expanded(self, theta, sample_shape))
        return mean + variance.sqrt() * chance.normal(mean, generator=generator)


def _log_standard_gamma(shape: Tensor, generator: Generator) -> Tensor:
    """log X with X ~ Gamma(shape, 1). Source: Marsaglia & Tsang (2000), ACM TOMS 26."""
    # Below shape 1: X = Y U^(1/shape) with Y ~ Gamma(shape + 1), in logarithms since X may underflow.
    small = shape < 1
    boost = torch.where(
        small, (1 - chance.uniform(shape, generator=generator)).log() / shape, torch.zeros_like(shape)
    )
    d = torch.where(small, shape + 1, shape) - 1 / 3
    log_x = torch.full_like(shape, math.nan)
    while bool(log_x.isnan().any()):
        z = chance.normal(shape, generator=generator)
        u = 1 - chance.uniform(shape, generator=generator)
        v = (1 + z / (9 * d).sqrt()) ** 3
        log_v = v.clamp(min=torch.finfo(v.dtype).tiny).log()
        accept = (v > 0) & (u.log() < 0.5 * z**2 + d * (1 - v + log_v))
        log_x = torch.where(log_x.isnan() & accept, d.log() + log_v, log_x)
    return log_x + boost
