"""Gradients for discrete x: an energy that is a smooth formula says which changes are worth proposing."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import check_positive
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State, initial_state
from ebmkit.mcmc._moves import flat_events, metropolis, require_values, values_like


@dataclass(frozen=True, eq=False)
class GibbsWithGradients:
    """Propose to change one coordinate, chosen by the gradient; accept by Metropolis–Hastings.

        q(x_i ← v | x) ∝ exp(½ (v - x_i) ∂ log p/∂x_i),   v ≠ x_i

    Two gradients a step, however many coordinates there are. Reversible. The energy must be a smooth formula of x,
    as those of `Ising`, `GraphIsing` and RBMs are; raises `TypeError` where it has none, and for continuous x.
    Source: Grathwohl et al., "Oops I took a gradient" (2021).

    >>> from ebmkit.ising import Ising
    >>> from ebmkit.testing import check_kernel
    >>> check_kernel(GibbsWithGradients(Ising((2, 2), 0.3)))[-1]
    'every state is reached'
    """

    model: EnergyModel

    def __post_init__(self) -> None:
        require_values(self.model, "GibbsWithGradients")

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One change proposed to every chain."""
        x = state.position
        flat, values = flat_events(x, self.model), values_like(self.model, x)
        log_q = self._log_proposal(x, values)
        choice = chance.categorical(log_q.exp(), generator=generator)
        site = choice[..., None] // len(values)
        old = flat.gather(-1, site)
        proposal = flat.scatter(-1, site, values[choice % len(values)][..., None]).reshape(x.shape)
        back = site[..., 0] * len(values) + (old == values).long().argmax(-1)
        log_back = self._log_proposal(proposal, values).gather(-1, back[..., None])[..., 0]
        log_correction = log_back - log_q.gather(-1, choice[..., None])[..., 0]
        return metropolis(self.model, state, proposal, log_correction, generator=generator)

    def _log_proposal(self, x: Tensor, values: Tensor) -> Tensor:
        """log q of every change, `(..., n_coordinates · n_values)`."""
        change = 0.5 * _promise(self.model, x, values)
        stays = flat_events(x, self.model)[..., None] == values
        return change.masked_fill(stays, -math.inf).flatten(-2).log_softmax(-1)


@dataclass(frozen=True, eq=False)
class DiscreteLangevin:
    """Discrete Langevin (DMALA): propose all coordinates at once, each by its gradient, then accept or reject.

        q(x' | x) = Π_i softmax_v(½ (v - x_i) ∂ log p/∂x_i - (v - x_i)² / 2α) at v = x'_i

    `step_size` is α: the smaller, the fewer coordinates change. Reversible. Errors as `GibbsWithGradients`.
    Source: Zhang, Liu & Liu, "A Langevin-like sampler for discrete distributions" (2022).

    >>> from ebmkit.ising import Ising
    >>> from ebmkit.testing import check_kernel
    >>> check_kernel(DiscreteLangevin(Ising((2, 2), 0.3), 1.5))[-1]
    'every state is reached'
    """

    model: EnergyModel
    step_size: float

    def __post_init__(self) -> None:
        require_values(self.model, "DiscreteLangevin")
        check_positive("step_size", self.step_size)

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One proposal to all coordinates of every chain."""
        x = state.position
        values = values_like(self.model, x)
        log_q = self._log_proposal(x, values)
        choice = chance.categorical(log_q.exp(), generator=generator)
        proposal = values[choice].reshape(x.shape)
        back = (flat_events(x, self.model)[..., None] == values).long().argmax(-1)
        log_back = self._log_proposal(proposal, values)
        log_correction = (_at(log_back, back) - _at(log_q, choice)).sum(-1)
        return metropolis(self.model, state, proposal, log_correction, generator=generator)

    def _log_proposal(self, x: Tensor, values: Tensor) -> Tensor:
        """log q of every value of every coordinate, `(..., n_coordinates, n_values)`."""
        distance = values - flat_events(x, self.model)[..., None]
        log_q = 0.5 * _promise(self.model, x, values) - distance**2 / (2 * self.step_size)
        return log_q.log_softmax(-1)


def _at(table: Tensor, index: Tensor) -> Tensor:
    return table.gather(-1, index[..., None])[..., 0]


def _promise(model: EnergyModel, x: Tensor, values: Tensor) -> Tensor:
    """What the gradient promises of each change, (v - x_i) ∂ log p/∂x_i; `(..., n_coordinates, n_values)`."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        energy = model.energy(leaf)
        slope = None
        if energy.requires_grad:
            (slope,) = torch.autograd.grad(-energy.sum(), leaf, allow_unused=True)
    if slope is None:
        raise TypeError(
            f"the energy of {type(model).__name__} has no gradient in x: it looks its values up; use Gibbs"
        )
    flat, slope = flat_events(x, model), flat_events(slope, model)
    return (values - flat[..., None]) * slope[..., None]
