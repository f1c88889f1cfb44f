"""Langevin dynamics: steps down the energy with noise, without a correction (ULA) and with one (MALA)."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import (
    check_positive,
)
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State, initial_state
from ebmkit.mcmc._moves import flat_events, look, metropolis, moved, require_gradient, select, with_slope


@dataclass(frozen=True, eq=False)
class Langevin:
    """The unadjusted Langevin algorithm: x' = x - ε ∇E(x) + √(2ε) ξ, ξ ~ N(0, I).

    No step is ever rejected, so its stationary law is p only in the limit ε → 0. `noise` replaces √(2ε) as
    the noise's standard deviation, as short-run samplers for deep energies do; the chain then follows no
    known law. Source: lecture 11; Roberts & Tweedie (1996).

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> walk = mcmc.Langevin(annealing.GaussianBase((2,)), 0.1)
    >>> mcmc.sample(walk, torch.zeros(10, 2).double(), 20, generator=generator).shape
    torch.Size([20, 10, 2])
    """

    model: EnergyModel
    step_size: float
    noise: float | None = None

    def __post_init__(self) -> None:
        require_gradient(self.model, "Langevin")
        check_positive("step_size", self.step_size)
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise ValueError(
                f"noise must be finite and not negative, got {self.noise}; None stands for √(2ε)"
            )

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One gradient step with noise; a chain that becomes non-finite stays and is reported divergent."""
        noise = math.sqrt(2 * self.step_size) if self.noise is None else self.noise
        state, score = with_slope(self.model, state)
        proposal = (
            state.position
            + self.step_size * score
            + noise * chance.normal(state.position, generator=generator)
        )
        usable = flat_events(proposal, self.model).isfinite().all(-1)
        there = look(self.model, select(usable, proposal, state.position))
        usable = usable & there.energy.isfinite()
        return moved(usable, proposal, there.energy, state, there), Info(
            torch.ones_like(there.energy), ~usable
        )


@dataclass(frozen=True, eq=False)
class MALA:
    """Metropolis-adjusted Langevin: the Langevin step as a proposal, corrected to leave p invariant.

    q(x' | x) = N(x'; x - ε ∇E(x), 2ε I). Reversible. Best near an acceptance of 0.57.
    Source: Roberts & Tweedie (1996); Roberts & Rosenthal (1998).

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> walk = mcmc.MALA(annealing.GaussianBase((2,)), 0.3)
    >>> mcmc.sample(walk, torch.zeros(10, 2).double(), 20, generator=generator).shape
    torch.Size([20, 10, 2])
    """

    model: EnergyModel
    step_size: float

    def __post_init__(self) -> None:
        require_gradient(self.model, "MALA")
        check_positive("step_size", self.step_size)

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One Langevin proposal for every chain, accepted or rejected."""
        state, score = with_slope(self.model, state)
        x, epsilon = state.position, self.step_size
        noise = chance.normal(x, generator=generator)
        proposal = x + epsilon * score + math.sqrt(2 * epsilon) * noise
        usable = flat_events(proposal, self.model).isfinite().all(-1)
        there = look(self.model, select(usable, proposal, x))
        way_back = x - proposal - epsilon * there.score
        squares = 0.5 * noise**2 - way_back**2 / (4 * epsilon)
        log_correction = flat_events(squares, self.model).sum(-1)
        return metropolis(self.model, state, proposal, log_correction, generator=generator, there=there)
