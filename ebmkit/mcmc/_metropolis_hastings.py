"""Metropolis–Hastings: propose, then accept by the ratio of probabilities, in which Z cancels."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import check_positive
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State, initial_state
from ebmkit.mcmc._moves import flat_events, metropolis, require_values, values_like


class Proposal(Protocol):
    """What proposes: `(x, *, generator) -> (x', log q(x | x') - log q(x' | x))`; the second `(...)` or `()`."""

    def __call__(self, x: Tensor, /, *, generator: Generator) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, eq=False)
class GaussianRandomWalk:
    """The symmetric proposal x' = x + scale · ξ, ξ ~ N(0, I); `scale` broadcasts against x.

    Returns the proposal, of x's shape, and log q(x | x') - log q(x' | x), which is 0, of shape `()`.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> moved, correction = mcmc.GaussianRandomWalk(0.5)(torch.zeros(3, 2), generator=generator)
    >>> moved.shape, correction
    (torch.Size([3, 2]), tensor(0.))
    """

    scale: float | Tensor

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)

    def __call__(self, x: Tensor, *, generator: Generator) -> tuple[Tensor, Tensor]:
        return x + self.scale * chance.normal(x, generator=generator), x.new_zeros(())


@dataclass(frozen=True, eq=False)
class CoordinateFlip:
    """The symmetric proposal that gives one coordinate, chosen uniformly, another of the model's values.

    Returns the proposal, of x's shape, and log q(x | x') - log q(x' | x), which is 0, of shape `()`.

    >>> import torch
    >>> from ebmkit import ising, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((2, 2), 0.4)
    >>> moved, correction = mcmc.CoordinateFlip(model)(torch.ones(2, 2), generator=generator)
    >>> int((moved != 1).sum()), correction
    (1, tensor(0.))
    """

    model: EnergyModel

    def __post_init__(self) -> None:
        require_values(self.model, "CoordinateFlip")

    def __call__(self, x: Tensor, *, generator: Generator) -> tuple[Tensor, Tensor]:
        values = values_like(self.model, x)
        flat = flat_events(x, self.model)
        n = flat.shape[-1]
        site = chance.categorical(_uniform_probabilities(flat, n), generator=generator)[..., None]
        current = (flat.gather(-1, site) == values).long().argmax(-1)
        shift = chance.categorical(_uniform_probabilities(flat, len(values) - 1), generator=generator)
        other = values[(current + 1 + shift) % len(values)]
        return flat.scatter(-1, site, other[..., None]).reshape(x.shape), _zero_like_energy(x)


def _uniform_probabilities(flat: Tensor, n: int) -> Tensor:
    shape = (*flat.shape[:-1], n)
    return torch.full(shape, 1.0 / n, dtype=torch.float64, device=flat.device)


def _zero_like_energy(x: Tensor) -> Tensor:
    return torch.zeros((), dtype=x.dtype if x.is_floating_point() else torch.float64, device=x.device)


@dataclass(frozen=True, eq=False)
class MetropolisHastings:
    """Propose x' ~ q(· | x), accept with probability min(1, p(x') q(x | x') / (p(x) q(x' | x))).

    `proposal(x, generator=generator)` returns x' and log q(x | x') - log q(x' | x); see `GaussianRandomWalk` and
    `CoordinateFlip`. Reversible. Source: Metropolis et al. (1953); Hastings (1970).

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> walk = mcmc.MetropolisHastings(annealing.GaussianBase((2,)), mcmc.GaussianRandomWalk(1.0))
    >>> mcmc.sample(walk, torch.zeros(10, 2).double(), 20, generator=generator).shape
    torch.Size([20, 10, 2])
    """

    model: EnergyModel
    proposal: Proposal

    def __post_init__(self) -> None:
        check_is_model(self.model, "MetropolisHastings")

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One proposal for every chain."""
        proposal, log_correction = self.proposal(state.position, generator=generator)
        return metropolis(self.model, state, proposal, log_correction, generator=generator)
