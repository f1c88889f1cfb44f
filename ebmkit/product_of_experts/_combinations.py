"""AND and OR: products and mixtures of anything with an energy or a density."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Generator, Tensor, nn

from ebmkit import chance, enumeration
from ebmkit._checks import SampleShape, as_shape, check_event
from ebmkit.energy import EnergyModel
from ebmkit.normalization import log_sum_exp


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

    Raises `ValueError` for other weights, and where the experts share no space.

    >>> import torch
    >>> from ebmkit import annealing, product_of_experts
    >>> parts = [annealing.GaussianBase((1,)), annealing.GaussianBase((1,), mean=4.0)]
    >>> product = product_of_experts.ProductOfExperts(parts)
    >>> product.energy(torch.tensor([2.0], dtype=torch.float64))  # 2²/2 twice
    tensor(4., dtype=torch.float64)
    """

    weights: Tensor

    def __init__(
        self,
        experts: Sequence[Any],
        weights: Tensor | Sequence[float] | None = None,
        event_shape: SampleShape | None = None,
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

    Raises `ValueError` for other weights, and where the components share no space.

    >>> import torch
    >>> from ebmkit import normalization, product_of_experts
    >>> generator = torch.Generator().manual_seed(0)
    >>> parts = [normalization.AutoregressiveBernoulli(2, generator=generator) for _ in range(2)]
    >>> mixture = product_of_experts.Mixture(parts, weights=[0.3, 0.7])
    >>> mixture.sample(5, generator=generator).shape, mixture.exact_log_partition()
    (torch.Size([5, 2]), tensor(0., dtype=torch.float64))
    """

    def __init__(
        self,
        components: Sequence[Any],
        weights: Tensor | Sequence[float] | None = None,
        event_shape: SampleShape | None = None,
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
        self._masses: tuple[tuple[tuple[int, int], ...], Tensor] | None = None

    def energy(self, x: Tensor) -> Tensor:
        """-log Σ_k w_k p_k(x), `(..., *event_shape)` to `(...)`."""
        return -self._log_sum([log_density(c, x) for c in self.components])

    def log_prob(self, x: Tensor) -> Tensor:
        """log Σ_k w_k p_k(x). Raises `TypeError` where a component has no `log_prob`, so no known Z.

        `(..., *event_shape)` to `(...)`.
        """
        for component in self.components:
            if not has_log_prob(component):
                raise TypeError(
                    f"{type(component).__name__} has no log_prob, so this mixture is not normalized; "
                    "use energy(x), or log_partition for its log Z"
                )
        return self._log_sum([c.log_prob(x) for c in self.components])

    def exact_log_partition(self) -> Tensor:
        """log Z = log Σ_k w_k Z_k, 0 where all are normalized. Raises `ValueError` where one has no exact Z_k.

        The shape is `()`.
        """
        if has_log_prob(self):
            return torch.zeros((), dtype=self.log_weights.dtype, device=self.log_weights.device)
        return log_sum_exp(self._log_shares())

    def _log_shares(self) -> Tensor:
        """log w_k Z_k, `(K,)`: how much of the mixture each component makes up, up to its own Z."""
        masses = [_log_mass(component).to(self.log_weights) for component in self.components]
        return self.log_weights.log_softmax(-1) + torch.stack(masses)

    def _shares(self) -> Tensor:
        """The components' shares, `(K,)`: their Z_k are worked out again only once a parameter has changed."""
        parts = (*self.component_modules.parameters(), *self.component_modules.buffers())
        versions = tuple((part.data_ptr(), part._version) for part in parts)
        if self._masses is None or self._masses[0] != versions:
            self._masses = versions, self._log_shares() - self.log_weights.log_softmax(-1)
        return (self.log_weights.log_softmax(-1) + self._masses[1].to(self.log_weights)).softmax(-1)

    def _log_sum(self, log_densities: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(log_densities), -1)
        return log_sum_exp(stacked + self.log_weights.log_softmax(-1).to(stacked))

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact samples `(*sample_shape, *event_shape)`: a component with probability ∝ w_k Z_k, then one of it.

        Raises `TypeError` where a component has no `sample(sample_shape, *, generator)`, and where its share is not
        known, for want of both a `log_prob` and an exact log Z.
        """
        for component in self.components:
            if not (isinstance(component, nn.Module) and hasattr(component, "sample")):
                raise TypeError(
                    f"{type(component).__name__} has no sample(sample_shape, *, generator); use a sampler"
                )
        shape = as_shape(sample_shape)
        n = math.prod(shape)
        try:
            shares = self._shares()
        except ValueError as error:
            raise TypeError(f"{error}, so that nobody knows how often to draw it; use a sampler") from error
        index = chance.categorical(shares.expand(n, -1), generator=generator)
        draws = torch.stack([c.sample((n,), generator=generator) for c in self.components])
        chosen = draws[index.to(draws.device), torch.arange(n, device=draws.device)]
        return chosen.reshape(*shape, *chosen.shape[1:])


def _log_mass(component: Any) -> Tensor:
    """log Z_k of what enters a mixture, `()`; raises `ValueError` where nobody can say it exactly."""
    if has_log_prob(component):
        return torch.zeros(())
    try:
        return enumeration.exact_log_partition(component)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{type(component).__name__} has neither log_prob nor an exact log Z") from error


def has_log_prob(expert: Any) -> TypeGuard[Any]:
    """Whether `expert` is a normalized density; an unnormalized mixture is not, though it has the method."""
    if isinstance(expert, Mixture):
        return all(has_log_prob(component) for component in expert.components)
    return hasattr(expert, "log_prob")


def log_density(expert: Any, x: Tensor) -> Tensor:
    """log p(x) where `expert` knows it, else -E(x). Raises `TypeError` where it has neither method."""
    if has_log_prob(expert):
        return torch.as_tensor(expert.log_prob(x))
    if hasattr(expert, "energy"):
        return -torch.as_tensor(expert.energy(x))
    raise TypeError(f"{type(expert).__name__} has neither energy(x) nor log_prob(x)")


def common_space(
    experts: Sequence[Any], event_shape: SampleShape | None
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """The event shape and the values that all `experts` share; a continuous expert fits any values.

    Raises `ValueError` where there are none, where they disagree, or where nobody tells the event shape.
    """
    if len(experts) == 0:
        raise ValueError("at least one expert is needed, got none")
    shapes = {tuple(e.event_shape) for e in experts if hasattr(e, "event_shape")}
    shapes |= set() if event_shape is None else {as_shape(event_shape, "event_shape")}
    values = {tuple(e.values) for e in experts if getattr(e, "values", None) is not None}
    if len(shapes) > 1 or len(values) > 1:
        raise ValueError(f"experts must share one space, got event shapes {shapes} and values {values}")
    if not shapes:
        raise ValueError("no expert has an event_shape; pass event_shape=(...)")
    return shapes.pop(), values.pop() if values else None
