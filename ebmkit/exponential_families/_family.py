"""What all exponential families share: moments, Fisher information, divergences and fits follow from A."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit._checks import SampleShape, as_shape, as_tensor, check_event, looks_at
from ebmkit.energy import EnergyModel

# What the methods take first, where nothing but its shape is asked of it.
_PARAMETERS = {
    "in_mean_domain": "mean parameters",
    "in_natural_domain": "natural parameters",
    "log_partition": "natural parameters",
    "standard": "natural parameters",
}
_EVENTS = {"in_support", "log_base_measure", "sufficient_statistics"}
_DOORS = {
    *_PARAMETERS,
    *_EVENTS,
    "energy_model",
    "fisher_information",
    "kl_divergence",
    "log_prob",
    "maximum_likelihood",
    "mean_parameters",
    "natural",
    "natural_parameters",
    "sample",
}


def _takes_arrays(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, for arrays, lists and numbers as well as tensors, of the right shape."""

    name = method.__name__
    end = 1 if name == "sample" else None  # what comes after θ is a shape

    @functools.wraps(method)
    def taking(self: Any, *given: Any, **options: Any) -> Any:
        tensors = [as_tensor(g, name="a parameter or x") for g in given[:end]]
        rest = given[len(given) if end is None else end :]
        if tensors and name in _PARAMETERS:
            self._check_shape(tensors[0], _PARAMETERS[name])
        elif tensors and name in _EVENTS:
            check_event(tensors[0], self.event_shape)
        return method(self, *tensors, *rest, **options)

    return _infinite_outside(taking) if name == "log_partition" else taking


