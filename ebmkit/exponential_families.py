"""Exponential families: log Z is known, convex, and its derivatives are the moments.

    p(x | θ) = h(x) exp(θ·t(x) - A(θ)),   ∇A(θ) = E[t(x)],   ∇²A(θ) = Cov[t(x)]
Source: Cornell Tech, Deep Generative Models, lecture 11; Wainwright & Jordan (2008), chapter 3.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ebmkit import chance
from ebmkit.chance import Generator
from ebmkit.energy import EnergyModel


class ExponentialFamily:
    """All densities h(x) exp(θ·t(x) - A(θ)) of one form; the parameters are arguments, not state.

    A subclass gives `sufficient_statistics`, `log_base_measure`, `log_partition`, the two domains,
    `in_support` and `sample`. Mean parameters, Fisher information, divergences and fits follow from A.

    Attributes
    ----------
    event_shape:
        The shape of one x.
    values:
        The values of x where they are finitely many, else `None`.
    discrete:
        Whether x has a probability, not a density.
    n_parameters:
        K, the length of θ, of t(x) and of the mean parameters μ = E[t(x)]: all of shape `(..., K)`.
    """

    event_shape: tuple[int, ...] = ()
    values: tuple[float, ...] | None = None
    discrete = False
    n_parameters = 1
    natural_domain = "θ must be real"
    mean_domain = "μ must be real"
    support = "x must be real"
    _inside = 0.0  # A point of the support, put in place of points outside it before -∞ is.

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        """t(x), `(..., *event_shape)` to `(..., K)`."""
        raise NotImplementedError(f"{type(self).__name__} must define sufficient_statistics(x)")

    def log_base_measure(self, x: Tensor) -> Tensor:
        """log h(x) for x in the support, `(..., *event_shape)` to `(...)`; zero unless a family says more."""
        return torch.zeros(x.shape[: x.dim() - len(self.event_shape)], dtype=_real(x).dtype, device=x.device)

    def log_partition(self, theta: Tensor) -> Tensor:
        """A(θ) = log Σ_x or ∫ h(x) exp(θ·t(x)), `(..., K)` to `(...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define log_partition(theta)")

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        """Whether A(θ) is finite, `(..., K)` to bool `(...)`."""
        return theta.isfinite().all(-1)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        """Whether μ is the mean of t(x) under some θ, `(..., K)` to bool `(...)`."""
        return mean.isfinite().all(-1)

    def in_support(self, x: Tensor) -> Tensor:
        """Whether h(x) > 0, `(..., *event_shape)` to bool `(...)`."""
        return x.isfinite()

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        """Exact, independent samples, `(*sample_shape, *theta.shape[:-1], *event_shape)`."""
        raise NotImplementedError(f"{type(self).__name__} must define sample(theta, generator)")

    def mean_parameters(self, theta: Tensor) -> Tensor:
        """μ = E[t(x)] = ∇A(θ), `(..., K)` to `(..., K)`, by automatic differentiation.

        Raises `ValueError` where θ is outside the natural domain.
        """
        self._check_natural(theta)
        return self._gradient(theta)

    def fisher_information(self, theta: Tensor) -> Tensor:
        """Cov[t(x)] = ∇²A(θ), `(..., K)` to `(..., K, K)`, by automatic differentiation.

        Raises `ValueError` where θ is outside the natural domain.
        """
        self._check_natural(theta)
        return self._hessian(theta)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        """The θ with ∇A(θ) = μ, `(..., K)` to `(..., K)`; closed form where known, else Newton's method.

        Raises `ValueError` where μ is not the mean of any member of the family.
        """
        self._check_mean(mean)
        theta = self._newton(mean.detach().double()).to(mean.dtype)
        if not mean.requires_grad:
            return theta
        # dθ/dμ is the inverse of dμ/dθ, the Fisher information (implicit function theorem).
        change: Tensor = torch.linalg.solve(self._hessian(theta), (mean - mean.detach()).unsqueeze(-1))
        return theta + change.squeeze(-1)

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        """log p(x | θ) = log h(x) + θ·t(x) - A(θ); x and θ broadcast over `(...)`; -∞ outside the support.

        Raises `ValueError` where θ is outside the natural domain or x is not a number.
        """
        self._check_natural(theta)
        self._check_event(x)
        return self._log_density(x, theta) - self.log_partition(theta)

    def kl_divergence(self, theta: Tensor, other: Tensor) -> Tensor:
        """KL(p_θ ‖ p_θ') = A(θ') - A(θ) - ∇A(θ)·(θ' - θ), the Bregman divergence of A; `(...)`.

        Raises `ValueError` where either is outside the natural domain.
        """
        self._check_natural(theta)
        self._check_natural(other)
        slope = (self._gradient(theta) * (other - theta)).sum(-1)
        return self.log_partition(other) - self.log_partition(theta) - slope

    def maximum_likelihood(self, x: Tensor) -> Tensor:
        """The θ that makes the data likeliest, by matching moments: ∇A(θ) = (1/n) Σ t(x_i).

        `x` has shape `(n, ..., *event_shape)`, the result `(..., K)`. Raises `ValueError` where there are no
        data, where one is outside the support, or where no finite θ is best (coins that all fell one way).
        """
        self._check_event(x)
        if x.dim() == len(self.event_shape) or x.shape[0] == 0:
            raise ValueError(f"maximum likelihood needs at least one x along dim 0, got {tuple(x.shape)}")
        inside = self.in_support(x)
        if not bool(inside.all()):
            raise ValueError(
                f"{type(self).__name__}: {self.support}, got {x[~inside].flatten()[:4].tolist()}"
            )
        return self.natural_parameters(self.sufficient_statistics(x).mean(0))

    def energy_model(self, theta: Tensor) -> "FamilyEnergy":
        """The member with parameter θ, `(K,)`, as an energy E(x) = -θ·t(x) - log h(x), with log Z = A(θ)."""
        self._check_natural(theta)
        return FamilyEnergy(self, theta)

    def _log_density(self, x: Tensor, theta: Tensor) -> Tensor:
        """log h(x) + θ·t(x), -∞ outside the support."""
        inside = self.in_support(x)
        event = inside.reshape(*inside.shape, *[1] * len(self.event_shape))
        safe = torch.where(event, x, torch.full_like(x, self._inside))
        value = (theta * self.sufficient_statistics(safe)).sum(-1) + self.log_base_measure(safe)
        return torch.where(inside, value, torch.full_like(value, -math.inf))

    def _gradient(self, theta: Tensor) -> Tensor:
        return _gradient_of(self.log_partition, theta)

    def _hessian(self, theta: Tensor) -> Tensor:
        """Row k is the gradient of ∂A/∂θ_k; kept differentiable where θ is."""
        keep = theta.requires_grad and torch.is_grad_enabled()
        with torch.enable_grad():
            leaf = theta if keep else theta.detach().requires_grad_(True)
            (mean,) = torch.autograd.grad(self.log_partition(leaf).sum(), leaf, create_graph=True)
            rows = [
                torch.autograd.grad(m.sum(), leaf, create_graph=keep, retain_graph=True)[0]
                if m.requires_grad
                else torch.zeros_like(leaf)
                for m in mean.unbind(-1)
            ]
        return torch.stack(rows, -2)

    def _start(self, mean: Tensor) -> Tensor:
        """Where Newton's method starts: inside the natural domain."""
        return torch.zeros_like(mean)

    def _newton(self, mean: Tensor) -> Tensor:
        """Maximize the concave θ·μ - A(θ) by Newton's method, with steps halved until they do not overshoot."""
        theta = self._start(mean)
        for _ in range(200):
            gradient = mean - self._gradient(theta)
            fisher = self._hessian(theta)
            # Below this is only the rounding of μ and ∇A, and of θ as the Fisher information magnifies it.
            rounding = 1 + mean.abs() + (fisher.abs() @ theta.abs().unsqueeze(-1)).squeeze(-1)
            if bool((gradient.abs() <= 1e-14 * rounding).all()):
                return theta
            step = torch.linalg.solve(fisher, gradient.unsqueeze(-1)).squeeze(-1)
            previous, theta = theta, self._climb(theta, mean, step, (gradient * step).sum(-1))
            if bool(((theta - previous).abs() <= 1e-12 * theta.abs()).all()):
                break
        gradient = mean - self._gradient(theta)
        if bool((gradient.abs() > 1e-9 * (1 + mean.abs())).any()):
            gap = gradient.abs().max().item()
            raise RuntimeError(
                f"{type(self).__name__}: Newton's method missed the mean parameters by {gap:.2g}"
            )
        return theta

    def _climb(self, theta: Tensor, mean: Tensor, step: Tensor, slope: Tensor) -> Tensor:
        """θ + step, halved until it is in the domain and not far beyond the top.

        The slope along the step decides, not the height: near the top rounding in A hides what is gained.
        """
        for _ in range(60):
            candidate = theta + step
            inside = self.in_natural_domain(candidate)
            ahead = torch.where(inside.unsqueeze(-1), candidate, theta)
            slope_ahead = ((mean - self._gradient(ahead)) * step).sum(-1)
            good = inside & (slope_ahead >= -0.1 * slope)
            if bool(good.all()):
                break
            step, slope = torch.where(good.unsqueeze(-1), step, step / 2), torch.where(good, slope, slope / 2)
        return torch.where(good.unsqueeze(-1), candidate, theta)

    def _check_event(self, x: Tensor) -> None:
        if x.dim() < len(self.event_shape) or x.shape[x.dim() - len(self.event_shape) :] != self.event_shape:
            raise ValueError(f"x must have shape (..., *{self.event_shape}), got {tuple(x.shape)}")
        if bool(x.isnan().any()):
            raise ValueError(f"{type(self).__name__}: {self.support}, got nan")

    def _check_natural(self, theta: Tensor) -> None:
        self._check(theta, self.in_natural_domain, "natural parameters", self.natural_domain)

    def _check_mean(self, mean: Tensor) -> None:
        self._check(mean, self.in_mean_domain, "mean parameters", self.mean_domain)

    def _check(self, value: Tensor, inside: Callable[[Tensor], Tensor], what: str, domain: str) -> None:
        name = type(self).__name__
        if value.dim() == 0 or value.shape[-1] != self.n_parameters or not value.is_floating_point():
            raise ValueError(
                f"{name}: {what} must be floating point of shape (..., {self.n_parameters}), "
                f"got {value.dtype} of shape {tuple(value.shape)}"
            )
        good = inside(value.detach())
        if not bool(good.all()):
            raise ValueError(f"{name}: {domain}, got {value.detach()[~good][0].tolist()}")


class FamilyEnergy(EnergyModel):
    """One member of a family as an energy, E(x) = -θ·t(x) - log h(x), so that log Z = A(θ) exactly."""

    def __init__(self, family: ExponentialFamily, theta: Tensor) -> None:
        super().__init__()
        if theta.shape != (family.n_parameters,):
            raise ValueError(f"one θ of shape ({family.n_parameters},) is needed, got {tuple(theta.shape)}")
        self.family = family
        self.event_shape, self.values = family.event_shape, family.values
        self.theta = nn.Parameter(theta.detach().clone())

    def energy(self, x: Tensor) -> Tensor:
        """-θ·t(x) - log h(x), `(..., *event_shape)` to `(...)`; +∞ outside the support."""
        self.family._check_event(x)
        return -self.family._log_density(x, self.theta)

    def score(self, x: Tensor) -> Tensor:
        """∇_x log p(x); raises `TypeError` for every discrete family, counts without an end included."""
        if self.family.discrete:
            raise TypeError(f"{type(self.family).__name__} is discrete; it has no score")
        return super().score(x)

    def exact_log_partition(self) -> Tensor:
        """A(θ), a scalar."""
        return self.family.log_partition(self.theta)

    def sample(self, n_samples: int, generator: Generator) -> Tensor:
        """Exact, independent samples, `(n_samples, *event_shape)`."""
        return self.family.sample(self.theta, generator, (n_samples,))


# --- One parameter


class Bernoulli(ExponentialFamily):
    """A coin: x in {0, 1}, t(x) = x, A(θ) = log(1 + e^θ), μ = σ(θ)."""

    values = (0.0, 1.0)
    discrete = True
    mean_domain = "the mean must be strictly between 0 and 1"
    support = "x must be 0 or 1"

    def natural(self, probability: Tensor) -> Tensor:
        """θ = log(p / (1 - p)), `(...)` to `(..., 1)`."""
        return self.natural_parameters(_real(probability).unsqueeze(-1))

    def standard(self, theta: Tensor) -> Tensor:
        """The probability of one, `(..., 1)` to `(...)`."""
        return torch.sigmoid(theta).squeeze(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return _real(x).unsqueeze(-1)

    def log_partition(self, theta: Tensor) -> Tensor:
        return torch.logaddexp(theta, torch.zeros_like(theta)).squeeze(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return torch.logit(mean)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return ((mean > 0) & (mean < 1)).squeeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x == 0) | (x == 1)

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        probability = self.standard(_expanded(self, theta, sample_shape))
        return chance.bernoulli(probability, generator).to(theta.dtype)


class Poisson(ExponentialFamily):
    """Counts: x = 0, 1, 2, …, t(x) = x, h(x) = 1/x!, A(θ) = e^θ, μ = e^θ."""

    discrete = True
    mean_domain = "the mean must be positive"
    support = "x must be a whole number from 0"

    def natural(self, rate: Tensor) -> Tensor:
        """θ = log λ, `(...)` to `(..., 1)`."""
        return self.natural_parameters(_real(rate).unsqueeze(-1))

    def standard(self, theta: Tensor) -> Tensor:
        """The rate λ, `(..., 1)` to `(...)`."""
        return theta.exp().squeeze(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return _real(x).unsqueeze(-1)

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -torch.lgamma(_real(x) + 1)

    def log_partition(self, theta: Tensor) -> Tensor:
        return theta.exp().squeeze(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return mean.log()

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return ((mean > 0) & mean.isfinite()).squeeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x == x.round()) & x.isfinite()

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        """Inverts P(X ≤ k) = Q(k + 1, λ), the regularized incomplete gamma function, by bisection over k."""
        rate = self.standard(_expanded(self, theta, sample_shape)).double()
        u = chance.uniform(rate, generator)
        # Bernstein: P(X > λ + 10 √λ + 60) < 2^-53, below the resolution of u.
        below, above = torch.full_like(rate, -1.0), (rate + 10 * rate.sqrt() + 60).ceil()
        while bool((above - below > 1).any()):
            middle = ((below + above) / 2).floor()
            reached = torch.special.gammaincc((middle + 1).clamp(min=1), rate) > u
            above = torch.where(reached & (above - below > 1), middle, above)
            below = torch.where(~reached & (above - below > 1), middle, below)
        return above.to(theta.dtype)


class Exponential(ExponentialFamily):
    """Waiting times: x > 0, t(x) = x, A(θ) = -log(-θ) with θ = -λ < 0, μ = 1/λ."""

    natural_domain = "θ = -rate must be negative"
    mean_domain = "the mean must be positive"
    support = "x must be positive"
    _inside = 1.0

    def natural(self, rate: Tensor) -> Tensor:
        """θ = -λ, `(...)` to `(..., 1)`."""
        theta = -_real(rate).unsqueeze(-1)
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> Tensor:
        """The rate λ, `(..., 1)` to `(...)`."""
        return -theta.squeeze(-1)

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return _real(x).unsqueeze(-1)

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

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        rate = self.standard(_expanded(self, theta, sample_shape))
        u = chance.uniform(rate, generator)
        return (-torch.log1p(-u) / rate).clamp(min=torch.finfo(rate.dtype).tiny)


# --- Several parameters


class Categorical(ExponentialFamily):
    """A die: x in {0, …, C-1}, t(x)_k = 1[x = k] for k < C-1, A(θ) = log(1 + Σ_k e^θ_k).

    θ_k = log p_k / p_{C-1}: the last category is the reference, so that θ is unique and the Fisher
    information can be inverted.
    """

    discrete = True
    mean_domain = "the probabilities must be positive and leave something for the last category"

    def __init__(self, n_categories: int) -> None:
        if n_categories < 2:
            raise ValueError(f"a categorical needs at least 2 categories, got {n_categories}")
        self.n_parameters = n_categories - 1
        self.values = tuple(float(k) for k in range(n_categories))
        self.support = f"x must be one of 0 … {n_categories - 1}"

    def natural(self, probabilities: Tensor) -> Tensor:
        """θ from all C probabilities, `(..., C)` to `(..., C-1)`; they are divided by their sum."""
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
        return (x.unsqueeze(-1) == categories).to(_real(x).dtype)

    def log_partition(self, theta: Tensor) -> Tensor:
        return self._logits(theta).logsumexp(-1)

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return mean.log() - (1 - mean.sum(-1, keepdim=True)).log()

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        return (mean > 0).all(-1) & (mean.sum(-1) < 1)

    def in_support(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x <= self.n_parameters) & (x == x.round())

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        """Indices, int64, of shape `(*sample_shape, ...)`."""
        return chance.categorical(self.standard(_expanded(self, theta, sample_shape)), generator)

    @staticmethod
    def _logits(theta: Tensor) -> Tensor:
        return torch.cat([theta, torch.zeros_like(theta[..., :1])], -1)


class Gamma(ExponentialFamily):
    """x > 0 with shape a and rate b: t(x) = (log x, x), θ = (a - 1, -b), A(θ) = log Γ(a) - a log b."""

    n_parameters = 2
    natural_domain = "θ = (shape - 1, -rate) must have shape > 0 and rate > 0"
    mean_domain = "the means of log x and x must satisfy E[log x] < log E[x] (the data must not all be equal)"
    support = "x must be positive"
    _inside = 1.0

    def natural(self, shape: Tensor, rate: Tensor) -> Tensor:
        """θ = (a - 1, -b), `(...)` to `(..., 2)`."""
        theta = _stack(_real(shape) - 1, -_real(rate))
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Shape and rate, each `(...)`."""
        return theta[..., 0] + 1, -theta[..., 1]

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return torch.stack([_real(x).log(), _real(x)], -1)

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

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        shape, rate = self.standard(_expanded(self, theta, sample_shape))
        x = (_log_standard_gamma(shape, generator) - rate.log()).exp()
        return x.clamp(min=torch.finfo(x.dtype).tiny)


class Beta(ExponentialFamily):
    """0 < x < 1: t(x) = (log x, log(1 - x)), θ = (a - 1, b - 1), A(θ) = log B(a, b), the beta function."""

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
        theta = _stack(_real(a) - 1, _real(b) - 1)
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, each `(...)`."""
        return theta[..., 0] + 1, theta[..., 1] + 1

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return torch.stack([_real(x).log(), torch.log1p(-_real(x))], -1)

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

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        a, b = self.standard(_expanded(self, theta, sample_shape))
        # X / (X + Y) for gammas X and Y, in logarithms: both may underflow where a and b are small.
        x = torch.sigmoid(_log_standard_gamma(a, generator) - _log_standard_gamma(b, generator))
        number = torch.finfo(x.dtype)
        return x.clamp(min=number.tiny, max=1 - number.eps / 2)


class Gaussian(ExponentialFamily):
    """x real: t(x) = (x, x²), θ = (m/v, -1/2v) for mean m and variance v, A(θ) = m²/2v + ½ log 2πv."""

    n_parameters = 2
    natural_domain = "θ = (mean / variance, -1 / (2 variance)) must have a negative second entry"
    mean_domain = "the means of x and x² must satisfy E[x]² < E[x²] (the variance must be positive)"

    def natural(self, mean: Tensor, variance: Tensor) -> Tensor:
        """θ = (m/v, -1/2v), `(...)` to `(..., 2)`. Raises `ValueError` where the variance is not positive."""
        theta = _stack(_real(mean) / _real(variance), -0.5 / _real(variance))
        self._check_natural(theta)
        return theta

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each `(...)`."""
        variance = -0.5 / theta[..., 1]
        return theta[..., 0] * variance, variance

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        return torch.stack([_real(x), _real(x) ** 2], -1)

    def log_partition(self, theta: Tensor) -> Tensor:
        mean, variance = self.standard(theta)
        return 0.5 * theta[..., 0] * mean + 0.5 * (2 * math.pi * variance).log()

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return self.natural(mean[..., 0], mean[..., 1] - mean[..., 0] ** 2)

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return theta.isfinite().all(-1) & (theta[..., 1] < 0)

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        resolution = 4 * torch.finfo(mean.dtype).eps * mean[..., 1].abs()
        return mean.isfinite().all(-1) & (mean[..., 1] - mean[..., 0] ** 2 > resolution)

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        mean, variance = self.standard(_expanded(self, theta, sample_shape))
        return mean + variance.sqrt() * chance.normal(mean, generator)


class MultivariateGaussian(ExponentialFamily):
    """x in R^D: θ·t(x) = ηᵀx - ½ xᵀΛx, A = ½ ηᵀΛ⁻¹η + ½ log det 2πΛ⁻¹, with precision Λ and η = Λ m.

    t(x) is x, then x_i x_j for i ≤ j row by row; θ is η, then -½Λ_ii and -Λ_ij: no entry twice, so that θ is
    unique. K = D + D(D+1)/2.
    """

    natural_domain = "the precision matrix in θ must be positive definite"
    mean_domain = "the covariance in μ must be positive definite (more data than dimensions are needed)"

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise ValueError(f"the dimension must be at least 1, got {dimension}")
        self.dimension = dimension
        self.event_shape = (dimension,)
        self.n_parameters = dimension + dimension * (dimension + 1) // 2

    def natural(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """θ from m, `(..., D)`, and the covariance, `(..., D, D)`; `ValueError` unless that is definite."""
        if not bool(is_definite(covariance).all()):
            raise ValueError("covariance must be symmetric positive definite")
        precision = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
        eta = (precision @ mean.unsqueeze(-1)).squeeze(-1)
        diagonal = torch.diag_embed(precision.diagonal(dim1=-2, dim2=-1))
        return self._pack(eta, 0.5 * diagonal - precision)

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean `(..., D)` and covariance `(..., D, D)`."""
        eta, precision = self._unpack(theta)
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        return (covariance @ eta.unsqueeze(-1)).squeeze(-1), covariance

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        x = _real(x)
        return self._pack(x, x.unsqueeze(-1) * x.unsqueeze(-2))

    def log_partition(self, theta: Tensor) -> Tensor:
        eta, precision = self._unpack(theta)
        factor, info = torch.linalg.cholesky_ex(precision)
        half: Tensor = torch.linalg.solve_triangular(factor, eta.unsqueeze(-1), upper=False).squeeze(-1)
        log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        value = 0.5 * ((half**2).sum(-1) + self.dimension * math.log(2 * math.pi) - log_det)
        return torch.where(info == 0, value, torch.full_like(value, math.inf))

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return self.natural(mean[..., : self.dimension], self._covariance(mean))

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return theta.isfinite().all(-1) & is_definite(self._unpack(theta)[1])

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        second = self._symmetric(mean)
        smallest: Tensor = torch.linalg.eigvalsh(self._covariance(mean).nan_to_num())[..., 0]
        resolution = 4 * torch.finfo(mean.dtype).eps * second.diagonal(dim1=-2, dim2=-1).sum(-1).abs()
        return mean.isfinite().all(-1) & (smallest > resolution)

    def in_support(self, x: Tensor) -> Tensor:
        return x.isfinite().all(-1)

    def sample(self, theta: Tensor, generator: Generator, sample_shape: Sequence[int] = ()) -> Tensor:
        mean, covariance = self.standard(_expanded(self, theta, sample_shape))
        factor: Tensor = torch.linalg.cholesky(covariance)
        return mean + (factor @ chance.normal(mean, generator).unsqueeze(-1)).squeeze(-1)

    def _upper(self, like: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = torch.triu_indices(self.dimension, self.dimension, device=like.device)
        return rows, columns

    def _pack(self, vector: Tensor, matrix: Tensor) -> Tensor:
        rows, columns = self._upper(vector)
        return torch.cat([vector, matrix[..., rows, columns]], -1)

    def _symmetric(self, packed: Tensor) -> Tensor:
        """The symmetric matrix whose upper triangle follows the first D entries."""
        rows, columns = self._upper(packed)
        position = torch.empty(self.dimension, self.dimension, dtype=torch.int64, device=packed.device)
        position[rows, columns] = torch.arange(self.dimension, self.n_parameters, device=packed.device)
        position[columns, rows] = position[rows, columns]
        return packed[..., position]

    def _unpack(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """η and Λ."""
        matrix = self._symmetric(theta)
        return theta[..., : self.dimension], -matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))

    def _covariance(self, mean: Tensor) -> Tensor:
        m = mean[..., : self.dimension]
        return self._symmetric(mean) - m.unsqueeze(-1) * m.unsqueeze(-2)


# --- Maximum entropy


class MaximumEntropy(NamedTuple):
    """The distribution of largest entropy under moment constraints, p_i = exp(θ·f_i - A(θ)).

    θ has shape `(K,)` and p `(n_states,)`; A(θ) and the entropy (in nats) are scalars.
    """

    natural_parameters: Tensor
    probabilities: Tensor
    log_partition: Tensor
    entropy: Tensor


def maximum_entropy(features: Tensor, moments: Tensor, names: Sequence[str] | None = None) -> MaximumEntropy:
    """The distribution on n states of largest entropy with E[f(x)] = m.

        minimize over θ:  log Σ_i exp(θ·(f_i - m)),   then p_i ∝ exp(θ·f_i)

    by Newton's method with a line search on the dual. Where features are redundant many θ give the same p;
    Newton starts from θ = 0 and never moves along a direction that changes nothing.

    Parameters
    ----------
    features:
        f, `(n_states, K)`.
    moments:
        m, `(K,)`.
    names:
        What to call the K moments in errors; their indices if not given.

    Raises `ValueError`, naming the moment, where no distribution has these moments, or where all that have
    them give some state probability zero (then no finite θ is best). Source: Jaynes (1957).
    """
    dtype = _real(features).dtype
    # Worked in float64; what float32 rounds away is no contradiction between redundant moments.
    tolerance = max(1e-9, 100 * torch.finfo(dtype).eps)
    features, moments = features.double(), moments.to(features.device).double()
    _check_constraints(features, moments, names)
    label = [str(k) if names is None else f"{k} ({names[k]})" for k in range(len(moments))]
    spread = features.amax(0) - features.amin(0)
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))
    centred = (features - moments) / scale
    _check_each_moment(features, moments, label)
    plane = _plane(centred, 100 * torch.finfo(dtype).eps)
    _check_together(centred, plane, moments, label, tolerance)
    theta = plane @ _minimize_log_sum_exp(centred @ plane, tolerance) / scale
    log_partition = (features @ theta).logsumexp(0)
    log_prob = features @ theta - log_partition
    entropy = -torch.special.xlogy(log_prob.exp(), log_prob.exp()).sum()
    return MaximumEntropy(*(t.to(dtype) for t in (theta, log_prob.exp(), log_partition, entropy)))


def _check_constraints(features: Tensor, moments: Tensor, names: Sequence[str] | None) -> None:
    if features.dim() != 2 or 0 in features.shape or moments.shape != features.shape[1:]:
        raise ValueError(
            "features must be (n_states, K) and moments (K,), neither empty, "
            f"got {tuple(features.shape)} and {tuple(moments.shape)}"
        )
    if names is not None and len(names) != len(moments):
        raise ValueError(f"{len(moments)} names are needed, got {len(names)}")
    if not bool(features.isfinite().all() & moments.isfinite().all()):
        raise ValueError("features and moments must be finite")


def _check_each_moment(features: Tensor, moments: Tensor, label: Sequence[str]) -> None:
    """Raise `ValueError` unless each moment alone lies strictly between the extremes of its feature."""
    low, high = features.amin(0), features.amax(0)
    for k, name in enumerate(label):
        m, a, b = moments[k].item(), low[k].item(), high[k].item()
        if not a <= m <= b:
            raise ValueError(f"moment {name} = {m} is infeasible: its feature lies between {a} and {b}")
        if a < b and m in (a, b):
            raise ValueError(
                f"moment {name} = {m} is on the boundary: its feature lies between {a} and {b}, so every "
                "other state has probability zero; leave those states out"
            )


def _plane(points: Tensor, resolution: float) -> Tensor:
    """An orthonormal basis of the directions in which the points `(n, K)` differ; `(K, r)`."""
    _, size, directions = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    differ: Tensor = size > resolution * size.amax().clamp(min=1)
    return torch.as_tensor(directions)[differ].T


def _check_together(
    centred: Tensor, plane: Tensor, moments: Tensor, label: Sequence[str], tolerance: float
) -> None:
    """Raise `ValueError` unless 0 is in the relative interior of the convex hull of the centred features."""
    middle = centred.mean(0)
    off_plane = middle - plane @ (plane.T @ middle)
    if bool((off_plane.abs() > tolerance).any()):
        room, direction = -math.inf, off_plane
    else:
        room, direction = _room_inside(centred @ plane)
        direction = plane @ direction.to(plane)
    # The linear program is solved to 1e-10.
    if room <= 1e-9:
        k = int(direction.abs().argmax())
        verdict = "is infeasible together with" if room < -1e-9 else "is on the boundary given"
        raise ValueError(
            f"moment {label[k]} = {moments[k].item()} {verdict} the other moments; move it, "
            "or leave out the states that the moments exclude"
        )


def _room_inside(points: Tensor) -> tuple[float, Tensor]:
    """max over p of min_i p_i with Σ p_i = 1 and Σ p_i f_i = 0, and the direction in which room runs out.

    Positive inside the convex hull of the points f `(n, r)`, zero on its boundary, negative outside.
    """
    import numpy as np
    from scipy.optimize import linprog

    f = points.detach().cpu().numpy()
    n, r = f.shape
    conditions = np.vstack([f.T, np.ones(n)])
    # p_i = q_i + t with q ≥ 0 and t free.
    answer = linprog(
        np.append(np.zeros(n), -1.0),
        A_eq=np.column_stack([conditions, conditions.sum(1)]),
        b_eq=np.append(np.zeros(r), 1.0),
        bounds=[(0, None)] * n + [(None, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not answer.success:
        raise RuntimeError(f"the feasibility of the moments could not be decided: {answer.message}")
    return float(answer.x[-1]), torch.from_numpy(np.asarray(answer.eqlin.marginals[:-1]))


def _minimize_log_sum_exp(points: Tensor, tolerance: float) -> Tensor:
    """The θ of least log Σ_i exp(θ·f_i), points f `(n, r)`, by Newton's method with a backtracking line search."""
    theta = torch.zeros_like(points[0])
    for _ in range(500):
        p = (points @ theta).softmax(0)
        gradient = p @ points
        if not bool((gradient.abs() > 50 * torch.finfo(theta.dtype).eps).any()):
            return theta
        hessian = (points - gradient).T @ ((points - gradient) * p[:, None])
        step = -torch.linalg.pinv(hessian, hermitian=True) @ gradient
        theta = theta + _backtrack(points, theta, step, gradient) * step
    if bool((gradient.abs() > tolerance).any()):
        raise RuntimeError(
            f"Newton's method missed the moments by {gradient.abs().max().item():.2g} of their features' "
            "range; they are too close to the boundary"
        )
    return theta


def _backtrack(points: Tensor, theta: Tensor, step: Tensor, gradient: Tensor) -> float:
    """The largest 2^-k that lowers log Σ_i exp(θ·f_i) by a share of what the slope promises."""
    start = (points @ theta).logsumexp(0)
    slope = gradient @ step
    size = 1.0
    for _ in range(60):
        if bool((points @ (theta + size * step)).logsumexp(0) <= start + 1e-4 * size * slope + 1e-14):
            break
        size /= 2
    return size


# --- Details


def _real(x: Tensor) -> Tensor:
    """x itself where it is floating point, else in float64."""
    return x if x.is_floating_point() else x.double()


def _gradient_of(f: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """∇f(θ) for each θ of a batch; differentiable where θ is."""
    keep = theta.requires_grad and torch.is_grad_enabled()
    with torch.enable_grad():
        leaf = theta if keep else theta.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(f(leaf).sum(), leaf, create_graph=keep)
    return gradient


def _stack(first: Tensor, second: Tensor) -> Tensor:
    """Two parameters, broadcast, as `(..., 2)`."""
    return torch.stack([first + torch.zeros_like(second), second + torch.zeros_like(first)], -1)


def _expanded(family: ExponentialFamily, theta: Tensor, sample_shape: Sequence[int]) -> Tensor:
    """θ, checked, once for each sample."""
    family._check_natural(theta)
    return theta.detach().expand(*sample_shape, *theta.shape).contiguous()


def is_definite(matrix: Tensor) -> Tensor:
    """Whether a matrix `(..., D, D)` is symmetric, up to rounding, and positive definite; bool `(...)`."""
    largest = matrix.abs().amax((-2, -1), keepdim=True)
    symmetric = ((matrix - matrix.mT).abs() <= 1e-6 * largest).all(-1).all(-1)
    info: Tensor = torch.linalg.cholesky_ex(matrix.nan_to_num())[1]
    return (info == 0) & symmetric


def _log_standard_gamma(shape: Tensor, generator: Generator) -> Tensor:
    """log X with X ~ Gamma(shape, 1). Source: Marsaglia & Tsang (2000), ACM TOMS 26."""
    # Below shape 1: X = Y U^(1/shape) with Y ~ Gamma(shape + 1), in logarithms since X may underflow.
    small = shape < 1
    boost = torch.where(small, (1 - chance.uniform(shape, generator)).log() / shape, torch.zeros_like(shape))
    d = torch.where(small, shape + 1, shape) - 1 / 3
    log_x = torch.full_like(shape, math.nan)
    while bool(log_x.isnan().any()):
        z = chance.normal(shape, generator)
        u = 1 - chance.uniform(shape, generator)
        v = (1 + z / (9 * d).sqrt()) ** 3
        log_v = v.clamp(min=torch.finfo(v.dtype).tiny).log()
        accept = (v > 0) & (u.log() < 0.5 * z**2 + d * (1 - v + log_v))
        log_x = torch.where(log_x.isnan() & accept, d.log() + log_v, log_x)
    return log_x + boost
