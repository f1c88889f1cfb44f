"""Coins, counts and waiting times."""

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import SampleShape
from ebmkit.exponential_families._family import ExponentialFamily, expanded, real

_LARGE_RATE = 1e12


class Bernoulli(ExponentialFamily):
    """A coin: x in {0, 1}, t(x) = x, A(θ) = log(1 + e^θ), μ = σ(θ).

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Bernoulli()
    >>> theta = family.natural(torch.tensor(0.8, dtype=torch.float64))
    >>> family.mean_parameters(theta), family.log_prob(torch.tensor(1.0).double(), theta).exp()
    (tensor([0.8000], dtype=torch.float64), tensor(0.8000, dtype=torch.float64))
    """

    values = (0.0, 1.0)
    discrete = True
    mean_domain = "the mean must be strictly between 0 and 1"
    support = "x must be 0 or 1"

    def natural(self, probability: Tensor) -> Tensor:
        """θ = log(p / (1 - p)), `(...)` to `(..., 1)`."""
        return self.natural_parameters(real(probability).unsqueeze(-1))

    def standard(self, theta: Tensor) -> Tensor:
        """The probability of one, `(..., 1)` to `(...)`."""
        return torch.sigmoid(theta).squeeze(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return real(x).unsqueeze(-1)

    def log_partition(self, theta: Tensor) -> Tensor:
        return torch.logaddexp(theta, torch.zeros_like(theta)).squeeze(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return torch.logit(mean)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return ((mean > 0) & (mean < 1)).squeeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x == 0) | (x == 1)

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        probability = self.standard(expanded(self, theta, sample_shape))
        return chance.bernoulli(probability, generator=generator).to(theta.dtype)


class Poisson(ExponentialFamily):
    """Counts: x = 0, 1, 2, …, t(x) = x, h(x) = 1/x!, A(θ) = e^θ, μ = e^θ.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Poisson()
    >>> family.log_prob(torch.tensor(0.0), family.natural(torch.tensor(2.0)))  # -rate
    tensor(-2.)
    """

    discrete = True
    natural_domain = "θ = log rate must be real, and the rate finite"
    mean_domain = "the mean must be positive"
    support = "x must be a whole number from 0"

    def natural(self, rate: Tensor) -> Tensor:
        """θ = log λ, `(...)` to `(..., 1)`."""
        return self.natural_parameters(real(rate).unsqueeze(-1))

    def standard(self, theta: Tensor) -> Tensor:
        """The rate λ, `(..., 1)` to `(...)`."""
        return theta.exp().squeeze(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return real(x).unsqueeze(-1)

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -torch.lgamma(real(x) + 1)

    def log_partition(self, theta: Tensor) -> Tensor:
        return theta.exp().squeeze(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return mean.log()

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return ((mean > 0) & mean.isfinite()).squeeze(-1)

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return (theta.isfinite() & theta.exp().isfinite()).squeeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x == x.round()) & x.isfinite()

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        """Inverts P(X ≤ k) = Q(k + 1, λ), the regularized incomplete gamma function, by bisection over k.

        From a rate of 10^12 on by the normal distribution with its first correction for skewness, z²/6: what that
        leaves out, 1/√λ of a count, is far below one.

        The shape is `(*sample_shape, *batch)` for θ `(*batch, 1)`.
        """
        rate = self.standard(expanded(self, theta, sample_shape)).double()
        u = chance.uniform(rate, generator=generator)
        large = rate >= _LARGE_RATE
        z: Tensor = torch.special.ndtri(u.clamp(min=2.0**-54))
        normal = (rate + rate.sqrt() * z + (z**2 - 1) / 6).round()
        counts = self._by_bisection(torch.where(large, 1.0, rate), u)
        return torch.where(large, normal, counts).to(theta.dtype)

    @staticmethod
    def _by_bisection(rate: Tensor, u: Tensor) -> Tensor:
        # Bernstein: P(X > λ + 10 √λ + 60) < 2^-53, below the resolution of u.
        below, above = torch.full_like(rate, -1.0), (rate + 10 * rate.sqrt() + 60).ceil()
        while bool((above - below > 1).any()):
            middle = ((below + above) / 2).floor()
            reached = torch.special.gammaincc((middle + 1).clamp(min=1), rate) > u
            above = torch.where(reached & (above - below > 1), middle, above)
            below = torch.where(~reached & (above - below > 1), middle, below)
        return above


class Exponential(ExponentialFamily):
    """Waiting times: x > 0, t(x) = x, A(θ) = -log(-θ) with θ = -λ < 0, μ = 1/λ.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Exponential()
    >>> theta = family.natural(torch.tensor(2.0))
    >>> family.mean_parameters(theta), family.log_partition(theta).exp()  # 1 / rate twice
    (tensor([0.5000]), tensor(0.5000))
    """

    natural_domain = "θ = -rate must be negative"
    mean_domain = "the mean must be positive"
    support = "x must be positive"
    _inside = 1.0

    def natural(self, rate: Tensor) -> Tensor:
        """θ = -λ, `(...)` to `(..., 1)`."""
        theta = -real(rate).unsqueeze(-1)
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> Tensor:
        """The rate λ, `(..., 1)` to `(...)`."""
        return -theta.squeeze(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return real(x).unsqueeze(-1)

    def log_partition(self, theta: Tensor) -> Tensor:
        return -(-theta).log().squeeze(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return -1 / mean

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return ((theta < 0) & theta.isfinite()).squeeze(-1)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return ((mean > 0) & mean.isfinite()).squeeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x > 0) & x.isfinite()

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        rate = self.standard(expanded(self, theta, sample_shape))
        u = chance.uniform(rate, generator=generator)
        return (-torch.log1p(-u) / rate).clamp(min=torch.finfo(rate.dtype).tiny)