def _infinite_outside(log_partition: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A(θ), and +∞ wherever a real θ is outside the natural domain, whatever the formula says there."""

    @functools.wraps(log_partition)
    def value_or_infinity(self: Any, theta: Any) -> Tensor:
        value = log_partition(self, theta)
        theta = as_tensor(theta).detach()
        outside = theta.isfinite().all(-1) & ~self.in_natural_domain(theta)
        return torch.where(outside, math.inf, value)

    return value_or_infinity


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

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Exponential()
    >>> x = torch.tensor([1.0, 3.0], dtype=torch.float64)
    >>> family.standard(family.maximum_likelihood(x))  # one over the mean
    tensor(0.5000, dtype=torch.float64)
    """

    event_shape: tuple[int, ...] = ()
    values: tuple[float, ...] | None = None
    discrete = False
    n_parameters = 1
    natural_domain = "θ must be real"
    mean_domain = "μ must be real"
    support = "x must be real"
    _inside = 0.0  # A point of the support, put in place of points outside it before -∞ is.

    def __init_subclass__(cls, **options: Any) -> None:
        """Sees to it that every family takes arrays, lists and numbers where it takes tensors."""
        super().__init_subclass__(**options)
        for name in _DOORS & cls.__dict__.keys():
            setattr(cls, name, _takes_arrays(cls.__dict__[name]))

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        """t(x), `(..., *event_shape)` to `(..., K)`."""
        raise NotImplementedError(f"{type(self).__name__} must define sufficient_statistics(x)")

    def log_base_measure(self, x: Tensor) -> Tensor:
        """log h(x) for x in the support, `(..., *event_shape)` to `(...)`; zero unless a family says more."""
        return torch.zeros(x.shape[: x.dim() - len(self.event_shape)], dtype=real(x).dtype, device=x.device)

    def log_partition(self, theta: Tensor) -> Tensor:
        """A(θ) = log Σ_x or ∫ h(x) exp(θ·t(x)), `(..., K)` to `(...)`.

        +∞ for every real θ outside the natural domain, where the sum or the integral diverges.
        """
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

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        """Exact, independent samples, `(*sample_shape, *theta.shape[:-1], *event_shape)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define sample(theta, sample_shape, *, generator)"
        )

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
        return self._log_prob(x, theta)

    def kl_divergence(self, theta: Tensor, other: Tensor) -> Tensor:
        """KL(p_θ ‖ p_θ') = A(θ') - A(θ) - ∇A(θ)·(θ' - θ), the Bregman divergence of A; `(...)`.

        Raises `ValueError` where either is outside the natural domain.
        """
        self._check_natural(theta)
        self._check_natural(other)
        return self._divergence(theta, other)

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
        return self._fit(x)

    def energy_model(self, theta: Tensor) -> "FamilyEnergy":
        """The member with parameter θ, `(K,)`, as an energy E(x) = -θ·t(x) - log h(x), with log Z = A(θ)."""
        self._check_natural(theta)
        return FamilyEnergy(self, theta)

    def _log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        """`log_prob` of what has been checked; a family whose terms cancel says it another way."""
        return self._log_density(x, theta) - self.log_partition(theta)

    def _divergence(self, theta: Tensor, other: Tensor) -> Tensor:
        """`kl_divergence` of what has been checked; a family whose terms cancel says it another way."""
        slope = (self._gradient(theta) * (other - theta)).sum(-1)
        return self.log_partition(other) - self.log_partition(theta) - slope

    def _fit(self, x: Tensor) -> Tensor:
        """`maximum_likelihood` of what has been checked; a family whose terms cancel says it another way."""
        return self.natural_parameters(self.sufficient_statistics(x).mean(0))

    def _log_density(self, x: Tensor, theta: Tensor) -> Tensor:
        """log h(x) + θ·t(x), -∞ outside the support."""
        inside = self.in_support(x)
        event = inside.reshape(inside.shape + (1,) * len(self.event_shape))
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
        check_event(x, self.event_shape)
        if looks_at(x) and bool(x.isnan().any()):
            raise ValueError(f"{type(self).__name__}: {self.support}, got nan")

    def _check_natural(self, theta: Tensor) -> None:
        self._check(theta, self.in_natural_domain, "natural parameters", self.natural_domain)

    def _check_mean(self, mean: Tensor) -> None:
        self._check(mean, self.in_mean_domain, "mean parameters", self.mean_domain)

    def _check(self, value: Tensor, inside: Callable[[Tensor], Tensor], what: str, domain: str) -> None:
        self._check_shape(value, what)
        if not looks_at(value):
            return
        good = inside(value.detach())
        if not bool(good.all()):
            raise ValueError(f"{type(self).__name__}: {domain}, got {value.detach()[~good][0].tolist()}")

    def _check_shape(self, value: Tensor, what: str) -> None:
        if value.dim() == 0 or value.shape[-1] != self.n_parameters or not value.is_floating_point():
            raise ValueError(
                f"{type(self).__name__}: {what} must be floating point of shape (..., {self.n_parameters}), "
                f"got {value.dtype} of shape {tuple(value.shape)}"
            )


for _name in _DOORS & ExponentialFamily.__dict__.keys():
    setattr(ExponentialFamily, _name, _takes_arrays(ExponentialFamily.__dict__[_name]))


class FamilyEnergy(EnergyModel):
    """One member of a family as an energy, E(x) = -θ·t(x) - log h(x), so that log Z = A(θ) exactly.

    Raises `ValueError` for a θ of another length.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.Gaussian()
    >>> model = family.energy_model(family.natural(torch.tensor(0.0), torch.tensor(1.0)))
    >>> bool((model.exact_log_partition() - family.log_partition(model.theta)).abs() == 0)
    True
    """

    def __init__(self, family: ExponentialFamily, theta: Tensor) -> None:
        super().__init__()
        if theta.shape != (family.n_parameters,):
            raise ValueError(f"one θ of shape ({family.n_parameters},) is needed, got {tuple(theta.shape)}")
        self.family = family
        self.event_shape, self.values = family.event_shape, family.values
        self.discrete = family.discrete  # also where the values have no end
        self.theta = nn.Parameter(theta.detach().clone())

    def energy(self, x: Tensor) -> Tensor:
        """-θ·t(x) - log h(x), `(..., *event_shape)` to `(...)`; +∞ outside the support."""
        self.family._check_event(x)
        return -self.family._log_density(x, self.theta)

    def score(self, x: Tensor) -> Tensor:
        """∇_x log p(x); raises `TypeError` for every discrete family, counts without an end included.

        The result has the shape of x.
        """
        if self.family.discrete:
            raise TypeError(f"{type(self.family).__name__} is discrete; it has no score")
        return super().score(x)

    def exact_log_partition(self) -> Tensor:
        """A(θ), a scalar."""
        return self.family.log_partition(self.theta)

    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact, independent samples, `(*sample_shape, *event_shape)`."""
        return self.family.sample(self.theta, as_shape(sample_shape), generator=generator)


def real(x: Tensor) -> Tensor:
    """x itself where it is floating point, else in float64."""
    return x if x.is_floating_point() else x.double()


def _gradient_of(f: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """∇f(θ) for each θ of a batch; differentiable where θ is."""
    keep = theta.requires_grad and torch.is_grad_enabled()
    with torch.enable_grad():
        leaf = theta if keep else theta.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(f(leaf).sum(), leaf, create_graph=keep)
    return gradient


def stack(first: Tensor, second: Tensor) -> Tensor:
    """Two parameters, broadcast, as `(..., 2)`."""
    return torch.stack([first + torch.zeros_like(second), second + torch.zeros_like(first)], -1)


def expanded(family: ExponentialFamily, theta: Tensor, sample_shape: SampleShape) -> Tensor:
    """θ, checked, once for each sample."""
    family._check_natural(theta)
    return theta.detach().expand(*as_shape(sample_shape), *theta.shape).contiguous()
